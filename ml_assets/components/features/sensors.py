"""The refresh sensor: changed events or definitions -> tiles, then snapshots, of the days that read them."""

from datetime import date

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.requests import answer, ask, request_key
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.lake import Lake, as_ranges
from ml_assets.lake.definition import hash_of
from ml_assets.pipeline.due.adoption import adopt
from ml_assets.pipeline.due.features import buildable_days, edges
from ml_assets.pipeline.run import Run
from ml_assets.project.group import Group


def refresh_sensor(group: Group) -> dg.SensorDefinition:
    """Changed upstream tables or definitions -> the tiles, then the snapshots, of the days that read them.

    Days that read withheld days are not asked for until those are mended or waived.
    """
    jobs = {
        edge.downstream.name: dg.define_asset_job(
            edge.downstream.name.replace("/", "_"),
            selection=dg.AssetSelection.assets(*(dg.AssetKey(asset.split("/")) for asset in edge.assets)),
        )
        for edge in edges(group, Lake(""))
    }

    @dg.sensor(
        name=f"{group.name}_refresh",
        description=f"Asks for the tiles and snapshots of {group.name} whose events or definitions have changed.",
        jobs=list(jobs.values()),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def refresh(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        reasons: dict[date, str] = {}
        with connection(duckdb) as con:
            adopt(con, Run(""), lake.lake, group)
        for edge in edges(group, lake.lake):
            with connection(duckdb) as con:
                due, refused = buildable_days(con, lake.lake, group, edge)
            reasons |= refused
            if due:
                outcomes = [
                    ask(
                        context.instance,
                        request_key(
                            edge.downstream.name,
                            [
                                first,
                                last,
                                edge.upstream.version,
                                edge.downstream.version,
                                hash_of(edge.definitions),
                            ],
                        ),
                        between=(first, last),
                        job=jobs[edge.downstream.name].name,
                    )
                    for first, last in as_ranges(due)
                ]
                return answer(outcomes, "")
        if reasons:
            named = "; ".join(f"{day}: {why}" for day, why in sorted(reasons.items())[:3])
            return dg.SkipReason(
                f"{len(reasons)} days can't be built until what they read is mended or built: {named}"
            )
        return dg.SkipReason("tiles and snapshots are as new as their events, and follow what is declared")

    return refresh
