"""What a model learns, from when to when, and how: the frozen specs behind a model's YAML."""

import itertools
import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from ml_assets.features.spec import Window, unknown
from ml_assets.lake.days import check_order
from ml_assets.training.estimators import NAMED, Parameters, estimator_class
from ml_assets.training.frames import TEXT
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

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

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
            return "coalesce(sum(met.__amount), 0)::DOUBLE"
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

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    every: Literal["week"] = "week"
    start: date = Field(description="The first cutoff.")
    end: date | None = Field(
        None, description="Where the cutoffs end; without it they go on with the calendar."
    )

    @field_validator("end")
    @classmethod
    def _in_order(cls, end: date | None, info: ValidationInfo) -> date | None:
        if "start" in info.data:
            check_order(info.data["start"], end)
        return end

    def before(self, day: date, count: int) -> list[date]:
        """The ``count`` cutoffs at or before ``day``, oldest first; fewer where the cutoffs begin."""
        newest = (day - self.start).days // 7
        return [self.start + timedelta(weeks=n) for n in range(max(0, newest - count + 1), newest + 1)]


def _span(given: object) -> object:
    match given:
        case [int() | float() as low, int() | float() as high, *by] if by in ([], ["log"]):
            if not low < high:
                raise ValueError(f"the lowest comes before the highest, unlike in {list(given)}")
            if by and low <= 0:
                raise ValueError(f"by log the lowest is more than 0, unlike in {list(given)}")
        case [str(), str(), *more] if all(isinstance(word, str) for word in more):
            pass
        case _:
            raise ValueError(f"[lowest, highest], [lowest, highest, log], or a list of words, not {given}")
    return given


Span = Annotated[
    tuple[float, float] | tuple[float, float, Literal["log"]] | tuple[str, ...], BeforeValidator(_span)
]


class Search(BaseModel):
    """A search for parameters by Optuna, on the loss of tune: seeded, pruned, taken up again where it was."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    trials: int = Field(20, ge=1, description="How many sets of parameters are tried.")
    minutes: float | None = Field(
        None, gt=0, description="Stop after so long; then two searches may end at other parameters."
    )
    space: dict[str, Span] = Field(
        {},
        description="Where to look, instead of the estimator's own space: [lowest, highest], "
        "[lowest, highest, log], or a list of words.",
    )


def _parameters(estimator: str, given: Mapping[str, Any], where: str) -> Parameters:
    """Parameters as their estimator takes them. Raises ValueError that says ``where`` they stand."""
    kind = estimator_class(estimator).Parameters
    for name in given:
        if name not in kind.model_fields:
            raise ValueError(f"{where} of {estimator}: {unknown(name, list(kind.model_fields), 'parameter')}")
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ValueError(f"{where} of {estimator}: {found}") from error


class Train(BaseModel):
    """How a candidate is fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

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
        description="What a row of train or tune weighs: SQL over the features, as_of and cutoff; more than 0. Default 1.",
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

    @field_validator("estimator")
    @classmethod
    def _there_is_one(cls, name: str) -> str:
        estimator_class(name)
        return name

    @field_validator("parameters")
    @classmethod
    def _of_the_estimator(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "estimator" in info.data:
            _parameters(info.data["estimator"], given, "train.parameters")
        return given

    @model_validator(mode="after")
    def _can_be_done(self) -> "Train":
        kind = estimator_class(self.estimator)
        if self.device not in kind.devices:
            raise ValueError(
                f"train: {self.estimator} fits on {' or '.join(kind.devices)}, not on {self.device}"
            )
        if self.monotone and not kind.keeps_monotone:
            raise ValueError(
                f"train: {self.estimator} can't keep to monotone; xgboost and hist_gradient_boosting can"
            )
        return self

    @model_validator(mode="after")
    def _space(self) -> "Train":
        """Each end of the space is a parameter that would do, and the parameters as they stand lie within."""
        if self.search is None:
            return self
        if not self.search_space:
            raise ValueError(
                f"train.search: {self.estimator} has no space of its own; give search.space, for example "
                "{depth: [2, 8]}"
            )
        if "loss" in self.search_space:
            raise ValueError(
                "train.search: loss is what a fit minimises, and no two compare; set it under train.parameters"
            )
        own = _parameters(self.estimator, self.parameters, "train.parameters").model_dump()
        for name, span in self.search_space.items():
            ends = span if isinstance(span[0], str) else span[:2]
            for end in ends:
                _parameters(self.estimator, {**self.parameters, name: end}, "train.search.space")
            within = own[name] in span if isinstance(span[0], str) else ends[0] <= own[name] <= ends[1]
            if not within:
                raise ValueError(
                    f"train.search: {name} is {own[name]}, outside of its space {list(span)}, and a search begins with "
                    f"the parameters as they stand; set train.parameters.{name} within, or search.space around it"
                )
        return self

    @property
    def search_space(self) -> Mapping[str, Span]:
        """Where the search looks: the space that is given, or the estimator's own."""
        given = self.search.space if self.search else {}
        return given or estimator_class(self.estimator).space  # type: ignore[return-value]

    def check_serves(self, target: Target, schema: Mapping[str, str]) -> None:
        """Raise ValueError where this can't be fitted to a target, with features of column -> DuckDB type."""
        kind = estimator_class(self.estimator)
        if target.kind not in kind.kinds:
            others = [name for name in NAMED if target.kind in estimator_class(name).kinds]
            raise ValueError(
                f"train: {self.estimator} is for a {' or '.join(kind.kinds)} label, and this one is a {target.kind}; "
                f"choose {' or '.join(others)}"
            )
        if self.balance and not target.is_classes:
            raise ValueError(
                "train: balance makes classes weigh the same, and a regression has none; use weight"
            )
        if self.monotone and target.kind == "multiclass":
            raise ValueError(
                "train: monotone holds for one score, and a multiclass label has one per class; leave it out"
            )
        for column in self.monotone:
            if column not in schema:
                raise ValueError(f"train.monotone: {unknown(column, schema, 'feature')}")
            if schema[column] in (TEXT, "BOOLEAN"):
                raise ValueError(
                    f"train.monotone: {column} is {schema[column]}, and categories have no order"
                )

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
