"""Estimators of one's own, right and wrong, as a project would write them."""

import json
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from ml_assets.training.estimators import Estimator, Parameters, Rows, Task


class ByCategoryParameters(Parameters):
    prior: float = Field(
        10, gt=0, description="Rows of the overall share that each category counts as if it had."
    )


class ByCategory(Estimator[ByCategoryParameters]):
    """The share of each class by the first text column."""

    Parameters = ByCategoryParameters
    space: ClassVar = {"prior": (1, 100, "log")}
    kinds = ("binary", "multiclass")

    def fit(self, train: Rows, tune: Rows) -> None:
        is_class = train.label[:, None] == np.arange(len(self.task.target.classes))
        overall = np.average(is_class, axis=0, weights=train.weight)
        self.shares = {"": overall.tolist()}
        for category, rows in train.features.groupby(self.column).indices.items():
            found = train.weight[rows] @ is_class[rows] + self.parameters.prior * overall
            self.shares[str(category)] = (found / found.sum()).tolist()

    @property
    def column(self) -> str:
        return next(c for c, kind in self.task.columns.items() if kind == "VARCHAR")

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        return np.array([self.shares.get(value, self.shares[""]) for value in features[self.column]])

    def save(self, folder: Path) -> None:
        (folder / "shares.json").write_text(json.dumps(self.shares))

    @classmethod
    def load(cls, folder: Path, task: Task, parameters: ByCategoryParameters) -> Self:
        found = cls(task, parameters)
        found.shares = json.loads((folder / "shares.json").read_text())
        return found


class NoSpace(ByCategory):
    space: ClassVar = {}


class OneColumn(ByCategory):
    """Gives the probability of 1 alone."""

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        return super().predict_proba(features)[:, 1]


class NotANumber(ByCategory):
    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        found = super().predict_proba(features)
        found[2] = np.nan
        return found


class Odds(ByCategory):
    """Gives no probabilities."""

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        return super().predict_proba(features) * 2


class LacksLoad(Estimator[Parameters]):
    def fit(self, train: Rows, tune: Rows) -> None:
        return None

    def save(self, folder: Path) -> None:
        return None


class LacksPredict(ByCategory):
    kinds = ("binary", "regression")


class OtherParameters(ByCategory):
    class Parameters(BaseModel):  # type: ignore[assignment]
        prior: float = 10


class Unrelated:
    pass
