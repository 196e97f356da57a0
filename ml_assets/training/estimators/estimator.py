"""What an estimator is: the protocol that the built-in ones keep, and any of one's own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from ml_assets.training.target import Kind, Target

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class NotTrainable(Exception):
    """These rows, or this machine, allow no such model; the message says what is missing and what to do."""


class Parameters(BaseModel):
    """The parameters of an estimator, as they stand under ``train.parameters`` in YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)


def _nobody(step: int, loss: float) -> None:
    """Listen to no report."""


@dataclass(frozen=True)
class Task:
    """What is to be learnt, beside the rows."""

    target: Target
    columns: Mapping[str, str]
    """Feature column -> DuckDB type; VARCHAR and BOOLEAN columns hold text, the others float64."""
    seed: int = 7
    monotone: Mapping[str, int] = field(default_factory=dict)
    """Feature column -> 1 where the score may only rise with it, -1 where it may only fall."""
    device: str = "cpu"
    report: Callable[[int, float], None] = _nobody
    """Told the tune loss after each step, counted from 1; may raise to end a fit that leads nowhere."""
    checkpoint: Path | None = None
    """Where a long fit may keep what it has, to go on from there if it is killed: a folder for these rows, this task
    and these parameters alone, which the caller removes when the model is on record."""


@dataclass(frozen=True)
class Rows:
    """Rows of one split: features of shape (n, columns), labels and weights of shape (n,)."""

    features: "pd.DataFrame"
    label: "np.ndarray"
    weight: "np.ndarray"


P = TypeVar("P", bound=Parameters)


class Estimator(ABC, Generic[P]):
    """A model that can be fitted, asked, saved and loaded.

    A class of one's own derives from this, says its ``Parameters``, and is named in YAML by its dotted path. Features
    come as a frame with a column per feature: numbers as float64 with NaN for nulls, text and booleans as strings
    with None. The same rows, task and parameters give the same model. A ``fit`` that can make nothing of its rows
    raises NotTrainable.
    """

    Parameters: ClassVar[type[Parameters]] = Parameters
    space: ClassVar[Mapping[str, tuple[float, float] | tuple[float, float, str]]] = {}
    """Where a search looks by default: parameter -> (lowest, highest), or (lowest, highest, 'log')."""
    kinds: ClassVar[tuple[Kind, ...]] = ("binary", "regression", "multiclass")
    """The targets it serves."""
    keeps_monotone: ClassVar[bool] = False
    """Whether it keeps to ``Task.monotone``."""
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    """Where it fits."""

    def __init__(self, task: Task, parameters: P) -> None:
        self.task = task
        self.parameters = parameters
        self.rounds: int | None = None
        """How many steps the model has, where it is made in steps."""
        self.curves: dict[str, list[float]] = {}
        """Loss by step of the splits 'train' and 'tune', where the model is made in steps; what the fit minimises."""

    @abstractmethod
    def fit(self, train: Rows, tune: Rows) -> None:
        """Learn from ``train``; ``tune`` may decide when to stop, and nothing else."""

    def predict_proba(self, features: "pd.DataFrame") -> "np.ndarray":
        """Probabilities of the classes, shape (n, classes). Of a target with classes."""
        raise NotImplementedError(f"{type(self).__name__} has no predict_proba: it predicts no classes")

    def predict(self, features: "pd.DataFrame") -> "np.ndarray":
        """Expected labels, shape (n,). Of a regression."""
        raise NotImplementedError(f"{type(self).__name__} has no predict: it is no regression")

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model into an empty folder."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, task: Task, parameters: P) -> Self:
        """The model that ``save`` wrote, for the task and parameters it was fitted with."""

    def contributions(self, features: "pd.DataFrame") -> "np.ndarray | None":
        """How much each column moves the scores of these rows, 0 or more, shape (columns,); None if it can't tell."""
        return None


def check_not_negative(loss: str, *splits: Rows) -> None:
    """Raise NotTrainable where a loss that is made for amounts of 0 and more meets a label below."""
    lowest = min(float(rows.label.min()) for rows in splits)
    if lowest < 0:
        raise NotTrainable(
            f"train.parameters.loss is {loss}, which is for labels of 0 and more; the lowest label is {lowest:g}. "
            "Choose squared_error or absolute_error, or a label that counts no refunds."
        )
