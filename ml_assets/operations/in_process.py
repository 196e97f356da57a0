"""Execute a job in this process, quietly, telling how many of its steps have ended."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.utils import make_new_run_id
from dagster_shared.error import SerializableErrorInfo

from ml_assets.instance import lease, progress

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Run config that keeps Dagster's event log out of the terminal; the instance has all of it."""
INTERRUPTS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt", "InterruptException")
ENDED = (
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SKIPPED,
)


def execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    *,
    assets: Sequence[dg.AssetKey] | None = None,
    tags: Mapping[str, str] | None = None,
    run_config: Mapping[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """Execute a job on the instance, or the part of it that makes ``assets``; the result says whether it failed.

    Raises KeyboardInterrupt after Ctrl-C, which Dagster takes for the failure of a step.
    """
    run_id = make_new_run_id()
    instance.add_event_listener(run_id, _Steps(instance, run_id).hear)
    try:
        with lease.held(instance.run_storage, run_id):
            result = job.execute_in_process(
                instance=instance,
                run_id=run_id,
                asset_selection=assets,
                run_config=run_config or QUIET,
                tags=tags,
                raise_on_error=False,
            )
    except KeyboardInterrupt:
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_canceled(run, "interrupted")
        raise
    if any(e.is_step_failure and _is_interrupt(e.step_failure_data.error) for e in result.all_events):
        raise KeyboardInterrupt
    return result


def _is_interrupt(error: SerializableErrorInfo | None) -> bool:
    """Whether an error goes back to Ctrl-C, wherever that came: in a query DuckDB gives it another name."""
    return error is not None and (
        error.cls_name in INTERRUPTS or _is_interrupt(error.cause) or _is_interrupt(error.context)
    )


class _Steps:
    """Counts the steps of a run that have ended, as their events are logged."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        self.instance, self.run_id, self.done, self.of = instance, run_id, 0, 0

    def hear(self, entry: dg.EventLogEntry) -> None:
        """Take note of an event of the run."""
        kind = entry.dagster_event and entry.dagster_event.event_type
        if kind is dg.DagsterEventType.RUN_START:
            run = self.instance.get_run_by_id(self.run_id)
            self.of = len(run.step_keys_to_execute or ()) if run else 0
        elif kind in ENDED:
            self.done += 1
        else:
            return
        progress.advance("steps", self.done, self.of)
