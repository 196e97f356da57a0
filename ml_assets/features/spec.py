"""What a feature is: an aggregation of the events of an entity before a moment, or an expression over others."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from ml_assets.features.aggregations.aggregation import Aggregation
from ml_assets.features.aggregations.count import Count
from ml_assets.features.aggregations.distinct import Distinct
from ml_assets.features.aggregations.extremes import Largest, Smallest
from ml_assets.features.aggregations.first import First
from ml_assets.features.aggregations.latest import Attribute, Last
from ml_assets.features.aggregations.mode import Mode
from ml_assets.features.aggregations.quantile import Quantile
from ml_assets.features.aggregations.sums import Mean, Stddev, Sum
from ml_assets.features.aggregations.time_since import TimeSinceFirst, TimeSinceLast
from ml_assets.features.sql import columns_of
from ml_assets.lake.sql import RESERVED_PREFIX, is_reserved


def _days(window: object) -> object:
    if isinstance(window, int):
        raise ValueError(f"a window is a number of days such as 28d, not {window}: write {window}d")
    if not isinstance(window, str) or not re.fullmatch(r"[1-9][0-9]*d", window):
        raise ValueError(f"a window is a number of days such as 7d, 28d or 56d, not {window!r}")
    if int(window[:-1]) > LONGEST:
        raise ValueError(
            f"a window is at most {LONGEST}d, not {window!r}; leave windows out to look back without limit"
        )
    return window


LONGEST = 36_500
"""Days of the longest window: a century."""
Window = Annotated[
    str,
    BeforeValidator(_days),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]*d$", "examples": ["28d"]}),
]

AGGREGATIONS: dict[str, type[Aggregation]] = {}
"""The aggregations by their YAML key, in the order in which ``Feature`` names them."""


def _by(aggregation: type[Aggregation]) -> Any:
    """The field of an aggregation, which makes it known."""
    AGGREGATIONS[aggregation.key] = aggregation
    return Field(None, description=aggregation.means)


class Example(BaseModel):
    """What a feature is for a few events of one entity: a test that stands beside the declaration.

    Each event has ``ago`` (how long before as_of it happened: 3d, 5h or 10min) and columns of the source; those left
    out are empty. ``gives`` is the value, or a list of the values of all columns, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    events: tuple[dict[str, Any], ...] = Field(description="Events, each with ago and columns of the source.")
    gives: Any = Field(description="The value; of several columns a list.")

    def __hash__(self) -> int:
        return hash(repr((self.events, self.gives)))

    @field_validator("events")
    @classmethod
    def _each_has_a_time(cls, events: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        for event in events:
            if not re.fullmatch(r"[0-9]+(d|h|min)", str(event.get("ago"))):
                raise ValueError(
                    f"an example's event needs ago, such as 3d, 5h or 10min, not {event.get('ago')!r}"
                )
        return events


class Expectation(BaseModel):
    """What the values of a feature look like where all is well."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    min: float | None = Field(None, description="The smallest number to expect.")
    max: float | None = Field(None, description="The largest number to expect.")
    empty: float | None = Field(
        None, ge=0, le=1, description="The largest share of entities without a value."
    )
    median: tuple[float, float] | None = Field(None, description="Between which numbers the median lies.")
    values: tuple[str, ...] | None = Field(None, description="All the values there can be.")


class Feature(BaseModel):
    """One declared feature; several windows make several columns.

    Exactly one aggregation is given, with an SQL expression over the source's columns (``count: "*"``
    counts events; ``time_since_last: day`` and ``time_since_first: day`` give days), or ``sql``, an
    expression over other features. A feature with one window, or none, is a column of its own name; with
    several, one column ``<name>_<window>`` each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Column name; windows are appended to it.")
    means: str | None = Field(None, description="What it says, in the words and the unit of the business.")
    description: str | None = Field(
        None, description="What an engineer should know of it: how, why so, its limits."
    )
    count: str | None = _by(Count)
    count_distinct: str | None = _by(Distinct)
    sum: str | None = _by(Sum)
    mean: str | None = _by(Mean)
    stddev: str | None = _by(Stddev)
    min: str | None = _by(Smallest)
    max: str | None = _by(Largest)
    mode: str | None = _by(Mode)
    quantile: str | None = _by(Quantile)
    first: str | None = _by(First)
    last: str | None = _by(Last)
    attribute: str | None = _by(Attribute)
    time_since_last: Literal["day"] | None = _by(TimeSinceLast)
    time_since_first: Literal["day"] | None = _by(TimeSinceFirst)
    sql: str | None = Field(None, description="SQL expression over other features of the group.")
    source: str | None = Field(None, description="Which of the group's sources it reads; default the first.")
    where: str | None = Field(None, description="Only events for which this SQL condition is true.")
    q: float | None = Field(None, description="Of quantile: which share, between 0 and 1; default 0.5.")
    windows: tuple[Window, ...] = Field((), description="How many days to look back, for example [7d, 28d].")
    owner: str | None = Field(None, description="Who answers for it, where that isn't the group's owner.")
    expect: Expectation | None = Field(
        None, description="What its values look like: min, max, empty, median, values; else a warning."
    )
    example: Example | None = Field(
        None, description="Events and what it gives for them; `make test` tries it."
    )

    @field_validator("name", mode="before")
    @classmethod
    def _is_not_reserved(cls, name: object) -> object:
        if isinstance(name, str) and is_reserved(name):
            raise ValueError(
                f"feature {name}: columns that queries make begin with {RESERVED_PREFIX}; rename it"
            )
        return name

    @model_validator(mode="after")
    def _one_way(self) -> "Feature":
        given = [kind for kind in (*AGGREGATIONS, "sql") if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(
                f"feature {self.name}: give exactly one of {', '.join(AGGREGATIONS)} or sql; found {found}"
            )
        if self.kind != "count" and getattr(self, self.kind).strip() == "*":
            raise ValueError(
                f"feature {self.name}: {self.kind} needs a column or an expression; * is for count alone"
            )
        if self.kind == "sql" and (self.where or self.source):
            refused = "where" if self.where else "source"
            raise ValueError(f"feature {self.name}: sql is over features, so it takes no {refused}")
        taken = AGGREGATIONS[self.kind].parameters() if self.kind != "sql" else set()
        for kind, other in AGGREGATIONS.items():
            for parameter in other.parameters() - taken:
                if getattr(self, parameter) is not None:
                    raise ValueError(
                        f"feature {self.name}: {self.kind} takes no {parameter}, which is for {kind}"
                    )
        windowed = self.aggregation is not None and self.aggregation.windowed
        if self.windows and not windowed:
            raise ValueError(f"feature {self.name}: {self.kind} takes no windows")
        if windowed and not self.windows:
            raise ValueError(f"feature {self.name}: {self.kind} needs windows, for example [7d, 28d]")
        if len(set(self.windows)) != len(self.windows):
            raise ValueError(f"feature {self.name}: a window is named twice in {list(self.windows)}")
        return self

    @property
    def kind(self) -> str:
        """The aggregation, or ``sql``."""
        return next(k for k in (*AGGREGATIONS, "sql") if getattr(self, k) is not None)

    @property
    def expression(self) -> str:
        """The SQL expression that is aggregated or computed."""
        expression: str = getattr(self, self.kind)
        return expression

    @cached_property
    def aggregation(self) -> Aggregation | None:
        """What it aggregates events by; none of ``sql``."""
        if self.kind == "sql":
            return None
        way = AGGREGATIONS[self.kind]
        given = {name: value for name in way.parameters() if (value := getattr(self, name)) is not None}
        return way(self.name, self.expression, self.where, **given)

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that its SQL names: of events, or with ``sql`` of other features."""
        value = self.aggregation.read if self.aggregation else self.expression
        texts = [text for text in (value, self.where) if text]
        return tuple(
            dict.fromkeys(column for text in texts for column in columns_of(text, f"feature {self.name}"))
        )

    @property
    def columns(self) -> dict[str, int | None]:
        """Column name -> window in days (None: no window)."""
        if len(self.windows) > 1:
            return {f"{self.name}_{w}": int(w[:-1]) for w in self.windows}
        return {self.name: int(self.windows[0][:-1]) if self.windows else None}


def unknown(name: str, known: Sequence[str] | Mapping[str, str], what: str = "column") -> str:
    """A sentence that says a name is unknown and which one was probably meant."""
    near = get_close_matches(name, list(known), n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"no {what} {name}; {hint}"
