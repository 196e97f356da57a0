"""What keeps a model watched: labels that mature, scores and drift of new days, performance of past ones."""

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.requests import answer, ask, request_key
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.lake import as_ranges
from ml_assets.landing.raw import landed_through
from ml_assets.pipeline.definitions import of_labels
from ml_assets.pipeline.due.adoption import adopt
from ml_assets.pipeline.due.model import (
    day_to_report,
    days_to_score,
    stale_labels,
    stale_performance,
)
from ml_assets.pipeline.run import Run
from ml_assets.project.calendar import WEEK
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.promotion_log import champion_on_record

RUNNING = dg.DefaultSensorStatus.RUNNING
TAG = "ml_assets"


def scoring_sensor(model: DeclaredModel) -> dg.SensorDefinition:
    """New snapshots, or a new champion -> predictions and drift of the days not scored yet."""
    assets = [key_of(model, "predictions"), key_of(model, "drift")]

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
        with connection(duckdb) as con:
            champion = champion_on_record(con, model.tables(lake.lake).promotions, model.name)
        if champion is None:
            return dg.SkipReason(f"{model.name} has no champion yet")
        snapshot = model.group.snapshot(lake.lake)
        wanted = days_to_score(model, lake.lake, champion.version, None)
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


def labels_sensor(model: DeclaredModel) -> dg.SensorDefinition:
    """Mature cutoffs without labels, or whose events or definitions have changed -> labels of exactly these cutoffs."""
    assets = [key_of(model, "labels")]

    @dg.sensor(
        name=f"{model.name}_labels",
        description=(
            "Asks for the labels of cutoffs that have matured, and of those that late or corrected events, or another "
            "declaration of label or population, touch."
        ),
        target=dg.AssetSelection.assets(*assets),
        minimum_interval_seconds=60,
        default_status=RUNNING,
    )
    def labels(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        source, table = model.source, model.tables(lake.lake).labels
        with connection(duckdb) as con:
            adopt(con, Run(""), lake.lake, model)
            landed = landed_through(con, source.tables(lake.lake).files)
            wanted = stale_labels(model, lake.lake, landed)
            refused = (
                source.refused(con, lake.lake, (min(wanted), max(wanted)), (0, model.spec.label.days - 1))
                if wanted
                else {}
            )
        follows = [
            source.tables(lake.lake).events.version,
            model.group.snapshot(lake.lake).version,
            of_labels(model),
        ]
        outcomes = [
            ask(
                context.instance,
                request_key(f"{model.name}/labels", [first, last, follows, table.version]),
                between=(first, last),
                assets=assets,
            )
            for first, last in as_ranges(wanted - set(refused), WEEK)
        ]
        return answer(
            outcomes,
            "every mature cutoff has labels as new as its events, and as they are declared",
        )

    return labels


def performance_sensor(model: DeclaredModel) -> dg.SensorDefinition:
    """Labels that have matured, or changed, of days that were scored -> performance of those cutoffs."""
    assets = [key_of(model, "performance")]

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


def report_sensor(model: DeclaredModel) -> dg.SensorDefinition:
    """A newest watched day that is breached or broken -> Evidently's report of that day."""
    assets = [key_of(model, "drift_report")]

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
        with connection(duckdb) as con:
            due = day_to_report(con, model.tables(lake.lake))
        if due is None:
            return dg.SkipReason("the newest day is neither breached nor broken, or no day has been watched")
        day, version = due
        key = request_key(f"{model.name}/drift_report", [version, day])
        return answer([ask(context.instance, key, between=(day, day), assets=assets)], "")

    return report
