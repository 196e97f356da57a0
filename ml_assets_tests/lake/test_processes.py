"""Several real processes on one table, and processes that are killed while they write."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import duckdb
import pytest

from ml_assets.lake import Provenance, Table
from ml_assets_tests.lake import writers

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def started() -> Iterator[list[BaseProcess]]:
    """Processes a test starts; none outlives it."""
    processes: list[BaseProcess] = []
    yield processes
    for process in processes:
        if process.is_alive():
            process.kill()
        process.join()


def run_together(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def test_processes_on_different_partitions_lose_nothing(
    tmp_path: Path, con: duckdb.DuckDBPyConnection, started: list[BaseProcess]
) -> None:
    writing, days, together = 4, 5, SPAWN.Barrier(4)
    started += [
        SPAWN.Process(target=writers.write_own_days, args=(str(tmp_path), n, days, together))
        for n in range(writing)
    ]
    run_together(started)
    table = writers.at(str(tmp_path))
    found = table.read(con).aggregate("day, writer, n, count(*) AS rows").order("day").fetchall()
    assert found == [(writers.day(n), n // days, n, 10) for n in range(writing * days)]
    assert sum(commit.between is not None for commit in table.history()) == writing * days


def test_processes_on_the_same_partition_leave_one_writers_rows(
    tmp_path: Path, con: duckdb.DuckDBPyConnection, started: list[BaseProcess]
) -> None:
    times, together = 6, SPAWN.Barrier(2)
    started += [
        SPAWN.Process(target=writers.write_the_same_day, args=(str(tmp_path), n, times, together))
        for n in range(2)
    ]
    run_together(started)
    table = writers.at(str(tmp_path))
    commits = [commit for commit in table.history() if commit.between is not None]
    assert len(commits) == 2 * times
    for commit in commits:
        writer, turn = int(commit.provenance.facts["writer"]), int(commit.provenance.facts["turn"])
        at_that_time = table.read(con, version=commit.version).fetchall()
        assert at_that_time == [(writers.FIRST, writer, turn)] * turn


def check_whole(table: Table, con: duckdb.DuckDBPyConnection) -> int:
    """The one generation the table holds; fails where it holds parts of several, or part of one."""
    found = (
        table.read(con)
        .aggregate("day, generation, count(*) AS rows, count(DISTINCT n) AS different")
        .order("day")
        .fetchall()
    )
    number = int(table.history(1)[0].provenance.facts["generation"])
    assert found == [(writers.day(n), number, writers.ROWS, writers.ROWS) for n in range(writers.DAYS)]
    return number


@pytest.mark.slow
def test_a_killed_write_shows_the_table_before_it_or_after_it(
    tmp_path: Path, con: duckdb.DuckDBPyConnection, started: list[BaseProcess]
) -> None:
    random, table, between = (
        Random(7),
        writers.at(str(tmp_path)),
        (writers.FIRST, writers.day(writers.DAYS - 1)),
    )
    table.replace(
        writers.generation(con, 0), between=between, provenance=Provenance(facts={"generation": "0"})
    )
    number, interrupted = 0, 0
    for _ in range(12):
        begun, committed = SPAWN.RawValue("q", number), SPAWN.RawValue("q", number)
        process = SPAWN.Process(
            target=writers.write_generations, args=(str(tmp_path), number + 1, begun, committed)
        )
        started.append(process)
        process.start()
        assert process.pid is not None
        deadline = time.monotonic() + 60
        while committed.value == number and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.2))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        seen = check_whole(table, con)
        assert number < committed.value <= seen <= committed.value + 1, "a commit that was told of is gone"
        interrupted += begun.value > seen
        number = seen + 1
        made = Provenance(facts={"generation": str(number)})
        table.replace(writers.generation(con, number), between=between, provenance=made)
        assert check_whole(table, con) == number
    assert interrupted, "no process was killed while it wrote"
