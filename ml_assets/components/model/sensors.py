"""What keeps a model watched: labels that mature, scores and drift of new days, performance of past ones."""

from datetime import date, timedelta

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.model.component import Bound
from ml_assets.components.shared.partitions import SlotsOf
from ml_assets.components.shared.requests import answer, ask, days_to_score, request_key
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.lake import Lake, as_ranges, stale_days
from ml_assets.landing.raw import landed_through
from ml_assets.registry.promotion_log import champion_on_record

RUNNING = dg.DefaultSensorStatus.RUNNING
TAG = "ml_assets"
WEEK = timedelta(weeks=1)


def scoring_sensor(model: Bound) -> dg.SensorDefinition:
    """New snapshots, or a new champion -> predictions and drift of the days not scored yet."""
    assets = [model.key("predictions"), model.key("drift")]

    @dg.sensor(
        name=f"{model.name}_scoring",
        description="Asks for predictions and drift of snapshots the champion has not scored, or that changed since; "
        "of a new champion, for the newest.",
        target=dg.AssetSelection.assets(*assets),
        minimum_interval_seconds=30,
        default_status=RUNNING,
    )
    def scoring(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        snapshot, tables = model.group.snapshot(lake.lake), model.tables(lake.lake)
        with connection(duckdb) as con:
            champion = champion_on_record(con, tables.promotions, model.name)
        if champion is None:
            return dg.SkipReason(f"{model.name} has no champion yet")
        wanted = days_to_score(
            snapshot,
            tables.predictions,
            tables.drift_days,
            champion.version,
            None,
            SlotsOf(model.group.as_ofs),
        )
        outcomes = [
            ask(
                context.instance,
                request_key(f"{model.name}/scoring", [champion.version, first, last, snapshot.version]),
                between=(first, last),
                assets=assets,
            )
            for first, last in as_ranges(wanted)
        ]
        return answer(outcomes, f"version {champion.version} has scored every snapshot as it is")

    return scoring


def stale_labels(model: Bound, lake: Lake, landed: date | None) -> set[date]:
    """The mature cutoffs whose labels are missing, or whose events or population have changed since.

    A cutoff whose snapshot is still to be built waits for it: without it there is no population to label.
    """
    newest = model.newest_mature(landed) if landed else None
    labels = model.tables(lake).labels.marks()
    built = model.group.snapshot(lake).marks()
    stale: set[date] = set()
    for table, reach in (
        (model.source.tables(lake).events, (0, model.spec.label.days - 1)),
        (model.group.snapshot(lake), (0, 0)),
    ):
        stale |= stale_days(table.marks(), labels, table.name, reach, SlotsOf(model.cutoffs))
    return {cutoff for cutoff in stale if newest is not None and cutoff <= newest and cutoff in built}


def labels_sensor(model: Bound) -> dg.SensorDefinition:
    """Mature cutoffs without labels, or whose events have changed since -> labels of exactly these cutoffs."""
    assets = [model.key("labels")]

    @dg.sensor(
        name=f"{model.name}_labels",
        description="Asks for the labels of cutoffs that have matured, and of those that late or corrected events touch.",
        target=dg.AssetSelection.assets(*assets),
        minimum_interval_seconds=60,
        default_status=RUNNING,
    )
    def labels(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        source, table = model.source, model.tables(lake.lake).labels
        with connection(duckdb) as con:
            landed = landed_through(con, source.tables(lake.lake).files)
            wanted = stale_labels(model, lake.lake, landed)
            refused = (
                source.refused(con, lake.lake, (min(wanted), max(wanted)), (0, model.spec.label.days - 1))
                if wanted
                else {}
            )
        versions = [source.tables(lake.lake).events.version, model.group.snapshot(lake.lake).version]
        outcomes = [
            ask(
                context.instance,
                request_key(f"{model.name}/labels", [first, last, versions, table.version]),
                between=(first, last),
                assets=assets,
            )
            for first, last in as_ranges(wanted - set(refused), WEEK)
        ]
        return answer(outcomes, "every mature cutoff has labels as new as its events")

    return labels


def performance_sensor(model: Bound) -> dg.SensorDefinition:
    """Labels that have matured, or changed, of days that were scored -> performance of those cutoffs."""
    assets = [model.key("performance")]

    @dg.sensor(
        name=f"{model.name}_performance",
        description="Asks for the performance of cutoffs whose labels have matured, or whose labels or scores changed.",
        target=dg.AssetSelection.assets(*assets),
        minimum_interval_seconds=60,
        default_status=RUNNING,
    )
    def performance(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        tables = model.tables(lake.lake)
        outcomes = [
            ask(
                context.instance,
                request_key(
                    f"{model.name}/performance",
                    [first, last, tables.labels.version, tables.performance.version],
                ),
                between=(first, last),
                assets=assets,
            )
            for first, last in as_ranges(stale_performance(model, lake.lake), WEEK)
        ]
        return answer(outcomes, "every scored cutoff with mature labels has its performance")

    return performance


def stale_performance(model: Bound, lake: Lake) -> set[date]:
    """The cutoffs that were scored and have mature labels, without a performance as new as both."""
    tables = model.tables(lake)
    labels, scores, done = tables.labels.marks(), tables.predictions.marks(), tables.performance.marks()
    cutoffs = SlotsOf(model.cutoffs)
    labelled = stale_days(labels, {}, tables.labels.name, (0, 0), cutoffs)
    scored = stale_days(scores, {}, tables.predictions.name, (0, 0), cutoffs)
    stale = stale_days(labels, done, tables.labels.name, (0, 0), cutoffs)
    stale |= stale_days(scores, done, tables.predictions.name, (0, 0), cutoffs)
    return stale & labelled & scored


def report_sensor(model: Bound) -> dg.SensorDefinition:
    """A newest watched day that is breached or broken -> Evidently's report of that day."""
    assets = [model.key("drift_report")]

    @dg.sensor(
        name=f"{model.name}_drift_report",
        description="Asks for Evidently's report of the newest day if it is breached or broken.",
        target=dg.AssetSelection.assets(*assets),
        minimum_interval_seconds=60,
        default_status=RUNNING,
    )
    def report(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        table = model.tables(lake.lake).drift_days
        if not table.exists:
            return dg.SkipReason("no day has been watched")
        with connection(duckdb) as con:
            columns = ["as_of", "model_version", "breached", "broken"]
            rows = table.read(con, columns=columns).order("as_of DESC, model_version DESC").limit(1)
            newest = rows.fetchall()
        if not any(breached or broken for _, _, breached, broken in newest):
            return dg.SkipReason("the newest day is neither breached nor broken")
        day, version = newest[0][:2]
        key = request_key(f"{model.name}/drift_report", [version, day])
        return answer([ask(context.instance, key, between=(day, day), assets=assets)], "")

    return report
