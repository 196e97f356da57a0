"""The landing sensor: files that are new, changed or gone -> the days they touch.

It compares what is recorded in the lake with what there is, so a lost cursor costs time, never a run too many
or too few. It starts running with the code location; stop it in the UI to take over by hand.
"""

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.keys import keys_of
from ml_assets.components.shared.requests import answer, ask, in_flight, request_key
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.instance.alerts import Alert, send
from ml_assets.lake import as_ranges
from ml_assets.landing import NoLandingFiles, by_day
from ml_assets.pipeline.due.adoption import adopt
from ml_assets.pipeline.due.landing import BRIDGED, due_days, passed_over
from ml_assets.pipeline.due.listing import is_told, remember, unchanged
from ml_assets.pipeline.run import Run
from ml_assets.project.source import Source


def landing_sensor(source: Source) -> dg.SensorDefinition:
    """New, changed or deleted landing files, and waivers -> raw, events and quarantine of the days they touch."""
    assets = keys_of(source, "raw", "events", "quarantine")

    @dg.sensor(
        name=f"{source.name}_landing",
        description=f"Asks for the days that new, changed or deleted landing files of {source.name} touch, for those "
        "of files refused under another contract, for days that a waiver lets through, and for days that refer to "
        "events of another source that have come since, and for days built under another contract.",
        target=dg.AssetSelection.assets(*assets),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def landing_files(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            listing = source.landing.listed()
        except NoLandingFiles as error:
            return dg.SkipReason(str(error))
        listed, strange = by_day(listing), passed_over(source, listing)
        if strange and not is_told(strange, context.cursor):
            _tell(source, strange)
        with connection(duckdb) as con:
            adopt(con, Run(""), lake.lake, source)
            due = due_days(
                con,
                source,
                lake.lake,
                listed,
                unchanged=unchanged(listed, context.cursor),
                in_flight=bool(in_flight(context.instance, assets[1])),
            )
        context.update_cursor(remember(listed, due.files, strange))
        outcomes = [
            ask(
                context.instance,
                request_key(
                    f"{source.name}/landing", [due.days[d] for d in sorted(due.days) if first <= d <= last]
                ),
                between=(first, last),
                assets=assets[1:] if due.from_raw((first, last)) else assets,
            )
            for first, last in as_ranges(set(due.days), BRIDGED)
        ]
        also = f"; {strange}" if strange else ""
        return answer(outcomes, f"no new or changed file among {len(listed)} in {source.landing.place}{also}")

    return landing_files


def _tell(source: Source, strange: str) -> None:
    """Tell of files that are never taken; once, until there are others."""
    send(
        Alert(
            key=f"{source.name} passes over {strange}",
            title=f"{source.name}: files in the landing are never taken",
            message=f"In {source.landing.place}, {strange}.",
            next="Rename or remove them, or correct `landing`, `start` or `end` in the source's defs.yaml.",
        )
    )
