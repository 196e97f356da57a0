"""The logs of old runs go, and nothing that says what is there goes with them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.instance.event_log import SqliteEventLog
from ml_assets.instance.lease import Lease, _write, read
from ml_assets.instance.pruning import prune

DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-02-01")
OURS = "event_log_storage: {module: ml_assets.instance.event_log, class: SqliteEventLog}\n"


@dg.asset(partitions_def=DAYS)
def rows() -> None:
    """A day."""
    print("printed")


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    (tmp_path / "dagster.yaml").write_text(OURS)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return dg.DagsterInstance.from_config(str(tmp_path))


def test_what_was_materialized_stays(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    log = instance.event_log_storage
    assert isinstance(log, SqliteEventLog)
    ran = [
        dg.materialize([rows], partition_key=day, instance=instance).run_id
        for day in ("2024-01-01", "2024-01-02")
    ]
    going = instance.create_run_for_job(dg.Definitions([rows]).resolve_implicit_global_asset_job_def())
    for run in (*ran, going.run_id):
        _write(instance.run_storage, run, Lease.mine())
    instance.report_engine_event("it waits", going)
    now = datetime.now(UTC)
    assert prune(instance, now - timedelta(days=1)) == 0
    assert prune(instance, now + timedelta(days=1)) == 2
    assert [Path(log.path_for_shard(run)).exists() for run in (*ran, going.run_id)] == [False, False, True]
    assert not list((tmp_path / "storage").rglob("*.out"))
    assert instance.get_materialized_partitions(rows.key) == {"2024-01-01", "2024-01-02"}
    assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS, going.status}
    assert not instance.all_logs(ran[0])
    assert [read(instance.run_storage, run) is None for run in (*ran, going.run_id)] == [True, True, False]
    assert dg.materialize([rows], partition_key="2024-01-03", instance=instance).success
