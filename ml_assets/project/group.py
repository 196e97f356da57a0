"""A feature group: what its YAML declares, with the sources it reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import duckdb
from pydantic import Field

from ml_assets.features import Entity, Feature, FeatureError, FeatureSet
from ml_assets.features.definitions import snapshot_definitions, tile_definitions
from ml_assets.features.queries.schema import snapshot_types
from ml_assets.features.tables import CATALOGUE, SNAPSHOT, TILES
from ml_assets.lake import Between, Lake, Table
from ml_assets.lake.definition import Definitions
from ml_assets.lake.schema import StoredColumn
from ml_assets.project.calendar import DAY, Calendar
from ml_assets.project.declared import Declared
from ml_assets.project.source import Source
from ml_assets.project.tables import Schemas, group_schemas

EVERYTHING_BEFORE = -36_500
"""Days back that reach the beginning of any source."""


class GroupSpec(Declared):
    """Features of one entity, from one source or several, strictly from what was known before each as_of."""

    source: str | list[str] = Field(
        description="The folder of the EventSource, or a list of several; features read the first unless they say."
    )
    entity: str | list[str] = Field(
        description="The column that says what a prediction is about, or a list of several; every source has them."
    )
    features: list[Feature]
    owners: list[str] = Field(["team:ml"], description="Who answers for the features.")

    @property
    def source_names(self) -> list[str]:
        """The folders of the sources."""
        return [self.source] if isinstance(self.source, str) else self.source

    def bind(self, folder: Path, sources: Mapping[str, Source], models: tuple[str, ...]) -> "Group":
        """The group declared in ``folder``. Raises FeatureError naming the feature that can't be computed."""
        entity = Entity(self.entity) if isinstance(self.entity, str) else Entity(*self.entity)
        if not entity:
            raise FeatureError(
                "entity is empty: name the column that says what a prediction is about", "entity"
            )
        columns = {name: sources[name].columns for name in self.source_names}
        features = FeatureSet(entity, tuple(self.features), columns)
        snapshot_types(features)
        return Group(folder.name, dict(sources), features, models, tuple(self.owners))


@dataclass(frozen=True)
class Group:
    """A feature group with its sources."""

    name: str
    sources: Mapping[str, Source]
    """The sources it reads, by name; a feature that names none reads the first."""
    features: FeatureSet
    models: tuple[str, ...] = ()
    """The models that use its features."""
    owners: tuple[str, ...] = ()

    @cached_property
    def entity_columns(self) -> tuple[StoredColumn, ...]:
        """The columns that name what the features are of."""
        source = next(iter(self.sources.values()))
        return tuple(source.schemas["events"].column(name) for name in self.features.entity)

    @cached_property
    def schemas(self) -> Schemas:
        """The tables of the group, with their columns."""
        return group_schemas(self.features, self.entity_columns)

    @cached_property
    def _read(self) -> dict[str, Definitions]:
        return {name: source.contract.readings for name, source in self.sources.items()}

    @cached_property
    def tile_definitions(self) -> Definitions:
        """The hashes of the columns of ``tiles``, by name, and of what is read for them."""
        return tile_definitions(self.features, self._read)

    @cached_property
    def definitions(self) -> Definitions:
        """The hashes of the columns of ``snapshot``, by name, and of what is read for them."""
        return snapshot_definitions(self.features, self._read)

    def tiles(self, lake: Lake) -> Table:
        """The table of tiles."""
        return TILES.table(lake, self.name)

    def snapshot(self, lake: Lake) -> Table:
        """The table of snapshots."""
        return SNAPSHOT.table(lake, self.name)

    def catalogue(self, lake: Lake) -> Table:
        """The table of what each feature means and how its values lay at the newest as_of."""
        return CATALOGUE.table(lake, self.name)

    def events(self, lake: Lake) -> dict[str, Table]:
        """The table of events of each source."""
        return {name: source.tables(lake).events for name, source in self.sources.items()}

    @property
    def late_by(self) -> dict[str, int]:
        """Of each source, how many days can lie between an event's day and the day it became available."""
        return {name: source.reach for name, source in self.sources.items()}

    @property
    def days(self) -> Calendar:
        """The days of tiles: from the first day of any source to the last of any."""
        known = [source.days.last for source in self.sources.values() if source.days.last]
        first = min(source.days.first for source in self.sources.values())
        return Calendar(first, max(known) if len(known) == len(self.sources) else None)

    @property
    def as_ofs(self) -> Calendar:
        """The daily as_ofs: from the day after the first events to the day after the last."""
        days = self.days
        return Calendar(days.first + DAY, days.last + DAY if days.last else None)

    @property
    def reach(self) -> tuple[int, int]:
        """The tile days a snapshot reads, counted from its own day: all before, since who is known stays known."""
        return (EVERYTHING_BEFORE, -1)

    def refused(
        self, con: duckdb.DuckDBPyConnection, lake: Lake, table: str, between: Between
    ) -> dict[date, str]:
        """The days ``between`` of tiles or snapshot that can't be built, with the reasons.

        They read withheld days of a source, or a source of several has not landed so far yet.
        """
        refused: dict[date, str] = {}
        for source in self.sources.values():
            reach = (-source.reach, 0) if table == f"{self.name}/tiles" else self.reach
            refused |= source.refused(con, lake, between, reach)
            if len(self.sources) > 1:
                refused |= source.awaited(con, lake, between, reach[1])
        return dict(sorted(refused.items()))

    @property
    def feature_types(self) -> dict[str, str]:
        """Column -> DuckDB type of the features alone."""
        types = snapshot_types(self.features)
        return {name: types[name] for name in self.features.columns}
