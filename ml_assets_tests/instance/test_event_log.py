"""The event log that stays open, held against Dagster's own: the same rows, the same answers, no event lost."""

import gc
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.event_api import AssetRecordsFilter, RunStatusChangeRecordsFilter
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

from ml_assets.instance.event_log import KEPT_OPEN, SqliteEventLog
from ml_assets.instance.home import CHECKOUT

STOCK: dict[str, Any] = {"telemetry": {"enabled": False}}
OURS = STOCK | {"event_log_storage": {"module": "ml_assets.instance.event_log", "class": "SqliteEventLog"}}
DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2025-01-01")
RAW, EVENTS, NOTES = dg.AssetKey("raw"), dg.AssetKey("events"), dg.AssetKey("notes")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
NOT_COMPARED = {"create_timestamp", "migration_completed"}
"""When SQLite wrote a row, not what is in it."""
SUCCESS = dg.DagsterEventType.RUN_SUCCESS.value
SPAWN = multiprocessing.get_context("spawn")


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run(), code_version="1")
def raw(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """A day each, with metadata and tags."""
    context.log.info("a line of the log")
    return dg.MaterializeResult(metadata={"rows": 3}, tags={"kind": "toy"})


@dg.asset(deps=[raw], partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def events() -> dg.MaterializeResult[None]:
    """Depends on raw, and is blocked by its check."""
    return dg.MaterializeResult()


@dg.asset(partitions_def=dg.DynamicPartitionsDefinition(name="notes"))
def notes(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Fails for one of its dynamic partitions."""
    context.log_event(dg.AssetObservation("notes", partition=context.partition_key, tags={"seen": "yes"}))
    if context.partition_key == "bad":
        raise dg.Failure("no note")
    return dg.MaterializeResult()


@dg.asset_check(asset=raw, blocking=True)
def whole(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Fails for ranges that hold the first of June."""
    first, last = (context.run.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
    return dg.AssetCheckResult(passed=not first <= "2024-06-01" <= last, metadata={"days": first})


DEFS = dg.Definitions(assets=[raw, events, notes], asset_checks=[whole], executor=dg.in_process_executor)


def opened(folder: Path, settings: dict[str, Any] = OURS) -> dg.DagsterInstance:
    """An instance in a folder, on our storage unless told otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    return dg.DagsterInstance.local_temp(str(folder), overrides=settings)


def run(
    instance: dg.DagsterInstance, first: str, last: str, run_id: str | None = None
) -> dg.ExecuteInProcessResult:
    """A range of days through raw, its check and events."""
    return DEFS.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        run_id=run_id,
        asset_selection=[RAW, EVENTS],
        run_config=QUIET,
        raise_on_error=False,
        tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
    )


def run_note(instance: dg.DagsterInstance, key: str) -> None:
    """One dynamic partition."""
    DEFS.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, asset_selection=[NOTES], partition_key=key, run_config=QUIET, raise_on_error=False
    )


def run_in(folder: str, first: str, last: str, run_id: str | None = None, stored: str | None = None) -> None:
    """The range in a process of its own; every event that is stored adds its type to the file ``stored``."""
    with opened(Path(folder)) as instance:
        if stored:
            log, store = (
                os.open(stored, os.O_CREAT | os.O_APPEND | os.O_WRONLY),
                instance.event_log_storage.store_event,
            )

            def store_and_tell(event: EventLogEntry) -> None:
                store(event)
                os.write(log, f"{event.dagster_event_type and event.dagster_event_type.value}\n".encode())

            instance.event_log_storage.store_event = store_and_tell  # type: ignore[method-assign]
        run(instance, first, last, run_id)


def databases(folder: Path) -> dict[str, dict[str, list[tuple[object, ...]]]]:
    """Every row of every table of every database."""
    found = {}
    for path in sorted((folder / "history" / "runs").glob("*.db")):
        with closing(sqlite3.connect(path)) as con:
            assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            found[path.name] = {
                table: con.execute(f'SELECT {columns_of(con, table)} FROM "{table}" ORDER BY 1').fetchall()
                for (table,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
            }
    return found


def columns_of(con: sqlite3.Connection, table: str) -> str:
    """The columns that are compared."""
    names = [row[1] for row in con.execute(f'PRAGMA table_info("{table}")')]
    return ", ".join(f'"{name}"' for name in names if name not in NOT_COMPARED)


def answers(instance: dg.DagsterInstance, runs: list[str]) -> dict[str, object]:
    """What an instance says about the toy assets, by question."""
    log, found = instance.event_log_storage, dict[str, object]()
    check = dg.AssetCheckKey(RAW, "whole")
    kinds = dg.DagsterEventType
    for key in (RAW, EVENTS, NOTES):
        name = key.to_user_string()
        page = instance.fetch_materializations(key, limit=3, ascending=True)
        found |= {
            f"{name}: known": instance.has_asset_key(key),
            f"{name}: record": [r.asset_entry for r in instance.get_asset_records([key])],
            f"{name}: partitions": instance.get_materialized_partitions(key),
            f"{name}: page": page,
            f"{name}: next page": instance.fetch_materializations(
                key, limit=3, cursor=page.cursor, ascending=True
            ),
            f"{name}: a partition": instance.fetch_materializations(
                AssetRecordsFilter(asset_key=key, asset_partitions=["2024-01-02", "good"]), limit=9
            ),
            f"{name}: observations": instance.fetch_observations(key, limit=9),
            f"{name}: latest ids": log.get_latest_storage_id_by_partition(key, kinds.ASSET_MATERIALIZATION),
            f"{name}: planned ids": log.get_latest_storage_id_by_partition(
                key, kinds.ASSET_MATERIALIZATION_PLANNED
            ),
            f"{name}: attempts": log.get_latest_asset_partition_materialization_attempts_without_materializations(
                key
            ),
            f"{name}: latest tags": log.get_latest_tags_by_partition(
                key, kinds.ASSET_MATERIALIZATION, ["dagster/data_version"]
            ),
            f"{name}: tags": log.get_event_tags_for_asset(key),
            f"{name}: latest": instance.get_latest_materialization_event(key),
        }
    for kind in (kinds.STEP_SUCCESS, kinds.ASSET_MATERIALIZATION_PLANNED, kinds.ASSET_CHECK_EVALUATION):
        found[kind.value] = log.get_event_records(dg.EventRecordsFilter(kind), limit=7)
    for run_id in runs:
        records = instance.get_records_for_run(run_id, limit=20)
        found |= {
            f"{run_id}: records": records,
            f"{run_id}: later": instance.get_records_for_run(run_id, cursor=records.cursor),
            f"{run_id}: stats": instance.get_run_stats(run_id),
            f"{run_id}: steps": instance.get_run_step_stats(run_id),
        }
    return found | {
        "keys": instance.get_asset_keys(),
        "checks": [_of_check(r) for r in log.get_asset_check_execution_history(check, limit=9)],
        "latest check": _of_check(log.get_latest_asset_check_execution_by_key([check])[check]),
        "dynamic": instance.get_dynamic_partitions("notes"),
        "successes": instance.fetch_run_status_changes(
            RunStatusChangeRecordsFilter(kinds.RUN_SUCCESS), limit=2, ascending=True
        ),
    }


def _of_check(record: AssetCheckExecutionRecord) -> tuple[object, ...]:
    """All of a record but when SQLite wrote it."""
    return record.id, record.run_id, record.status, record.event, record.partition


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on our storage."""
    with opened(tmp_path / "ours") as instance:
        yield instance


def log_of(instance: dg.DagsterInstance) -> SqliteEventLog:
    """Its storage."""
    assert isinstance(instance.event_log_storage, SqliteEventLog)
    return instance.event_log_storage


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition; fail if it doesn't come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def make_history(instance: dg.DagsterInstance, stored: list[EventLogEntry]) -> None:
    """Runs that succeed and fail, events without a run; every event stored is added to ``stored``."""
    storage = instance.event_log_storage
    store = storage.store_event

    def store_and_keep(event: EventLogEntry) -> None:
        store(event)
        stored.append(event)

    storage.store_event = store_and_keep  # type: ignore[method-assign]
    instance.add_dynamic_partitions("notes", ["good", "bad"])
    run(instance, "2024-01-01", "2024-01-20")
    run(instance, "2024-05-28", "2024-06-03")
    run_note(instance, "good")
    run_note(instance, "bad")
    instance.report_runless_asset_event(
        dg.AssetMaterialization("raw", partition="2024-02-01", tags={"kind": "x"})
    )
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(asset_key=RAW, check_name="whole", passed=True, metadata={})
    )


@pytest.mark.slow
def test_rows_and_answers_are_those_of_the_stock_storage(tmp_path: Path) -> None:
    stored: list[EventLogEntry] = []
    with opened(tmp_path / "stock", STOCK) as stock:
        make_history(stock, stored)
        (tmp_path / "ours" / "history").mkdir(parents=True)
        shutil.copy(tmp_path / "stock" / "history" / "runs.db", tmp_path / "ours" / "history")
    with opened(tmp_path / "stock", STOCK) as stock, opened(tmp_path / "ours") as ours:
        ours.add_dynamic_partitions("notes", ["good", "bad"])
        for event in stored:
            ours.event_log_storage.store_event(event)
        runs = [record.dagster_run.run_id for record in stock.get_run_records()]
        assert len(runs) == 4
        assert len(databases(tmp_path / "stock")) == 6
        assert databases(tmp_path / "ours") == databases(tmp_path / "stock")
        told, expected = answers(ours, runs), answers(stock, runs)
        for question, answer in expected.items():
            assert told[question] == answer, question
        assert len(expected["raw: partitions"]) == 28  # type: ignore[arg-type]
        for instance in (stock, ours):
            instance.wipe_assets([EVENTS])
            instance.delete_run(runs[0])
            instance.delete_dynamic_partition("notes", "bad")
        assert not ours.get_materialized_partitions(EVENTS)
        assert databases(tmp_path / "ours").keys() == databases(tmp_path / "stock").keys()
        after, expected = answers(ours, runs[1:]), answers(stock, runs[1:])
        for question, answer in expected.items():
            if not question.endswith((": record", ": known")):
                assert after[question] == answer, question
        for instance in (stock, ours):
            instance.event_log_storage.wipe()
        emptied, expected_emptied = databases(tmp_path / "ours"), databases(tmp_path / "stock")
        assert list(emptied) == list(expected_emptied) == [".db", "index.db"]
        assert emptied["index.db"] == expected_emptied["index.db"]
        assert not emptied["index.db"]["event_logs"]


def test_either_storage_goes_on_where_the_other_stopped(tmp_path: Path) -> None:
    for settings, first, last in (
        (STOCK, "2024-01-01", "2024-01-03"),
        (OURS, "2024-01-04", "2024-01-05"),
        (STOCK, "2024-01-06", "2024-01-06"),
    ):
        with opened(tmp_path, settings) as instance:
            assert run(instance, first, last).success
        assert not list(tmp_path.glob("history/runs/*-wal")), "closed with everything in the database"
    with opened(tmp_path) as instance:
        assert len(instance.get_materialized_partitions(EVENTS)) == 6


def test_a_killed_run_loses_no_event_that_was_stored(tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    process = SPAWN.Process(
        target=run_in, args=(str(tmp_path / "home"), "2024-06-02", "2024-12-31", None, str(stored))
    )
    process.start()
    until(lambda: stored.exists() and stored.read_text().count("\nASSET_MATERIALIZATION\n") > 100)
    process.kill()
    process.join()
    told = stored.read_text().splitlines()
    assert SUCCESS not in told
    with opened(tmp_path / "home", STOCK) as instance:
        (record,) = instance.get_run_records()
        found = [
            str(entry.dagster_event_type and entry.dagster_event_type.value)
            for entry in instance.all_logs(record.dagster_run.run_id)
        ]
        assert found[: len(told)] == told
        assert len(found) - len(told) <= 1
        known = len(instance.get_materialized_partitions(RAW)) + len(
            instance.get_materialized_partitions(EVENTS)
        )
        assert 0 <= known - told.count("ASSET_MATERIALIZATION") <= 1
    databases(tmp_path / "home")
    with opened(tmp_path / "home") as instance:
        assert run(instance, "2024-06-02", "2024-06-05").success


@pytest.mark.slow
def test_two_runs_at_once_are_watched_while_they_run(tmp_path: Path) -> None:
    runs = {str(uuid4()): ("2024-01-01", "2024-02-29"), str(uuid4()): ("2024-07-01", "2024-08-31")}
    seen: dict[str, list[tuple[str, str]]] = {run_id: [] for run_id in runs}
    with opened(tmp_path) as reader:
        for run_id, of in seen.items():

            def tell(event: EventLogEntry, cursor: str, of: list[tuple[str, str]] = of) -> None:
                of.append((cursor, str(event.dagster_event and event.dagster_event.event_type_value)))

            reader.watch_event_logs(run_id, None, tell)
        first, second = (
            SPAWN.Process(target=run_in, args=(str(tmp_path), *days, run_id)) for run_id, days in runs.items()
        )
        first.start()
        second.start()
        until(
            lambda: all(sum(kind == "ASSET_MATERIALIZATION" for _, kind in of) > 20 for of in seen.values())
        )
        still_running = [of for of in seen.values() if SUCCESS not in dict(of).values()]
        assert still_running, "what a run does is seen while it runs"
        for process in (first, second):
            process.join(120)
            assert process.exitcode == 0
        until(lambda: all(SUCCESS in dict(of).values() for of in seen.values()))
        for run_id, of in seen.items():
            assert len({cursor for cursor, _ in of}) == len(of), "no event twice"
            assert len(of) >= len(reader.get_records_for_run(run_id).records) - 3
        assert len(reader.get_materialized_partitions(EVENTS)) == 60 + 62


def test_threads_share_what_is_open(ours: dg.DagsterInstance) -> None:
    keys = DAYS.get_partition_keys()[:40]

    def report(key: str) -> int:
        ours.report_runless_asset_event(dg.AssetMaterialization("raw", partition=key))
        return len(ours.get_materialized_partitions(RAW))

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(report, keys))
    assert max(counts) == 40
    assert len(log_of(ours)._opened) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="counts what /proc says is open")
def test_few_databases_stay_open(ours: dg.DagsterInstance) -> None:
    log = log_of(ours)
    for n in range(KEPT_OPEN + 5):
        assert ours.all_logs(f"run-{n}") == []
    ours.report_runless_asset_event(dg.AssetMaterialization("raw"))
    assert len(log._opened) == KEPT_OPEN
    gc.collect()
    files = Path("/proc/self/fd").iterdir()
    opened_files = {os.readlink(file) for file in files if file.is_symlink() and file.exists()}
    mine = {file for file in opened_files if file.startswith(str(log._base_dir)) and file.endswith(".db")}
    assert mine == {log.path_for_shard(shard) for shard in log._opened}


def test_a_log_wiped_by_another_process_is_begun_anew(tmp_path: Path, ours: dg.DagsterInstance) -> None:
    assert run(ours, "2024-01-01", "2024-01-02").success
    (record,) = ours.get_run_records()
    with opened(tmp_path / "ours", STOCK) as other:
        other.event_log_storage.wipe()
        assert ours.all_logs(record.dagster_run.run_id) == []
        ours.report_engine_event("after the wipe", record.dagster_run)
        assert len(other.all_logs(record.dagster_run.run_id)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't fork by default")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork")
def test_a_forked_process_opens_its_own(ours: dg.DagsterInstance) -> None:
    ours.report_runless_asset_event(dg.AssetMaterialization("raw", partition="2024-01-01"))

    def report() -> None:
        before = {id(it.engine) for it in log_of(ours)._opened.values()}
        ours.report_runless_asset_event(dg.AssetMaterialization("raw", partition="2024-01-02"))
        mine = log_of(ours)._opened.values()
        assert not before & {id(it.engine) for it in mine}
        assert {it.pid for it in mine} == {os.getpid()}

    child = multiprocessing.get_context("fork").Process(target=report)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    ours.report_runless_asset_event(dg.AssetMaterialization("raw", partition="2024-01-03"))
    assert len(ours.get_materialized_partitions(RAW)) == 3


def test_an_error_leaves_nothing_behind(ours: dg.DagsterInstance) -> None:
    log = log_of(ours)

    def half() -> None:
        with log.index_connection() as connection:
            connection.exec_driver_sql("INSERT INTO asset_keys (asset_key) VALUES ('[\"half\"]')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert "index" not in log._opened
    assert ours.get_asset_keys() == []


def test_the_log_of_a_later_run_begins_as_the_first_did(
    ours: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = ours.event_log_storage
    assert isinstance(log, SqliteEventLog)
    monkeypatch.setattr(SqliteEventLog, "_empty", None)
    log._open("first")
    monkeypatch.setattr(log, "_initdb", lambda _: pytest.fail("its tables are made anew"))
    log._open("later")
    found = []
    for shard in ("first", "later"):
        with closing(sqlite3.connect(log.path_for_shard(shard))) as con:
            tables = con.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
            stamps = con.execute("SELECT version_num FROM alembic_version").fetchall()
            found.append((tables, stamps, con.execute("PRAGMA journal_mode").fetchall()))
    assert found[0] == found[1]
    assert found[0][1:] == (found[0][1], [("wal",)])
    assert {"event_logs", "alembic_version"} <= {name for name, _ in found[0][0]}


def test_only_logs_of_runs_wait_for_a_checkpoint(ours: dg.DagsterInstance) -> None:
    log = log_of(ours)
    full, normal = 2, 1
    with log.index_connection() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == full
    with log.run_connection("a-run") as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == normal
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_dagster_yaml_names_it_and_keeps_it_in_the_instances_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    reference = InstanceRef.from_dir(str(tmp_path), config_dir=str(CHECKOUT))
    with dg.DagsterInstance.from_ref(reference) as instance:
        assert isinstance(instance.event_log_storage, SqliteEventLog)
        assert (tmp_path / "history" / "runs" / "index.db").is_file()
        assert "ml_assets.instance.event_log" in instance.info_str()


def test_it_imports_dagster_and_nothing_of_the_project() -> None:
    program = """
import sys, dagster
before = {name.split(".")[0] for name in sys.modules}
import ml_assets.instance.event_log
print(*{name.split(".")[0] for name in sys.modules} - before - {"ml_assets"})
print(*sorted(name for name in sys.modules if name.startswith("ml_assets")))
"""
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=CHECKOUT
    )
    others, own = printed.stdout.split("\n")[:2]
    assert not {"duckdb", "deltalake", "pandas", "pyarrow", "numpy", "dagster_duckdb"} & set(others.split())
    assert own.split() == ["ml_assets", "ml_assets.instance", "ml_assets.instance.event_log"]
