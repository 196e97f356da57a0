"""Retraining: what is on record about a model becomes a decision, a line in the log of actions, and perhaps a run."""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ml_assets.components.model.sensors import RUNNING, TAG
from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.metadata import declared, markdown_table, stored
from ml_assets.components.shared.requests import UNFINISHED, answer, ask, request_key
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.instance.alerts import Alert, send
from ml_assets.lake import Lake, as_ranges
from ml_assets.landing.raw import landed_through
from ml_assets.monitoring.act.actions import ActionLog
from ml_assets.monitoring.act.decide import Action, Attempt, Outcome, Situation, decide
from ml_assets.pipeline.due.retrain import look, missing_labels
from ml_assets.project.calendar import WEEK
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.promotion_log import PromotionLog
from ml_assets.registry.verdicts import GateVerdict

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

REMEMBERED = 50
"""How many retrain runs are looked back on."""
SHOWN = 30
"""How many actions the UI shows, the newest first."""


LEFT_TO = {
    "first": "the schedule {model}_retrain_by_age",
    "age": "the schedule {model}_retrain_by_age",
    "drift": "the sensor {model}_retrain_on_evidence",
    "performance": "the sensor {model}_retrain_on_evidence",
    "declared": "the sensor {model}_retrain_on_evidence",
}


class Decided(NamedTuple):
    """The request that carries a decision out, or why there is none, and the log if it has a new line."""

    outcome: dg.SensorResult | dg.SkipReason
    log: list[dict[str, Any]]


def job(model: DeclaredModel) -> "UnresolvedAssetJobDefinition":
    """Labels, training set, candidate, evaluation and champion of one cutoff, with their checks."""
    names = ("labels", "training_set", "candidate", "evaluation", "champion")
    return dg.define_asset_job(
        f"{model.name}_retrain",
        selection=dg.AssetSelection.assets(*(key_of(model, name) for name in names)),
        description=f"Train, judge and, if every gate passes, promote a new {model.name} for one cutoff. The scoring "
        "sensor then scores the newest day with it.",
    )


def sensor(model: DeclaredModel, retrain: "UnresolvedAssetJobDefinition") -> dg.SensorDefinition:
    """Evidence against the present champion -> the retrain job, once, with the evidence in its tags."""

    @dg.sensor(
        name=f"{model.name}_retrain_on_evidence",
        description="Asks for a retrain when there is evidence that the champion loses by drift, or label or "
        "population are declared otherwise than the champion learnt, unless something "
        f"stands in the way. Every decision, also to do nothing, is a line of {model.name}/actions.",
        jobs=[retrain],
        minimum_interval_seconds=60,
        default_status=RUNNING,
    )
    def retrain_on_evidence(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        decided = decide_and_note(
            context.instance, model, lake, duckdb, ("drift", "performance", "declared"), "retrain_on_evidence"
        )
        events = [materialization(model, lake.lake, decided.log)] if decided.log else []
        if isinstance(decided.outcome, dg.SkipReason):
            return dg.SensorResult(skip_reason=decided.outcome, asset_events=events)
        return dg.SensorResult(run_requests=decided.outcome.run_requests, asset_events=events)

    return retrain_on_evidence


def schedule(model: DeclaredModel, retrain: "UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    """Every day: the first champion, and a new one once the present one has reached its maximum age."""
    age = model.spec.monitoring.max_age_days

    @dg.schedule(
        name=f"{model.name}_retrain_by_age",
        description=f"Retrains, drift or not, once a cutoff {age} days after the champion's has mature labels.",
        job=retrain,
        cron_schedule="0 6 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def retrain_by_age(
        context: dg.ScheduleEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        outcome = decide_and_note(
            context.instance, model, lake, duckdb, ("first", "age"), "retrain_by_age"
        ).outcome
        return list(outcome.run_requests or []) if isinstance(outcome, dg.SensorResult) else outcome

    return retrain_by_age


def spec(model: DeclaredModel) -> dg.AssetSpec:
    """What Dagster knows of the log of actions: nothing materializes it by itself."""
    return dg.AssetSpec(
        key_of(model, "actions"),
        deps=[key_of(model, "drift"), key_of(model, "performance"), key_of(model, "champion")],
        description="What was done about the model and why: every retrain, every wait for something that is due, "
        "everything a person was asked for, and what it followed from when nothing was done.",
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"deltalake"},
        metadata=declared(model.schemas["actions"]),
    )


def materialization(
    model: DeclaredModel, lake: Lake, log: Sequence[Mapping[str, Any]]
) -> dg.AssetMaterialization:
    """The event that shows the log of actions as it is."""
    table = model.tables(lake).actions
    return dg.AssetMaterialization(
        key_of(model, "actions"),
        metadata=stored(table, model.schemas["actions"])
        | {
            "newest": f"{log[0]['as_of']}: {log[0]['action']}. {log[0]['why']}" if log else "none",
            "log": markdown_table([{name: row[name] for name in ("as_of", "action", "why")} for row in log]),
        },
    )


def decide_and_note(
    instance: dg.DagsterInstance,
    model: DeclaredModel,
    lake: LakeResource,
    duckdb: DuckDBResource,
    triggers: Sequence[str],
    decided_by: str,
) -> Decided:
    """Decide what to do about the model now, put it on record, and ask for the run if that is a retrain.

    Only what ``triggers`` name is acted on; what is due by another is left to who watches for that. What needs a
    person is told.
    """
    with connection(duckdb) as con:
        situation = look(con, model, lake.lake, partial(attempts, instance, model))
        action = decide(situation, model.spec.monitoring)
        if action.trigger is not None and action.trigger not in triggers:
            action = Action(
                "nothing", f"Left to {LEFT_TO[action.trigger].format(model=model.name)}: {action.why}"
            )
        outcome: dg.SensorResult | dg.SkipReason = dg.SkipReason(action.why)
        if action.kind == "retrain":
            outcome = _request(con, instance, model, lake.lake, situation, action)
        log = ActionLog(model.tables(lake.lake).actions, model.name)
        noted = log.note(con, action, situation, decided_by)
        newest = log.newest(con, SHOWN) if noted else []
    if action.kind == "ask":
        send(_alert(model, action, situation))
    return Decided(outcome, newest)


def attempts(
    instance: dg.DagsterInstance, model: DeclaredModel, verdicts: Sequence[GateVerdict], log: PromotionLog
) -> list[Attempt]:
    """Earlier retrains by sensor and schedule, oldest first."""
    runs = instance.get_runs(dg.RunsFilter(job_name=f"{model.name}_retrain"), limit=REMEMBERED)
    judged = {(v.cutoff, v.champion_version): v for v in verdicts}
    used = {(move.cutoff, move.from_version) for move in log.moves}
    found = []
    for run in reversed(runs):
        cutoff, on = run.tags.get("dagster/asset_partition_range_start"), run.tags.get(f"{TAG}/on")
        if cutoff is None or on is None:
            continue
        version = run.tags.get(f"{TAG}/champion")
        about = (date.fromisoformat(cutoff), int(version) if version else None)
        outcome = _outcome(run, judged.get(about), about in used)
        found.append(Attempt(date.fromisoformat(on), *about, outcome, run.run_id))
    return found


def _outcome(run: dg.DagsterRun, verdict: GateVerdict | None, promoted: bool) -> Outcome:
    if run.status in UNFINISHED:
        return "running"
    if promoted:
        return "promoted"
    if verdict is None:
        return "failed"
    return "waiting" if verdict.passed else "rejected"


def _request(
    con: duckdb.DuckDBPyConnection,
    instance: dg.DagsterInstance,
    model: DeclaredModel,
    lake: Lake,
    situation: Situation,
    action: Action,
) -> dg.SensorResult | dg.SkipReason:
    """The request to retrain at the newest mature cutoff.

    Labels of earlier cutoffs that are missing are asked for first, in a run of their own; the retrain
    follows at a later tick.
    """
    cutoff, champion, evidence = situation.mature, situation.champion, action.evidence
    assert cutoff is not None
    tags = {
        f"{TAG}/trigger": str(action.trigger),
        f"{TAG}/on": str(situation.today),
        f"{TAG}/why": action.why[:250],
    }
    if champion is not None:
        tags[f"{TAG}/champion"] = str(champion.version)
    if evidence is not None:
        tags |= {f"{TAG}/evidence": evidence.evidence_id, f"{TAG}/evidence_as_of": str(evidence.as_of)}
    landed = landed_through(con, model.source.tables(lake).files)
    if missing := missing_labels(model, lake, landed, cutoff):
        key = request_key(f"{model.name}/labels", sorted(missing))
        outcomes = [
            ask(
                instance, f"{key}:{first}", between=(first, last), assets=[key_of(model, "labels")], tags=tags
            )
            for first, last in as_ranges(missing, WEEK)
        ]
        return answer(outcomes, "")
    facts = [champion and champion.version, evidence.evidence_id if evidence else action.trigger, cutoff]
    return answer(
        [ask(instance, request_key(f"{model.name}/retrain", facts), between=(cutoff, cutoff), tags=tags)], ""
    )


def _alert(model: DeclaredModel, action: Action, situation: Situation) -> Alert:
    return Alert(
        key=f"{model.name}: {action.why}",
        title=f"{model.name} needs a person",
        message=action.why,
        facts={"model": model.name, "as_of": situation.today, "asset": f"{model.name}/actions"},
        next=f"read `ml-assets monitor log {model.name}`, then the asset {model.name}/drift of the newest day",
    )
