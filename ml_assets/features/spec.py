"""What a feature is: an aggregation of the events of an entity before a moment, or an expression over others."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

from ml_assets.features.entity import Entity
from ml_assets.features.errors import FeatureError
from ml_assets.features.sql import columns_of


def _days(window: object) -> object:
    if isinstance(window, int):
        raise ValueError(f"a window is a number of days such as 28d, not {window}: write {window}d")
    if not isinstance(window, str) or not re.fullmatch(r"[1-9][0-9]*d", window):
        raise ValueError(f"a window is a number of days such as 7d, 28d or 56d, not {window!r}")
    return window


Window = Annotated[
    str,
    BeforeValidator(_days),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]*d$", "examples": ["28d"]}),
]

AGGREGATIONS = (
    "count",
    "count_distinct",
    "sum",
    "mean",
    "stddev",
    "min",
    "max",
    "mode",
    "last",
    "attribute",
    "time_since_last",
    "time_since_first",
)
UNWINDOWED = ("last", "attribute", "time_since_last", "time_since_first")
"""Aggregations that look back without a limit."""


class Example(BaseModel):
    """What a feature is for a few events of one entity: a test that stands beside the declaration.

    Each event has ``ago`` (how long before as_of it happened: 3d, 5h or 10min) and columns of the source; those left
    out are empty. ``gives`` is the value, or a list of the values of all columns, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class Expected(BaseModel):
    """What the values of a feature look like where all is well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Column name; windows are appended to it.")
    means: str | None = Field(None, description="What it says, in the words and the unit of the business.")
    description: str | None = Field(
        None, description="What an engineer should know of it: how, why so, its limits."
    )
    count: str | None = Field(None, description='Number of events; "*", or a column that must not be null.')
    count_distinct: str | None = Field(None, description="Number of different values.")
    sum: str | None = Field(None, description="Sum of an exact number: an integer or a DECIMAL.")
    mean: str | None = Field(None, description="Mean of an exact number, per event.")
    stddev: str | None = Field(
        None, description="Sample standard deviation of an exact number, to 6 decimals; of one event none."
    )
    min: str | None = Field(None, description="Smallest value.")
    max: str | None = Field(None, description="Largest value.")
    mode: str | None = Field(None, description="Most frequent value; the first in the alphabet among equals.")
    last: str | None = Field(None, description="Value of the last event that has one.")
    attribute: str | None = Field(
        None, description="Value in force: that of the last event, empty where the last event has none."
    )
    time_since_last: Literal["day"] | None = Field(None, description="Days since the last event.")
    time_since_first: Literal["day"] | None = Field(None, description="Days since the first event.")
    sql: str | None = Field(None, description="SQL expression over other features of the group.")
    source: str | None = Field(None, description="Which of the group's sources it reads; default the first.")
    where: str | None = Field(None, description="Only events for which this SQL condition is true.")
    windows: tuple[Window, ...] = Field((), description="How many days to look back, for example [7d, 28d].")
    owner: str | None = Field(None, description="Who answers for it, where that isn't the group's owner.")
    expect: Expected | None = Field(
        None, description="What its values look like: min, max, empty, median, values; else a warning."
    )
    example: Example | None = Field(
        None, description="Events and what it gives for them; `make test` tries it."
    )

    @model_validator(mode="after")
    def _one_way(self) -> "Feature":
        given = [kind for kind in (*AGGREGATIONS, "sql") if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(
                f"feature {self.name}: give exactly one of {', '.join(AGGREGATIONS)} or sql; found {found}"
            )
        if self.kind in (*UNWINDOWED, "sql"):
            if self.windows:
                raise ValueError(f"feature {self.name}: {self.kind} takes no windows")
            if self.kind == "sql" and (self.where or self.source):
                refused = "where" if self.where else "source"
                raise ValueError(f"feature {self.name}: sql is over features, so it takes no {refused}")
        elif not self.windows:
            raise ValueError(f"feature {self.name}: {self.kind} needs windows, for example [7d, 28d]")
        if len(set(self.windows)) != len(self.windows):
            raise ValueError(f"feature {self.name}: a window is named twice in {list(self.windows)}")
        return self

    @property
    def kind(self) -> str:
        """The aggregation, or ``sql``."""
        return next(k for k in (*AGGREGATIONS, "sql") if getattr(self, k) is not None)

    @property
    def is_carried(self) -> bool:
        """Whether it looks back without a limit."""
        return self.kind in UNWINDOWED

    @property
    def expression(self) -> str:
        """The SQL expression that is aggregated or computed."""
        expression: str = getattr(self, self.kind)
        return expression

    @property
    def columns(self) -> dict[str, int | None]:
        """Column name -> window in days (None: no window)."""
        if len(self.windows) > 1:
            return {f"{self.name}_{w}": int(w[:-1]) for w in self.windows}
        return {self.name: int(self.windows[0][:-1]) if self.windows else None}


@dataclass(frozen=True)
class FeatureSet:
    """The features of one entity over one source or several, checked against the sources' columns.

    ``sources`` maps the name of each source to its columns with their DuckDB types; a feature that names no source
    reads the first. Raises FeatureError naming the feature where an expression or an entity can't be resolved.
    """

    entity: Entity
    features: tuple[Feature, ...]
    sources: Mapping[str, Mapping[str, str]]

    def __post_init__(self) -> None:
        self._check_entity()
        for source in self.sources:
            if len(self.sources) > 1 and not self.of_source(source):
                raise FeatureError(f"no feature reads the source {source}: leave it out, or use it", source)
        names = [column for feature in self.features for column in feature.columns]
        for name in names:
            if names.count(name) > 1:
                raise FeatureError(f"two features give a column {name}: rename one", name)
            if name in (*self.entity, "as_of"):
                raise FeatureError(f"feature {name}: the name is taken by the snapshot's own column", name)
        for feature in self.features:
            self._check(feature)
        _ = self.ordered_sql

    def _check_entity(self) -> None:
        for column in self.entity:
            if self.entity.count(column) > 1:
                raise FeatureError(f"entity: {column} is named twice", column)
            for source, columns in self.sources.items():
                if column not in columns:
                    raise FeatureError(f"entity {column}, in {source}: {unknown(column, columns)}", column)
            types = {columns[column]: source for source, columns in self.sources.items()}
            if len(types) > 1:
                found = ", ".join(f"{kind} in {source}" for kind, source in types.items())
                raise FeatureError(
                    f"entity {column}: it is a {found}; declare the same type in both contracts", column
                )

    def _check(self, feature: Feature) -> None:
        if feature.source is not None and feature.source not in self.sources:
            raise FeatureError(
                f"feature {feature.name}: {unknown(feature.source, list(self.sources), 'source')}",
                feature.source,
            )
        columns = self.columns_for(feature)
        known: Sequence[str] = self.columns if feature.kind == "sql" else list(columns)
        expressions = (
            [] if feature.kind.startswith("time_since") or feature.expression == "*" else [feature.expression]
        )
        for text in [*expressions, *([feature.where] if feature.where else [])]:
            for column in columns_of(text, feature.name):
                if column not in known:
                    raise FeatureError(f"feature {feature.name}: {unknown(column, known)}", column)

        given = feature.example.events if feature.example else ()
        for column in {column: None for event in given for column in event if column != "ago"}:
            if column not in columns:
                raise FeatureError(
                    f"feature {feature.name}: its example has {unknown(column, columns)}", column
                )

    def source_of(self, feature: Feature) -> str:
        """The name of the source a feature reads: its own, or the first."""
        return feature.source or next(iter(self.sources))

    def of_source(self, source: str) -> list[Feature]:
        """The features that aggregate the events of a source, in the order of declaration."""
        return [f for f in self.features if f.kind != "sql" and self.source_of(f) == source]

    def columns_for(self, feature: Feature) -> Mapping[str, str]:
        """The columns, with their types, of the source a feature reads."""
        return self.sources[self.source_of(feature)]

    @property
    def entity_types(self) -> dict[str, str]:
        """Column -> DuckDB type of the entity."""
        types = next(iter(self.sources.values()))
        return {column: types[column] for column in self.entity}

    @cached_property
    def columns(self) -> list[str]:
        """Every feature column, in the order of declaration."""
        return [column for feature in self.features for column in feature.columns]

    @property
    def longest_window(self) -> int:
        """The longest window, in days; at least 1."""
        return max((days or 1 for feature in self.features for days in feature.columns.values()), default=1)

    @cached_property
    def ordered_sql(self) -> list[list[Feature]]:
        """The ``sql`` features in layers: each needs only aggregations and earlier layers."""
        waiting = [feature for feature in self.features if feature.kind == "sql"]
        ready = {c for feature in self.features if feature.kind != "sql" for c in feature.columns}
        layers: list[list[Feature]] = []
        while waiting:
            layer = [f for f in waiting if set(columns_of(f.expression, f.name)) <= ready]
            if not layer:
                circle = ", ".join(feature.name for feature in waiting)
                raise FeatureError(
                    f"features {circle} need each other in a circle: break it", waiting[0].name
                )
            layers.append(layer)
            ready |= {feature.name for feature in layer}
            waiting = [feature for feature in waiting if feature not in layer]
        return layers

    def lineage(self, feature: Feature) -> set[tuple[str, str]]:
        """The columns a feature is computed from, each with the name of its source."""
        if feature.kind == "sql":
            needed = set(columns_of(feature.expression, feature.name))
            return {c for f in self.features if needed & set(f.columns) for c in self.lineage(f)}
        texts = [feature.where] if feature.where else []
        if feature.expression != "*" and not feature.kind.startswith("time_since"):
            texts.append(feature.expression)
        read = {"occurred_at"} | {c for text in texts for c in columns_of(text, feature.name)}
        return {(self.source_of(feature), column) for column in read}


def unknown(name: str, known: Sequence[str] | Mapping[str, str], what: str = "column") -> str:
    """A sentence that says a name is unknown and which one was probably meant."""
    near = get_close_matches(name, list(known), n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"no {what} {name}; {hint}"
