"""What a model learns, from when to when, and how: the frozen specs behind a model's YAML."""

import itertools
import re
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from ml_assets.features.spec import Window, unknown
from ml_assets.training.estimators import NAMED, estimator_class
from ml_assets.training.target import BINARY, REGRESSION, Target

LABELS = ("absent", "occurs", "count", "sum", "time_to")


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
    """What is predicted of an entity at as_of, from the events within a horizon after it.

    Exactly one of ``absent``, ``occurs``, ``count``, ``sum`` and ``time_to`` is given; each is SQL over the source's
    columns. The horizon is closed at as_of and open at its end: as_of <= occurred_at < as_of + within.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    absent: str | None = Field(None, description="Label 1 if no event meets this SQL condition.")
    occurs: str | None = Field(None, description="Label 1 if an event meets this SQL condition.")
    count: str | None = Field(
        None, description="How many events meet this SQL condition; '*' counts all. A regression."
    )
    sum: str | None = Field(
        None,
        description="The sum of this SQL expression, to a millionth; 0 without an event. A regression.",
    )
    where: str | None = Field(None, description="Which events `sum` adds up, as an SQL condition.")
    time_to: str | None = Field(
        None, description="When the first event that meets this SQL condition comes, as one of `classes`."
    )
    classes: tuple[Window, ...] = Field(
        (), description="The ends of the classes of `time_to` before the horizon's, for example [7d, 14d]."
    )
    source: str | None = Field(
        None, description="Which of the group's sources it looks at; default the first."
    )
    within: Window = Field(description="The horizon in days, for example 28d.")

    @model_validator(mode="after")
    def _one_of_them(self) -> "Label":
        given = [name for name in LABELS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"label: give exactly one of {', '.join(LABELS)}; found {found}")
        if self.where is not None and self.sum is None:
            raise ValueError(
                f"label: where belongs to sum; {given[0]} has its condition in {given[0]} itself"
            )
        if self.classes and self.time_to is None:
            raise ValueError(f"label: classes belongs to time_to; {given[0]} has none")
        if self.time_to is not None and not self.classes:
            raise ValueError(
                "label: time_to needs classes, the ends of its classes before the horizon's: [7d, 14d]"
            )
        ends = [*self._ends, self.days]
        if any(second <= first for first, second in itertools.pairwise(ends)):
            raise ValueError(
                f"label: classes increase and end before within; found {', '.join(self.classes)} within {self.within}"
            )
        return self

    @property
    def _ends(self) -> list[int]:
        return [int(end[:-1]) for end in self.classes]

    @property
    def target(self) -> Target:
        """The kind of its values."""
        if self.time_to is not None:
            ends = [0, *self._ends, self.days]
            spans = [f"{first}-{last}d" for first, last in itertools.pairwise(ends)]
            return Target("multiclass", (*spans, f"not within {self.within}"))
        return BINARY if self.absent is not None or self.occurs is not None else REGRESSION

    @property
    def condition(self) -> str:
        """The SQL condition that an event must meet to count."""
        found = self.absent or self.occurs or self.count or self.time_to or self.where
        return "true" if found is None or found == "*" else found

    @property
    def expressions(self) -> tuple[str, ...]:
        """Every SQL text in it."""
        return (self.condition, self.sum) if self.sum is not None else (self.condition,)

    @property
    def of_events(self) -> str:
        """SQL: its value for a row, as an aggregate over the events ``met`` of the row ``members``; none met: nulls."""
        if self.absent is not None:
            return "(count(met.occurred_at) = 0)::INTEGER"
        if self.occurs is not None:
            return "(count(met.occurred_at) > 0)::INTEGER"
        if self.count is not None:
            return "count(met.occurred_at)::DOUBLE"
        if self.sum is not None:
            return "coalesce(sum(met.amount_of_label), 0)::DOUBLE"
        begins = "CAST(members.as_of AS TIMESTAMPTZ)"
        first = "min(met.occurred_at)"
        cases = "".join(
            f" WHEN {first} < {begins} + INTERVAL {end} DAY THEN {n}"
            for n, end in enumerate([*self._ends, self.days])
        )
        return f"(CASE{cases} ELSE {len(self._ends) + 1} END)::INTEGER"

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


Span = tuple[float, float] | tuple[float, float, Literal["log"]] | tuple[str, ...]


class Search(BaseModel):
    """A search for parameters by Optuna, on the loss of tune: seeded, pruned, taken up again where it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int = Field(20, ge=1, description="How many sets of parameters are tried.")
    minutes: float | None = Field(
        None, gt=0, description="Stop after so long; then two searches may end at other parameters."
    )
    space: dict[str, Span] = Field(
        {},
        description="Where to look, instead of the estimator's own space: [lowest, highest], "
        "[lowest, highest, log], or a list of words.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> "Search":
        for name, span in self.space.items():
            low, high = span[0], span[1] if len(span) > 1 else None
            if isinstance(low, str):
                continue
            if not (isinstance(high, int | float) and low < high):
                raise ValueError(f"search: space of {name} is [lowest, highest], not {list(span)}")
            if "log" in span and low <= 0:
                raise ValueError(f"search: space of {name} is by log, so lowest is more than 0, not {low:g}")
        return self


class Train(BaseModel):
    """How a candidate is fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: str = Field(
        "xgboost",
        description=f"{', '.join(NAMED)}, or the dotted path of a class that derives from Estimator.",
    )
    parameters: dict[str, Any] = Field({}, description="Parameters of the estimator, each with a default.")
    history: CutoffCount = Field(
        12, description="How many cutoffs back labels are taken from, tune included."
    )
    tune: int = Field(1, ge=1, description="How many of them, the newest, decide when to stop.")
    after_each: str | None = Field(
        None, description="Train right after each event that meets this SQL condition, not at the cutoffs."
    )
    weight: str | None = Field(
        None,
        description="What a train row weighs: SQL over the features, as_of and cutoff; more than 0. Default 1.",
    )
    balance: bool = Field(
        False,
        description="Whether all classes weigh the same in the fit; probabilities are corrected back.",
    )
    monotone: dict[str, Literal["increasing", "decreasing"]] = Field(
        {}, description="Features with which the score may only rise, or only fall."
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="Where XGBoost fits.")
    search: Search | None = Field(None, description="Look for better parameters; without it they stand.")
    seed: int = 7

    @model_validator(mode="after")
    def _enough(self) -> "Train":
        if self.history <= self.tune:
            raise ValueError(
                f"train: history ({self.history} cutoffs) must be longer than tune ({self.tune})"
            )
        return self

    @model_validator(mode="after")
    def _parameters(self) -> "Train":
        known = estimator_class(self.estimator).Parameters
        for name in [*self.parameters, *(self.search.space if self.search else ())]:
            if name not in known.model_fields:
                raise ValueError(f"train: {unknown(name, list(known.model_fields), 'parameter')}")
        try:
            known.model_validate(self.parameters)
        except ValidationError as error:
            found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ValueError(f"train.parameters of {self.estimator}: {found}") from error
        return self

    @property
    def monotone_ways(self) -> dict[str, int]:
        """Feature -> 1 where the score may only rise with it, -1 where it may only fall."""
        return {name: 1 if way == "increasing" else -1 for name, way in self.monotone.items()}


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
