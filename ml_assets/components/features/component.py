"""The component ``FeatureGroup``: features of an entity, from tiles to daily snapshots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource
from pydantic import Field

from ml_assets.components.shared.fields import spec
from ml_assets.components.shared.metadata import (
    column_lineage,
    column_schema,
    made_by,
    markdown_table,
    stored,
)
from ml_assets.components.shared.partitions import AS_ONE_RUN, between, daily, window
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.components.shared.results import finish
from ml_assets.components.source.component import EventSource
from ml_assets.components.source.sensors import Edge, refresh_sensor
from ml_assets.features import Entity, Feature, FeatureError, FeatureSet
from ml_assets.features.catalogue import COLUMNS
from ml_assets.lake import Between, Lake, Table, as_ranges, days, records
from ml_assets.project.declared import declared_with, located, referred
from ml_assets.project.source import Source

EVERYTHING_BEFORE = -36_500
"""Days back that reach the beginning of any source."""


@dataclass(frozen=True)
class Group:
    """A feature group as the other components see it."""

    name: str
    sources: Mapping[str, Source]
    """The sources it reads, by name; a feature that names none reads the first."""
    features: FeatureSet
    schema: dict[str, str]
    """Column -> DuckDB type of the snapshot, entity and as_of included."""
    models: tuple[str, ...] = ()
    """The models that use its features."""

    def key(self, asset: str) -> dg.AssetKey:
        """The key of one of the group's assets."""
        return dg.AssetKey([self.name, asset])

    def tiles(self, lake: Lake) -> Table:
        """The table of tiles."""
        return lake.table(f"{self.name}/tiles", "available_date")

    def snapshot(self, lake: Lake) -> Table:
        """The table of snapshots."""
        return lake.table(f"{self.name}/snapshot", "as_of")

    def catalogue(self, lake: Lake) -> Table:
        """The table of what each feature means and how its values lay at the newest as_of."""
        return lake.table(f"{self.name}/catalogue", "as_of")

    def events(self, lake: Lake) -> dict[str, Table]:
        """The table of events of each source."""
        return {name: source.tables(lake).events for name, source in self.sources.items()}

    @property
    def late_by(self) -> dict[str, int]:
        """Of each source, how many days can lie between an event's day and the day it became available."""
        return {name: source.reach for name, source in self.sources.items()}

    @property
    def partitions(self) -> dg.DailyPartitionsDefinition:
        """The days of tiles: from the first day of any source to the last of any."""
        ends = [source.partitions.end for source in self.sources.values()]
        known = [end.date() - timedelta(days=1) for end in ends if end]
        return daily(self.start, max(known) if len(known) == len(ends) else None)

    @property
    def start(self) -> date:
        """The first day of any source."""
        return min(source.partitions.start.date() for source in self.sources.values())

    @property
    def as_ofs(self) -> dg.DailyPartitionsDefinition:
        """The daily as_ofs: from the day after the first events to the day after the last."""
        end = self.partitions.end
        return daily(self.start + timedelta(days=1), end.date() if end else None)

    @property
    def reach(self) -> tuple[int, int]:
        """The tile days a snapshot reads, counted from its own day: all before, since who is known stays known."""
        return (EVERYTHING_BEFORE, -1)

    def edges(self, lake: Lake) -> list[Edge]:
        """What is built from what, in order: tiles from events, snapshots from tiles."""
        tiles, late_by = self.tiles(lake), self.late_by
        return [
            *(
                Edge(events, tiles, (-late_by[name], 0), self.partitions)
                for name, events in self.events(lake).items()
            ),
            Edge(tiles, self.snapshot(lake), self.reach, self.as_ofs, beside=(self.key("catalogue"),)),
        ]

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

    def current(self, lake: Lake, as_ofs: Sequence[date]) -> list[date]:
        """Those of ``as_ofs`` that read no events which have changed since."""
        *to_tiles, to_snapshots = (edge.stale() for edge in self.edges(lake))
        tiles = set[date]().union(*to_tiles)
        return [day for day in as_ofs if day not in to_snapshots and not any(tile < day for tile in tiles)]

    @property
    def feature_types(self) -> dict[str, str]:
        """Column -> DuckDB type of the features alone."""
        return {
            name: kind for name, kind in self.schema.items() if name not in (*self.features.entity, "as_of")
        }


class FeatureGroup(dg.Component, dg.Model, dg.Resolvable):
    """Features of one entity, from one source or several, strictly from what was known before each as_of."""

    source: str | list[str] = Field(
        description="The folder of the EventSource, or a list of several; features read the first unless they say."
    )
    entity: str | list[str] = Field(
        description="The column that says what a prediction is about, or a list of several; every source has them."
    )
    features: Annotated[Any, spec(list[Feature])]
    owners: list[str] = Field(["team:ml"], description="Who answers for the features.")

    @property
    def source_names(self) -> list[str]:
        """The folders of the sources."""
        return [self.source] if isinstance(self.source, str) else self.source

    def bind(self, folder: Path, sources: Mapping[str, Source]) -> Group:
        """The group declared in ``folder``. Raises FeatureError naming the feature that can't be computed."""
        from ml_assets.features.queries.schema import snapshot_schema

        entity = Entity(self.entity) if isinstance(self.entity, str) else Entity(*self.entity)
        if not entity:
            raise FeatureError(
                "entity is empty: name the column that says what a prediction is about", "entity"
            )
        columns = {name: sources[name].columns for name in self.source_names}
        features = FeatureSet(entity, tuple(self.features), columns)
        models = declared_with(folder, "features", folder.name)
        return Group(folder.name, dict(sources), features, snapshot_schema(features), tuple(models))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets tiles, snapshot and catalogue, their checks, and the sensor that keeps them fresh."""
        from ml_assets.components.features import checks as feature_checks

        group = load_group(context, self, context.path)
        return dg.Definitions(
            assets=[self._tiles(group), self._snapshot(group), self._catalogue(group)],
            asset_checks=feature_checks.checks(group),
            sensors=[refresh_sensor(group.name, group.edges, group.refused)],
        )

    def _tiles(self, group: Group) -> dg.AssetsDefinition:
        @dg.asset(
            key=group.key("tiles"),
            deps=[
                dg.AssetDep(source.key("events"), partition_mapping=window(-source.reach, 0))
                for source in group.sources.values()
            ],
            description=(
                f"Partial aggregates of one {group.features.entity} over one day of events, from which every window "
                "is summed. Partitioned by the day the events became available, so that late data appends."
            ),
            partitions_def=group.partitions,
            backfill_policy=AS_ONE_RUN,
            group_name=group.name,
            owners=self.owners,
            kinds={"deltalake", "duckdb"},
        )
        def tiles(
            context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
        ) -> dg.MaterializeResult:
            from ml_assets.features.store import write_tiles

            events, table = group.events(lake.lake), group.tiles(lake.lake)
            made = made_by(context, **{each.name: each.version for each in events.values()})
            with connection(duckdb) as con:
                refused = group.refused(con, lake.lake, table.name, between(context))
                built = sorted(set(days(*between(context))) - set(refused))
                rows = {
                    part: write_tiles(con, group.features, events, table, part, group.late_by, made)
                    for part in as_ranges(set(built))
                }
                shown = stored(con, table) if table.exists else {}
            return finish(context, refused, built, shown | {"dagster/row_count": sum(rows.values())})

        return tiles

    def _snapshot(self, group: Group) -> dg.AssetsDefinition:
        means = _meanings(group)
        lineage = {
            column: [
                (group.sources[source].key("events"), source_column)
                for source, source_column in sorted(group.features.lineage(feature))
            ]
            for feature in group.features.features
            for column in feature.columns
        }

        @dg.asset(
            key=group.key("snapshot"),
            deps=[dg.AssetDep(group.key("tiles"), partition_mapping=window(*group.reach))],
            description=(
                f"All features of every {group.features.entity} at 00:00 UTC of the partition's day, from events that "
                "happened before it and were known by then."
            ),
            partitions_def=group.as_ofs,
            backfill_policy=AS_ONE_RUN,
            group_name=group.name,
            owners=self.owners,
            kinds={"deltalake", "duckdb"},
            metadata={
                "dagster/column_schema": column_schema(
                    {name: (sql_type, means[name]) for name, sql_type in group.schema.items()}
                ),
                "dagster/column_lineage": column_lineage(lineage),
            },
        )
        def snapshot(
            context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
        ) -> dg.MaterializeResult:
            from ml_assets.features.store import write_snapshots

            tiles, table = group.tiles(lake.lake), group.snapshot(lake.lake)
            made = made_by(context, **{tiles.name: tiles.version})
            with connection(duckdb) as con:
                refused = group.refused(con, lake.lake, table.name, between(context))
                built = sorted(set(days(*between(context))) - set(refused))
                rows = {
                    part: write_snapshots(con, group.features, tiles, table, part, group.reach, made)
                    for part in as_ranges(set(built))
                }
            shown = {
                "dagster/row_count": sum(rows.values()),
                "dagster/uri": table.uri,
                "table version": table.version,
                "features": len(group.feature_types),
            }
            return finish(context, refused, built, shown)

        return snapshot

    def _catalogue(self, group: Group) -> dg.AssetsDefinition:
        @dg.asset(
            key=group.key("catalogue"),
            deps=[group.key("snapshot")],
            description=(
                "What every feature means, who answers for it, which columns of events it is computed from, which models "
                "use it, and how its values lie at the newest as_of."
            ),
            group_name=group.name,
            owners=self.owners,
            kinds={"deltalake", "duckdb"},
            metadata={
                "dagster/column_schema": column_schema({name: (kind, "") for name, kind in COLUMNS.items()})
            },
        )
        def catalogue(
            context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
        ) -> dg.MaterializeResult:
            from ml_assets.features.catalogue import catalogue, shown

            snapshot, table = group.snapshot(lake.lake), group.catalogue(lake.lake)
            with connection(duckdb) as con:
                [(newest,)] = snapshot.read(con, columns=["as_of"]).aggregate("max(as_of)").fetchall()
                if newest is None:
                    raise dg.Failure(
                        f"{snapshot.name} has no rows yet. Materialize a partition of it first.",
                        allow_retries=False,
                    )
                rows = catalogue(
                    con,
                    group.features,
                    group.schema,
                    snapshot.read(con, between=(newest, newest)),
                    newest,
                    owners=self.owners,
                    models=group.models,
                )
                made = made_by(context, **{snapshot.name: snapshot.version})
                table.update(con, records(con, rows, COLUMNS), between=(newest, newest), provenance=made)
            return dg.MaterializeResult(
                metadata={
                    "dagster/row_count": len(rows),
                    "dagster/uri": table.uri,
                    "table version": table.version,
                    "as_of": str(newest),
                    "features": markdown_table([shown(row) for row in rows]),
                }
            )

        return catalogue


def load_group(context: dg.ComponentLoadContext, group: FeatureGroup, folder: Path) -> Group:
    """Bind a feature group and the source it names."""
    sources = {
        name: referred(context, folder, name, EventSource).bind(folder.parent / name)
        for name in group.source_names
    }
    with located(folder):
        return group.bind(folder, sources)


def _meanings(group: Group) -> dict[str, str]:
    means = dict.fromkeys(group.features.entity, "The entity.") | {
        "as_of": "The moment, 00:00 UTC of this day."
    }
    for feature in group.features.features:
        for column, length in feature.columns.items():
            window_text = f", over the last {length} days" if length else ""
            means[column] = f"{feature.means or feature.name}{window_text}"
    return means
