"""The landing sensor: files that are new, changed or gone -> the days they touch.

It compares what is recorded in the lake with what there is, so a lost cursor costs time, never a run too many
or too few. It starts running with the code location; stop it in the UI to take over by hand.
"""

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.keys import keys_of
from ml_assets.components.shared.requests import answer, ask, in_flight, request_key
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.lake import as_ranges
from ml_assets.landing import NoLandingFiles, by_day
from ml_assets.pipeline.due.landing import BRIDGED, due_days
from ml_assets.pipeline.due.listing import remember, unchanged
from ml_assets.project.source import Source


def landing_sensor(source: Source) -> dg.SensorDefinition:
    """New, changed or deleted landing files, and waivers -> raw, events and quarantine of the days they touch."""
    assets = keys_of(source, "raw", "events", "quarantine")

    @dg.sensor(
        name=f"{source.name}_landing",
        description=f"Asks for the days that new, changed or deleted landing files of {source.name} touch, for those "
        "of files refused under another contract, for days that a waiver lets through, and for days that refer to "
        "events of another source that have come since.",
        target=dg.AssetSelection.assets(*assets),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def landing_files(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            listed = by_day(source.landing.listed())
        except NoLandingFiles as error:
            return dg.SkipReason(str(error))
        with connection(duckdb) as con:
            due = due_days(
                con,
                source,
                lake.lake,
                listed,
                unchanged=unchanged(listed, context.cursor),
                in_flight=in_flight(context.instance, assets[1]),
            )
        context.update_cursor(remember(listed, due.files))
        outcomes = [
            ask(
                context.instance,
                request_key(
                    f"{source.name}/landing", [due.days[d] for d in sorted(due.days) if first <= d <= last]
                ),
                between=(first, last),
                assets=assets,
            )
            for first, last in as_ranges(set(due.days), BRIDGED)
        ]
        strange = sorted(due.outside & set(listed))
        names = ", ".join(listed[day].name for day in strange[:5])
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        outside = f"; of days outside the source's partitions: {names}{more}" if strange else ""
        return answer(
            outcomes, f"no new or changed file among {len(listed)} in {source.landing.place}{outside}"
        )

    return landing_files
