"""Execute a job in this process, quietly, telling how many of its steps have ended."""

import signal
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.events import RunFailureReason
from dagster._core.execution.plan.objects import ErrorSource
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG
from dagster._core.utils import make_new_run_id

from ml_assets.instance import lease, progress, stopping

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Run config that keeps Dagster's event log out of the terminal; the instance has all of it."""
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

    Raises KeyboardInterrupt after Ctrl-C and SIGTERM, whatever the step that ran made of it; the run is canceled.
    """
    run_id = make_new_run_id()
    instance.add_event_listener(run_id, _Steps(instance, run_id).hear)
    with lease.held(instance.run_storage, run_id), stopping.last_act(lambda: _cancel(instance, run_id)):
        try:
            result = job.execute_in_process(
                instance=instance,
                run_id=run_id,
                asset_selection=assets,
                run_config=run_config or QUIET,
                tags=tags,
                raise_on_error=False,
            )
        except KeyboardInterrupt:
            _cancel(instance, run_id)
            raise
    if stopping.received():
        _cancel(instance, run_id)
        raise KeyboardInterrupt
    return result


def _cancel(instance: dg.DagsterInstance, run_id: str) -> None:
    """Let a run end as canceled, also one that Dagster calls failed because its step heard of the interrupt first."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        return
    broken_off = run.tags.get(RUN_FAILURE_REASON_TAG) == RunFailureReason.UNEXPECTED_TERMINATION.value
    if broken_off or not run.is_finished:
        instance.report_run_canceled(run, "interrupted")


class _Steps:
    """Counts the steps of a run that have ended, as their events are logged, and lets none begin after an interrupt."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        self.instance, self.run_id, self.done, self.of = instance, run_id, 0, 0
        self.canceling = False

    def hear(self, entry: dg.EventLogEntry) -> None:
        """Take note of an event of the run."""
        kind = entry.dagster_event and entry.dagster_event.event_type
        if kind in ENDED and stopping.received() and not self.canceling:
            self._stop(entry)
        if kind is dg.DagsterEventType.RUN_START:
            run = self.instance.get_run_by_id(self.run_id)
            self.of = len(run.step_keys_to_execute or ()) if run else 0
        elif kind in ENDED:
            self.done += 1
        else:
            return
        progress.advance("steps", self.done, self.of)

    def _stop(self, entry: dg.EventLogEntry) -> None:
        """Let the run end as canceled, and not go on to the next step where the interrupt was taken for a failure."""
        self.canceling = True
        run = self.instance.get_run_by_id(self.run_id)
        if run is not None:
            self.instance.report_run_canceling(run)
        failure = entry.dagster_event and entry.dagster_event.is_step_failure
        data = entry.dagster_event.step_failure_data if entry.dagster_event and failure else None
        if data is None or data.error_source is not ErrorSource.INTERRUPT:
            signal.raise_signal(signal.SIGINT)
