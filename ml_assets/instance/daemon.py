"""How runs are queued, launched and watched. ``dagster.yaml`` names these classes, and Dagster loads them by name.

They are no part of ``ml_assets.components``, so that an error in a component can't keep anybody from opening the
instance.
"""

import os
import signal
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._serdes import ConfigurableClassData

from ml_assets.instance.lease import Observer, read

QUEUED = "ml_assets/queued"
"""The tag of runs that went through the queue; ``dagster.yaml`` limits how many of them are in progress."""
UNFINISHED = (
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)


class Queue(QueuedRunCoordinator):
    """The stock queue, which marks its runs: those that commands execute themselves take none of its places."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Mark a run, and queue it."""
        self._instance.add_run_tags(context.dagster_run.run_id, {QUEUED: "yes"})
        return super().submit_run(context)


class Launcher(DefaultRunLauncher):
    """The stock launcher, which also finds runs whose process is gone, and ends runs that commands execute."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """Called by Dagster when it opens the instance."""
        return cls(inst_data)

    @cached_property
    def _observer(self) -> Observer:
        return Observer(self._instance.run_storage)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes: the daemon asks it for every run in progress."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a run is gone, by the run's lease.

        A run of a code server that has taken no lease has an executor of its own, which the code server looks after.
        """
        launched = GRPC_INFO_TAG in run.tags
        if launched and read(self._instance.run_storage, run.run_id) is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        gone = self._observer.gone(run.run_id)
        return CheckRunHealthResult(WorkerStatus.FAILED if gone else WorkerStatus.RUNNING, msg=gone)

    def terminate(self, run_id: str) -> bool:
        """End a run: ask its code server, or interrupt the command of this machine that executes it."""
        run = self._instance.get_run_by_id(run_id)
        lease = read(self._instance.run_storage, run_id)
        if run is None or run.is_finished or GRPC_INFO_TAG in run.tags or lease is None or not lease.is_here:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        if lease.process.is_alive:
            os.kill(lease.pid, signal.SIGINT)
        else:
            self._instance.report_run_canceled(run, f"Process {lease.pid}, which executed it, is gone.")
        return True


def end_abandoned(instance: DagsterInstance) -> list[str]:
    """End the runs whose process was one of this machine and is gone; say which, in words.

    What can only be told by waiting, of other machines, is left to the daemon.
    """
    storage, ended = instance.run_storage, []
    for run in instance.get_runs(RunsFilter(statuses=list(UNFINISHED))):
        lease = read(storage, run.run_id)
        if lease is None or not lease.is_here or lease.process.is_alive:
            continue
        reason = f"process {lease.pid} of this machine, which executed it, is gone"
        instance.report_run_failed(run, f"The run has ended: {reason}.")
        ended.append(f"run {run.run_id[:8]} of {run.job_name} is marked as failed: {reason}")
    return ended
