"""What a model learns, from when to when, and how: the frozen specs behind a model's YAML."""

import re
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from ml_assets.features.spec import Window


def _cutoffs(history: object) -> object:
    if isinstance(history, int):
        return history
    found = re.fullmatch(r"([1-9][0-9]*) cutoffs?", str(history))
    if not found:
        raise ValueError(f"history is a number of cutoffs such as '12 cutoffs', not {history!r}")
    return int(found.group(1))


CutoffCount = Annotated[
    int,
    BeforeValidator(_cutoffs),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]* cutoffs?$", "examples": ["12 cutoffs"]}),
]


class Label(BaseModel):
    """What is predicted of an entity at as_of: whether an event occurs, or is absent, within a horizon.

    ``absent`` and ``occurs`` are SQL conditions over the source's columns; exactly one is given. The
    horizon is closed at as_of and open at its end: as_of <= occurred_at < as_of + within.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    absent: str | None = Field(None, description="Label 1 if no event meets this SQL condition.")
    occurs: str | None = Field(None, description="Label 1 if an event meets this SQL condition.")
    source: str | None = Field(
        None, description="Which of the group's sources it looks at; default the first."
    )
    within: Window = Field(description="The horizon in days, for example 28d.")

    @model_validator(mode="after")
    def _one_condition(self) -> "Label":
        if (self.absent is None) == (self.occurs is None):
            raise ValueError("label: give exactly one of absent and occurs, an SQL condition over the events")
        return self

    @property
    def condition(self) -> str:
        """The SQL condition over events."""
        return self.absent or self.occurs or ""

    @property
    def days(self) -> int:
        """The horizon in days."""
        return int(self.within[:-1])

    @property
    def horizon(self) -> timedelta:
        """The horizon."""
        return timedelta(days=self.days)


class Cutoffs(BaseModel):
    """The moments up to which a model may know anything: every week from ``start``, at 00:00 UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: Literal["week"] = "week"
    start: date = Field(description="The first cutoff.")
    end: date | None = Field(
        None, description="Where the cutoffs end; without it they go on with the calendar."
    )

    def before(self, day: date, count: int) -> list[date]:
        """The ``count`` cutoffs at or before ``day``, oldest first; fewer where the cutoffs begin."""
        newest = (day - self.start).days // 7
        return [self.start + timedelta(weeks=n) for n in range(max(0, newest - count + 1), newest + 1)]


class Train(BaseModel):
    """How a candidate is fitted; the defaults suit a few thousand to a few million rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: Literal["xgboost"] = "xgboost"
    history: CutoffCount = Field(
        12, description="How many cutoffs back labels are taken from, tune included."
    )
    tune: int = Field(1, ge=1, description="How many of them, the newest, decide when to stop.")
    rounds: int = Field(600, ge=1, description="Boosting rounds at most.")
    early_stopping: int = Field(30, ge=1, description="Rounds without a better tune loss before it stops.")
    learning_rate: float = Field(0.05, gt=0, le=1)
    max_depth: int = Field(4, ge=1, le=16)
    min_child_weight: float = Field(5.0, ge=0)
    subsample: float = Field(0.8, gt=0, le=1)
    colsample_bytree: float = Field(0.8, gt=0, le=1)
    reg_lambda: float = Field(5.0, ge=0)
    seed: int = 7

    @model_validator(mode="after")
    def _enough(self) -> "Train":
        if self.history <= self.tune:
            raise ValueError(
                f"train: history ({self.history} cutoffs) must be longer than tune ({self.tune})"
            )
        return self


def split_as_ofs(cutoff: date, label: Label, cutoffs: Cutoffs, train: Train) -> tuple[list[date], list[date]]:
    """The as_ofs a candidate at ``cutoff`` is fitted on and tuned on, both oldest first.

    Labels must have matured by the cutoff, so the newest as_of is a horizon before it; between the last
    train as_of and the first tune as_of lies a horizon too, so that no train label looks into tune.
    """
    history = cutoffs.before(cutoff - label.horizon, train.history)
    tune = history[-train.tune :]
    if not tune:
        return [], []
    return [as_of for as_of in history if as_of + label.horizon <= tune[0]], tune
