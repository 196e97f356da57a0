"""The features of one entity, checked against the columns of the events they read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from ml_assets.features.aggregations.aggregation import Aggregation, Folded, Tally
from ml_assets.features.aggregations.distinct import Distinct
from ml_assets.features.entity import Entity
from ml_assets.features.errors import FeatureError
from ml_assets.features.spec import Feature, unknown

Way = TypeVar("Way", bound=Aggregation, covariant=True)

OWN = ("as_of", "event_date", "available_date", "occurred_at", "available_at")
"""The columns that tiles, snapshots and events have beside those of the entity."""


@dataclass(frozen=True)
class Aggregated(Generic[Way]):
    """A column of features that is aggregated, with the days it looks back (None: without a limit)."""

    name: str
    by: Way
    days: int | None


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
            if name in ("as_of", *map(str.lower, self.entity)):
                raise FeatureError(f"feature {name}: the name is taken by the snapshot's own column", name)
        parts = {f"{c.name}__{part}": c.by.name for c in self.aggregated for part in c.by.parts}
        parts |= {part: each.name for each in self.aggregations for part in each.columns}
        for name in names:
            if name in parts:
                raise FeatureError(
                    f"feature {name}: the name is taken by a part of {parts[name]}; rename it", name
                )
        for column in self.entity:
            if column.lower() in parts:
                raise FeatureError(
                    f"entity {column}: the name is taken by a part of {parts[column.lower()]}; rename one",
                    column,
                )
        for feature in self.features:
            self._check(feature)
        _ = self.ordered_sql

    def _check_entity(self) -> None:
        for column in self.entity:
            if column.lower() in OWN:
                raise FeatureError(
                    f"entity {column}: the name is taken by a column that tiles and snapshots have of their own; name "
                    "what a prediction is about by another column",
                    column,
                )
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
        for column in feature.reads:
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

    def of_source(self, source: str) -> list[Aggregation]:
        """What is aggregated of the events of a source, in the order of declaration."""
        return [f.aggregation for f in self.features if f.aggregation and self.source_of(f) == source]

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

    @cached_property
    def aggregations(self) -> list[Aggregation]:
        """What is aggregated, in the order of declaration."""
        return [feature.aggregation for feature in self.features if feature.aggregation]

    @cached_property
    def aggregated(self) -> list[Aggregated[Aggregation]]:
        """The columns that are aggregated, in the order of declaration."""
        return [
            Aggregated(column, feature.aggregation, days)
            for feature in self.features
            if feature.aggregation
            for column, days in feature.columns.items()
        ]

    @property
    def folded(self) -> list[Aggregated[Folded]]:
        """The columns whose parts are merged by SQL aggregates."""
        return [Aggregated(c.name, c.by, c.days) for c in self.aggregated if isinstance(c.by, Folded)]

    @property
    def tallied(self) -> list[Aggregated[Tally]]:
        """The columns that come of how often each value occurs."""
        return [Aggregated(c.name, c.by, c.days) for c in self.aggregated if isinstance(c.by, Tally)]

    @property
    def distinct(self) -> list[Aggregated[Distinct]]:
        """The columns that count different values."""
        return [Aggregated(c.name, c.by, c.days) for c in self.aggregated if isinstance(c.by, Distinct)]

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
            layer = [f for f in waiting if set(f.reads) <= ready]
            if not layer:
                circle = ", ".join(feature.name for feature in waiting)
                raise FeatureError(
                    f"features {circle} need each other in a circle: break it", waiting[0].name
                )
            layers.append(layer)
            ready |= {feature.name for feature in layer}
            waiting = [feature for feature in waiting if feature not in layer]
        return layers

    @cached_property
    def readers(self) -> dict[str, set[str]]:
        """The columns of features that read a column of tiles, by its name, directly or by way of others."""
        found = {}
        for feature in self.features:
            read = set(feature.columns)
            for layer in self.ordered_sql:
                read |= {each.name for each in layer if read & set(each.reads)}
            for part in feature.aggregation.columns if feature.aggregation else ():
                found[part] = read
        return found

    def only(self, columns: Collection[str]) -> "FeatureSet":
        """The features that give these columns, with those that they read."""
        wanted, before = set(columns), set[str]()
        while wanted != before:
            before = set(wanted)
            for feature in self.features:
                if feature.kind == "sql" and wanted & set(feature.columns):
                    wanted |= set(feature.reads)
        features = tuple(
            feature
            if feature.kind == "sql"
            else feature.model_copy(update={"source": self.source_of(feature)})
            for feature in self.features
            if wanted & set(feature.columns)
        )
        read = {feature.source for feature in features}
        return FeatureSet(
            self.entity, features, {name: each for name, each in self.sources.items() if name in read}
        )

    def lineage(self, feature: Feature) -> set[tuple[str, str]]:
        """The columns a feature is computed from, each with the name of its source."""
        if feature.kind == "sql":
            needed = set(feature.reads)
            return {c for f in self.features if needed & set(f.columns) for c in self.lineage(f)}
        return {(self.source_of(feature), column) for column in ("occurred_at", *feature.reads)}
