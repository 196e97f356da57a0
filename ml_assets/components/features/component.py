"""The component ``FeatureGroup``: features of an entity, from tiles to daily snapshots."""

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.features.checks import checks
from ml_assets.components.features.sensors import refresh_sensor
from ml_assets.components.shared.declared import DeclaredComponent
from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.metadata import column_lineage, declared, markdown_table, stored
from ml_assets.components.shared.partitions import AS_ONE_RUN, between, partitions_of, window
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.components.shared.results import finish, numbers_of
from ml_assets.components.shared.runs import failing, run_of
from ml_assets.features.catalogue import shown
from ml_assets.pipeline.steps.features import build_catalogue, build_snapshots, build_tiles
from ml_assets.project.group import Group, GroupSpec
from ml_assets.project.project import Project


class FeatureGroup(DeclaredComponent):
    """Features of one entity, from one source or several, strictly from what was known before each as_of."""

    declares = GroupSpec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets tiles, snapshot and catalogue, their checks, and the sensor that keeps them fresh."""
        group = Project(context.path.parent).group(context.path.name, self.spec)
        return dg.Definitions(
            assets=[_tiles(group), _snapshot(group), _catalogue(group)],
            asset_checks=checks(group),
            sensors=[refresh_sensor(group)],
        )


def _tiles(group: Group) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(group, "tiles"),
        deps=[
            dg.AssetDep(key_of(source, "events"), partition_mapping=window(-source.reach, 0))
            for source in group.sources.values()
        ],
        description=(
            f"Partial aggregates of one {group.features.entity.words} over one day of events, from which every window "
            "is summed. Partitioned by the day the events became available, so that late data appends."
        ),
        partitions_def=partitions_of(group.days),
        backfill_policy=AS_ONE_RUN,
        group_name=group.name,
        owners=list(group.owners),
        kinds={"deltalake", "duckdb"},
        metadata=declared(group.schemas["tiles"]),
    )
    def tiles(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.MaterializeResult:
        table = group.tiles(lake.lake)
        with connection(duckdb) as con:
            built = build_tiles(con, run_of(context), group, lake.lake, between(context))
            each = numbers_of(con, table, built.days)
        return finish(context, built.refused, built.days, each, stored(table, group.schemas["tiles"]))

    return tiles


def _snapshot(group: Group) -> dg.AssetsDefinition:
    lineage = {
        column: [
            (key_of(group.sources[source], "events"), source_column)
            for source, source_column in sorted(group.features.lineage(feature))
        ]
        for feature in group.features.features
        for column in feature.columns
    }

    @dg.asset(
        key=key_of(group, "snapshot"),
        deps=[dg.AssetDep(key_of(group, "tiles"), partition_mapping=window(*group.reach))],
        description=(
            f"All features of every {group.features.entity.words} at 00:00 UTC of the partition's day, from events that "
            "happened before it and were known by then."
        ),
        partitions_def=partitions_of(group.as_ofs),
        backfill_policy=AS_ONE_RUN,
        group_name=group.name,
        owners=list(group.owners),
        kinds={"deltalake", "duckdb"},
        metadata=declared(group.schemas["snapshot"]) | {"dagster/column_lineage": column_lineage(lineage)},
    )
    def snapshot(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.MaterializeResult:
        table = group.snapshot(lake.lake)
        with connection(duckdb) as con:
            built = build_snapshots(con, run_of(context), group, lake.lake, between(context))
            each = numbers_of(con, table, built.days)
        shown = stored(table, group.schemas["snapshot"]) | {"features": len(group.feature_types)}
        return finish(context, built.refused, built.days, each, shown)

    return snapshot


def _catalogue(group: Group) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(group, "catalogue"),
        deps=[key_of(group, "snapshot")],
        description=(
            "What every feature means, who answers for it, which columns of events it is computed from, which models "
            "use it, and how its values lie at the newest as_of."
        ),
        group_name=group.name,
        owners=list(group.owners),
        kinds={"deltalake", "duckdb"},
        metadata=declared(group.schemas["catalogue"]),
    )
    def catalogue(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.MaterializeResult:
        table = group.catalogue(lake.lake)
        with connection(duckdb) as con, failing():
            written = build_catalogue(con, run_of(context), group, lake.lake)
        return dg.MaterializeResult(
            metadata=stored(table, group.schemas["catalogue"])
            | {
                "dagster/row_count": len(written.rows),
                "as_of": str(written.as_of),
                "features": markdown_table([shown(row) for row in written.rows]),
            }
        )

    return catalogue
