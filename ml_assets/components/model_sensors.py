"""What keeps a model going: scoring new days, retraining on evidence, and retraining at least every week."""

from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.model import Bound
from ml_assets.components.partitions import as_ranges
from ml_assets.components.requests import UNFINISHED, answer, ask, days_to_score, request_key, stale_days
from ml_assets.components.resources import LakeResource, connection
from ml_assets.lake import Lake
from ml_assets.landing.raw import landed_through
from ml_assets.registry.promotion_log import read_log
from ml_assets.registry.verdicts import read_verdicts

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

RUNNING = dg.DefaultSensorStatus.RUNNING
TAG = "ml_assets"
WEEK = timedelta(weeks=1)


def retrain_job(model: Bound) -> "UnresolvedAssetJobDefinition":
    """Labels, training set, candidate, evaluation and champion of one cutoff, with their checks."""
    names = ("labels", "training_set", "candidate", "evaluation", "champion")
    return dg.define_asset_job(
        f"{model.name}_retrain",
        selection=dg.AssetSelection.assets(*(model.key(name) for name in names)),
        description=f"Train, judge and, if every gate passes, promote a new {model.name} for one cutoff. The scoring "
        "sensor then scores the newest day with it.",
    )


def champion_on_record(lake: Lake, model: Bound, duckdb: DuckDBResource) -> tuple[int, date] | None:
    """Version and cutoff of the champion by the promotion log, or None; needs no MLflow."""
    with connection(duckdb) as con:
        log = read_log(con, model.tables(lake).promotions, model.name)
    if log.champion is None or log.cutoff is None:
        return None
    return log.champion, log.cutoff


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
        champion = champion_on_record(lake.lake, model, duckdb)
        if champion is None:
            return dg.SkipReason(f"{model.name} has no champion yet")
        snapshot, tables = model.group.snapshot(lake.lake), model.tables(lake.lake)
        wanted = days_to_score(
            snapshot, tables.predictions, tables.evidence, champion[0], None, model.group.as_ofs
        )
        outcomes = [
            ask(
                context.instance,
                request_key(f"{model.name}/scoring", [champion[0], first, last, snapshot.version]),
                between=(first, last),
                assets=assets,
            )
            for first, last in as_ranges(wanted)
        ]
        return answer(outcomes, f"version {champion[0]} has scored every snapshot as it is")

    return scoring


def drift_sensor(model: Bound, job: "UnresolvedAssetJobDefinition") -> dg.SensorDefinition:
    """Evidence of drift against the present champion -> the retrain job, once, with the evidence in its tags."""

    @dg.sensor(
        name=f"{model.name}_drift_retrain",
        description="Asks for a retrain when there is evidence that the champion's inputs have drifted.",
        jobs=[job],
        minimum_interval_seconds=60,
        default_status=RUNNING,
    )
    def drift_retrain(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        champion = champion_on_record(lake.lake, model, duckdb)
        evidence_table = model.tables(lake.lake).evidence
        if champion is None or not evidence_table.exists:
            return dg.SkipReason("there is no champion, or no evidence of drift")
        with connection(duckdb) as con:
            rows = (
                evidence_table.read(con)
                .filter(f"champion_version = {champion[0]}")
                .order("as_of DESC")
                .limit(1)
                .to_arrow_table()
                .to_pylist()
            )
        if not rows:
            return dg.SkipReason(f"there is no evidence of drift against version {champion[0]}")
        evidence = rows[0]
        tags = {
            f"{TAG}/evidence": evidence["evidence_id"],
            f"{TAG}/evidence_as_of": str(evidence["as_of"]),
            f"{TAG}/evidence_reason": evidence["reason"][:250],
        }
        return retrain(
            context.instance, model, lake, duckdb, champion, f"drift:{evidence['evidence_id']}", tags
        )

    return drift_retrain


def weekly_schedule(model: Bound, job: "UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    """Every Monday, a retrain at the newest mature cutoff, drift or not."""

    @dg.schedule(
        name=f"{model.name}_weekly_retrain",
        description="Retrains at the newest mature cutoff, whether or not anything has drifted.",
        job=job,
        cron_schedule="0 6 * * 1",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def weekly_retrain(
        context: dg.ScheduleEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        champion = champion_on_record(lake.lake, model, duckdb)
        outcome = retrain(
            context.instance, model, lake, duckdb, champion, "weekly", {f"{TAG}/trigger": "schedule"}
        )
        return list(outcome.run_requests or []) if isinstance(outcome, dg.SensorResult) else outcome

    return weekly_retrain


def retrain(
    instance: dg.DagsterInstance,
    model: Bound,
    lake: LakeResource,
    duckdb: DuckDBResource,
    champion: tuple[int, date] | None,
    why: str,
    tags: dict[str, str],
) -> dg.SensorResult | dg.SkipReason:
    """The request to retrain at the newest mature cutoff, or why there is none.

    Labels of earlier cutoffs that are missing are asked for first, in a run of their own; the retrain
    follows at a later tick.
    """
    with connection(duckdb) as con:
        landed = landed_through(con, model.source.tables(lake.lake).files)
    cutoff = model.newest_mature(landed) if landed else None
    if cutoff is None:
        return dg.SkipReason("no cutoff has mature labels yet")
    if champion is not None and cutoff <= champion[1]:
        return dg.SkipReason(
            f"the champion, version {champion[0]}, is of cutoff {champion[1]}; no later cutoff has mature labels yet"
        )
    with connection(duckdb) as con:
        verdicts = read_verdicts(con, model.tables(lake.lake).decisions)
    judged = [v for v in verdicts if v.cutoff == cutoff and v.champion_version == (champion and champion[0])]
    if judged:
        return dg.SkipReason(
            f"version {judged[0].version} of cutoff {cutoff}, the newest with mature labels, has been judged already: "
            f"{'it passed; materialize the champion' if judged[0].passed else judged[0].reason}"
        )
    in_flight = instance.get_runs(
        dg.RunsFilter(job_name=f"{model.name}_retrain", statuses=UNFINISHED), limit=1
    )
    if in_flight:
        return dg.SkipReason(f"retrain run {in_flight[0].run_id} is in flight")
    needed = model.spec.cutoffs.before(cutoff - model.spec.label.horizon, model.spec.train.history)
    missing = stale_labels(model, lake.lake, landed) & set(needed)
    if missing:
        key = request_key(f"{model.name}/labels", sorted(missing))
        outcomes = [
            ask(instance, f"{key}:{first}", between=(first, last), assets=[model.key("labels")], tags=tags)
            for first, last in as_ranges(missing, WEEK)
        ]
        return answer(outcomes, "")
    key = request_key(f"{model.name}/retrain", [champion[0] if champion else None, why, cutoff])
    return answer([ask(instance, key, between=(cutoff, cutoff), tags=tags)], "")


def stale_labels(model: Bound, lake: Lake, landed: date | None) -> set[date]:
    """The mature cutoffs whose labels are missing, or whose events or population have changed since."""
    newest = model.newest_mature(landed) if landed else None
    labels = model.tables(lake).labels.history()
    stale: set[date] = set()
    for table, reach in (
        (model.source.tables(lake).events, (0, model.spec.label.days - 1)),
        (model.group.snapshot(lake), (0, 0)),
    ):
        stale |= stale_days(table.history(), labels, table.name, reach, model.cutoffs)
    return {cutoff for cutoff in stale if newest is not None and cutoff <= newest}


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
