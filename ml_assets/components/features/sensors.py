"""The refresh sensor: changed events -> tiles, then snapshots, of the days that read them."""

from datetime import date

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.requests import answer, ask, request_key
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.lake import Lake, as_ranges
from ml_assets.pipeline.due.features import buildable_days, edges
from ml_assets.project.group import Group


def refresh_sensor(group: Group) -> dg.SensorDefinition:
    """Changed upstream tables -> the tiles, then the snapshots, of the days that read them.

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
        description=f"Asks for the tiles and snapshots of {group.name} whose events have changed.",
        jobs=list(jobs.values()),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def refresh(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        reasons: dict[date, str] = {}
        for edge in edges(group, lake.lake):
            with connection(duckdb) as con:
                stale, refused = buildable_days(con, lake.lake, group, edge)
            reasons |= refused
            if stale:
                outcomes = [
                    ask(
                        context.instance,
                        request_key(
                            edge.downstream.name,
                            [first, last, edge.upstream.version, edge.downstream.version],
                        ),
                        between=(first, last),
                        job=jobs[edge.downstream.name].name,
                    )
                    for first, last in as_ranges(stale)
                ]
                return answer(outcomes, "")
        if reasons:
            named = "; ".join(f"{day}: {why}" for day, why in sorted(reasons.items())[:3])
            return dg.SkipReason(
                f"{len(reasons)} days can't be built until withheld days are mended: {named}"
            )
        return dg.SkipReason("tiles and snapshots are as new as their events")

    return refresh
