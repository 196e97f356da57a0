"""An append that holds only if nobody has written since: one writer wins, the others are told."""

import multiprocessing
from collections.abc import Callable, Sequence
from datetime import date
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import duckdb
import pytest

from ml_assets.lake import Lake, LakeError, Provenance, Table, connect
from ml_assets.lake.errors import Overtaken

SPAWN = multiprocessing.get_context("spawn")
ROUNDS = 12


def at(root: str, round_number: int) -> Table:
    return Lake(root).table(f"shop/log_{round_number}", "month")


def row(con: duckdb.DuckDBPyConnection, who: int, extra: str = "") -> duckdb.DuckDBPyRelation:
    return con.sql(f"SELECT DATE '2020-01-01' AS month, {who}::BIGINT AS who {extra}")


def written(con: duckdb.DuckDBPyConnection, table: Table) -> list[int]:
    return [who for (who,) in table.read(con, columns=["who"]).fetchall()]


@pytest.fixture
def log(tmp_path: Path) -> Table:
    return at(str(tmp_path), 0)


def test_an_append_after_the_newest_version_is_made(con: duckdb.DuckDBPyConnection, log: Table) -> None:
    first = log.append(row(con, 1), provenance=Provenance(facts={"who": "ada"}), after=0)
    assert first == log.version
    second = log.append(row(con, 2), provenance=Provenance(), after=first)
    assert sorted(written(con, log)) == [1, 2]
    assert (second, log.version) == (first + 1, first + 1)
    assert log.history()[1].provenance.facts["who"] == "ada"


@pytest.mark.parametrize("rewritten", [False, True], ids=["appended", "replaced"])
def test_an_append_after_an_older_version_writes_nothing(
    con: duckdb.DuckDBPyConnection, log: Table, rewritten: bool
) -> None:
    read = log.append(row(con, 1), provenance=Provenance(), after=0)
    if rewritten:
        (day,) = log.read(con, columns=["month"]).fetchall()[0]
        log.replace(row(con, 1), between=(day, day), provenance=Provenance())
    else:
        log.append(row(con, 2), provenance=Provenance())
    before = log.version
    said = rf"log_0 has moved on from version {read}, .* to {before}\. Nothing was written; read it again"
    with pytest.raises(Overtaken, match=said):
        log.append(row(con, 3), provenance=Provenance(), after=read)
    with pytest.raises(Overtaken, match="moved on from version 0"):
        log.append(row(con, 3), provenance=Provenance(), after=0)
    assert log.version == before
    assert 3 not in written(con, log)


def test_a_version_that_never_was_is_refused(con: duckdb.DuckDBPyConnection, log: Table) -> None:
    log.append(row(con, 1), provenance=Provenance(), after=0)
    with pytest.raises(LakeError, match="has no version 9; its newest is 1"):
        log.append(row(con, 2), provenance=Provenance(), after=9)
    assert written(con, log) == [1]


def test_a_column_may_be_added_on_the_way(con: duckdb.DuckDBPyConnection, log: Table) -> None:
    first = log.append(row(con, 1), provenance=Provenance(), after=0)
    log.append(row(con, 2, ", 'why' AS reason"), provenance=Provenance(), after=first)
    assert sorted(log.read(con, columns=["who", "reason"]).fetchall()) == [(1, None), (2, "why")]


def race(root: str, who: int, made: Sequence[int], together: Barrier, told: "Queue[tuple[int, int]]") -> None:
    """Append to each table after the version that everybody has read; tell which were won."""
    with connect() as con:
        for number, read in enumerate(made):
            table = at(root, number)
            together.wait(60)
            try:
                table.append(row(con, who), provenance=Provenance(), after=read)
            except Overtaken:
                continue
            told.put((number, who))


@pytest.mark.parametrize("new", [True, False], ids=["no table yet", "table of version 1"])
def test_of_processes_that_read_the_same_version_one_wins(
    tmp_path: Path, con: duckdb.DuckDBPyConnection, new: bool
) -> None:
    root, writers = str(tmp_path), 3
    read = (
        [0] * ROUNDS
        if new
        else [at(root, n).append(row(con, 99), provenance=Provenance()) for n in range(ROUNDS)]
    )
    together, told = SPAWN.Barrier(writers), SPAWN.Queue()
    processes = [SPAWN.Process(target=race, args=(root, who, read, together, told)) for who in range(writers)]
    for process in processes:
        process.start()
    won = [told.get(timeout=60) for _ in range(ROUNDS)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * writers
    assert told.empty(), "two writers won"
    assert sorted(number for number, _ in won) == list(range(ROUNDS))
    for number, who in won:
        assert sorted(written(con, at(root, number))) == sorted([who] if new else [who, 99])


@pytest.mark.parametrize("how", ["replace", "update", "append"])
@pytest.mark.parametrize(
    ("stored", "given"),
    [
        ("1::BIGINT", "1.5::DOUBLE"),
        ("1::FLOAT", "0.1::DOUBLE"),
        ("true", "2::BIGINT"),
        ("1::BIGINT", "'07'"),
        ("'07'", "7::BIGINT"),
        ("DATE '2020-01-01'", "TIMESTAMP '2020-01-01 10:00'"),
    ],
)
def test_a_write_that_would_cut_values_to_the_stored_type_is_refused(
    con: duckdb.DuckDBPyConnection, log: Table, how: str, stored: str, given: str
) -> None:
    first = date(2020, 1, 1)
    month = (first, first)
    log.append(con.sql(f"SELECT DATE '2020-01-01' AS month, {stored} AS x"), provenance=Provenance())
    before, version = log.read(con, columns=["x"]).fetchall(), log.version
    rows = con.sql(f"SELECT DATE '2020-01-01' AS month, {given} AS x")
    writes: dict[str, Callable[[], object]] = {
        "replace": lambda: log.replace(rows, between=month, provenance=Provenance()),
        "update": lambda: log.update(con, rows, between=month, provenance=Provenance()),
        "append": lambda: log.append(rows, provenance=Provenance()),
    }
    with pytest.raises(LakeError, match="column x is stored as"):
        writes[how]()
    assert (log.read(con, columns=["x"]).fetchall(), log.version) == (before, version)
