"""What is told to a person by itself: runs that failed, and sensors and schedules whose tick failed."""

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, TickStatus

from ml_assets.instance.alerts import Alert, deliver, send

BLOCKED = "DagsterAssetCheckFailedError"
LOOKED_AT = 20
"""How many failed ticks of one sensor are looked at at once."""


def failure_alert(run: dg.DagsterRun, message: str) -> Alert:
    """What is told of a failed run: which, of what, why, and what to do next."""
    selected = sorted(key.to_user_string() for key in run.asset_selection or ())
    partitions = {k.rsplit("/", 1)[1]: v for k, v in run.tags.items() if "partition" in k}
    about = ", ".join(selected) or run.job_name
    return Alert(
        key=f"run of {about} {' to '.join(partitions.values())}: {message}",
        title=f"a run of {about} failed",
        message=message,
        facts={
            "run": run.run_id,
            "job": run.job_name,
            "assets": selected,
            "partitions": partitions,
            "reasons": {k: v for k, v in run.tags.items() if k.startswith("ml_assets/")},
        },
        next=f"open /runs/{run.run_id} in the UI; re-execute it from there once the cause is mended",
    )


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """What the ERROR checks of a run say that did not pass."""
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [e.dagster_event.asset_check_evaluation_data for e in events if e.dagster_event]
    return [
        f"check {one.asset_key.to_user_string()} {one.check_name}: {one.description or 'failed'}"
        for one in found
        if not one.passed and one.severity is dg.AssetCheckSeverity.ERROR
    ]


@dg.run_failure_sensor(
    name="run_failures",
    description="Tells of failed runs: in data/alerts.jsonl, and by webhook or email where they are set.",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
)
def run_failures(context: dg.RunFailureSensorContext) -> None:
    """Report one failed run, with what its failed steps and failed checks say."""
    steps = [
        e.step_failure_data.error for e in context.get_step_failure_events() if e.step_failure_data.error
    ]
    causes = [error.cause or error for error in steps]
    said = [cause.message.strip() for cause in causes if cause.cls_name != BLOCKED]
    said += _failed_checks(context.instance, context.dagster_run.run_id)
    message = "; ".join(said) or context.failure_event.message or "no message"
    where = send(failure_alert(context.dagster_run, message))
    context.log.info(f"told of run {context.dagster_run.run_id}: {where}")


@dg.sensor(
    name="tick_failures",
    description="Tells of sensors and schedules whose own tick failed: nothing else would notice that they no longer "
    "ask for anything. Tries again what a channel didn't take.",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def tick_failures(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Report the ticks that failed since the last look, and what is held up; the cursor is the newest one's number."""
    deliver()
    seen = int(context.cursor) if context.cursor and context.cursor.isdigit() else 0
    failed = [
        (state, tick)
        for state in context.instance.all_instigator_state()
        for tick in context.instance.get_ticks(
            state.instigator_origin_id,
            state.selector_id,
            statuses=[TickStatus.FAILURE],
            limit=LOOKED_AT,
        )
        if tick.tick_id > seen
    ]
    told = [f"{state.instigator_name}: {send(tick_alert(state, tick))}" for state, tick in failed]
    if failed:
        context.update_cursor(str(max(tick.tick_id for _, tick in failed)))
    return dg.SkipReason("; ".join(told) or "no tick has failed")


def tick_alert(state: InstigatorState, tick: InstigatorTick) -> Alert:
    """What is told of a tick that failed: whose, why, and what to do next."""
    error = tick.error
    cause = (error.cause or error) if error else None
    message = cause.message.strip() if cause else "no message"
    kind = state.instigator_type.value.lower()
    return Alert(
        key=f"tick of {state.instigator_name}: {message}",
        title=f"the {kind} {state.instigator_name} fails",
        message=message,
        facts={kind: state.instigator_name, "tick": tick.timestamp},
        next=f"open /automation in the UI, then {state.instigator_name}; it is evaluated again by itself at its next tick",
    )
