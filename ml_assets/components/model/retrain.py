"""Retraining: what is on record about a model becomes a decision, a line in the log of actions, and perhaps a run."""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ml_assets.components.model.sensors import RUNNING, TAG, Outcome
from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.metadata import declared, markdown_table, stored
from ml_assets.components.shared.requests import UNFINISHED, ask, in_flight, request_key
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.instance.alerts import Alert, send
from ml_assets.lake import Lake, as_ranges
from ml_assets.lake.definition import hash_of
from ml_assets.landing.raw import landed_through
from ml_assets.monitoring.act.actions import ActionLog
from ml_assets.monitoring.act.decide import Action, Attempt, Situation, decide
from ml_assets.monitoring.act.decide import Outcome as AttemptOutcome
from ml_assets.pipeline.definitions import of_labels
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


class Decided(NamedTuple):
    """What was decided, the requests that carry it out or why there are none, and the log if it has a new line."""

    action: Action
    requests: list[dg.RunRequest]
    why: str
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
    """No champion, evidence against it, its age, or another label -> the retrain job, once, with the reason in its tags."""
    name = f"{model.name}_retrain"

    @dg.sensor(
        name=name,
        description=f"Decides whether to retrain {model.name}: there is no champion, evidence says that it loses, it "
        f"reaches {model.spec.monitoring.max_age_days} days, or label or population are declared otherwise; unless "
        f"something stands in the way. Every decision, also to do nothing, is a line of {model.name}/actions. Stop it, "
        "and this model alone is retrained by hand.",
        jobs=[retrain],
        minimum_interval_seconds=120,
        default_status=RUNNING,
    )
    def decides(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        seen = _on_record(model, lake.lake)
        if context.cursor == seen:
            return dg.SkipReason("nothing has come on record since nothing called for a retrain")
        decided = decide_and_note(context.instance, model, lake, duckdb, name)
        return dg.SensorResult(
            run_requests=decided.requests,
            skip_reason=None if decided.requests else decided.why,
            asset_events=[materialization(model, lake.lake, decided.log)] if decided.log else [],
            cursor=seen if decided.action.kind == "nothing" else "",
        )

    return decides


def _on_record(model: DeclaredModel, lake: Lake) -> str:
    """What a decision follows from while nothing is due: a hash of versions of tables, and of what is declared."""
    tables = model.tables(lake)
    read = (tables.promotions, tables.decisions, tables.evidence, tables.drift_days, tables.profiles)
    versions = [table.version for table in (*read, model.source.tables(lake).files)]
    declared = [model.config, model.policy, of_labels(model), model.spec.monitoring.model_dump(mode="json")]
    return hash_of({"versions": versions, "declared": declared})


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
    decided_by: str,
) -> Decided:
    """Decide what to do about the model now, put it on record, and ask for the run if that is a retrain.

    What needs a person is told.
    """
    with connection(duckdb) as con:
        situation = look(con, model, lake.lake, partial(attempts, instance, model))
        action = decide(situation, model.spec.monitoring)
        outcomes: list[Outcome] = [dg.SkipReason(action.why)]
        if action.kind == "retrain":
            outcomes = _request(con, instance, model, lake.lake, situation, action)
        log = ActionLog(model.tables(lake.lake).actions, model.name)
        noted = log.note(con, action, situation, decided_by)
        newest = log.newest(con, SHOWN) if noted else []
    if action.kind == "ask":
        send(_alert(model, action, situation))
    requests = [outcome for outcome in outcomes if isinstance(outcome, dg.RunRequest)]
    why = "; ".join(outcome.skip_message or "" for outcome in outcomes if isinstance(outcome, dg.SkipReason))
    return Decided(action, requests, why, newest)


def attempts(
    instance: dg.DagsterInstance, model: DeclaredModel, verdicts: Sequence[GateVerdict], log: PromotionLog
) -> list[Attempt]:
    """Earlier retrains that were decided on, oldest first, and whatever else trains the model now."""
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
    by_hand = in_flight(instance, key_of(model, "candidate"))
    known = {attempt.run for attempt in found}
    return found + [Attempt(date.min, date.min, None, "running", run) for run in by_hand if run not in known]


def _outcome(run: dg.DagsterRun, verdict: GateVerdict | None, promoted: bool) -> AttemptOutcome:
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
) -> list[Outcome]:
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
        labels = [key_of(model, "labels")]
        return [
            ask(instance, f"{key}:{first}", between=(first, last), assets=labels, tags=tags)
            for first, last in as_ranges(missing, WEEK)
        ]
    facts = [champion and champion.version, evidence.evidence_id if evidence else action.trigger, cutoff]
    key = request_key(f"{model.name}/retrain", facts)
    return [ask(instance, key, between=(cutoff, cutoff), tags=tags)]


def _alert(model: DeclaredModel, action: Action, situation: Situation) -> Alert:
    return Alert(
        key=f"{model.name}: {action.why}",
        title=f"{model.name} needs a person",
        message=action.why,
        facts={"model": model.name, "as_of": situation.today, "asset": f"{model.name}/actions"},
        next=f"read `ml-assets monitor log {model.name}`, then the asset {model.name}/drift of the newest day",
    )
