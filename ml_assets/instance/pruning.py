"""What an instance keeps of old runs: that they were, and what they materialized and checked; not their logs."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ml_assets.instance import lease

if TYPE_CHECKING:
    from dagster import DagsterInstance

KEPT = timedelta(days=182)
"""How long the log of a run is kept."""


def prune(instance: "DagsterInstance", before: datetime) -> int:
    """Delete the logs of the runs that were begun before a moment and have ended; return how many had one.

    A log is what the steps of a run said and printed, and its lease. The run itself, with status and tags, and all
    materializations and check results stay, so that no partition becomes missing by it. Of an event log that isn't in
    files (PostgreSQL) the events stay.
    """
    from dagster import RunsFilter
    from dagster._core.storage.dagster_run import FINISHED_STATUSES

    from ml_assets.instance.event_log import SqliteEventLog

    ended = RunsFilter(statuses=sorted(FINISHED_STATUSES, key=str), created_before=before)
    runs = instance.get_run_ids(ended)
    log, printed = instance.event_log_storage, instance.compute_log_manager
    pruned = 0
    for run in runs:
        printed.delete_logs(prefix=[run])
        pruned += isinstance(log, SqliteEventLog) and log.drop(run)
    lease.forget(instance.run_storage, runs)
    return pruned
