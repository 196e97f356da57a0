import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import duckdb
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.lake import Commit, Lake, Mark, Marks, Provenance, Table, connect, days
from ml_assets.lake import marks as marks_module
from ml_assets.lake.commit import history
from ml_assets.lake.marks import replayed
from ml_assets_tests.profiles import examples

START = date(2024, 1, 1)
SLOTS = days(START, START + timedelta(days=6))


def commit(
    version: int, about: tuple[date, date], left: set[date], compared: int | None, read: int
) -> Commit:
    made = Provenance(inputs={"up": read}, definitions={"n": f"{read % 2}"})
    at = datetime(2024, 1, 1, tzinfo=UTC)
    return Commit(version, at, "WRITE", about, frozenset(left), compared, made)


@st.composite
def histories(draw: st.DrawFn) -> list[Commit]:
    made = [Commit(0, datetime(2024, 1, 1, tzinfo=UTC), "CREATE TABLE")]
    for version in range(1, draw(st.integers(1, 8))):
        first, last = sorted(draw(st.tuples(st.sampled_from(SLOTS), st.sampled_from(SLOTS))))
        left = draw(st.sets(st.sampled_from(days(first, last))))
        compared = draw(st.none() | st.integers(-1, version - 1))
        made.append(commit(version, (first, last), left, compared, draw(st.integers(0, 9))))
    return made


def by_definition(commits: Sequence[Commit], slot: date) -> Mark | None:
    """Each field straight from its meaning, one slot at a time."""
    about = [c for c in commits if c.between and c.between[0] <= slot <= c.between[1]]
    changes = [c.version for c in about if slot not in c.left]
    heard = [
        c
        for c in about
        if slot not in c.left
        or c.compared is None
        or not any(c.compared < version < c.version for version in changes)
    ]
    return (
        Mark(max(changes, default=None), heard[-1].inputs, heard[-1].provenance.definitions or None)
        if about
        else None
    )


@given(histories(), st.data())
@examples(200)
def test_marks_are_those_of_the_definition_however_they_are_replayed(
    commits: list[Commit], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(commits)))
    found = replayed(replayed({}, commits[:cut]), commits[cut:])
    assert found == {slot: mark for slot in SLOTS if (mark := by_definition(commits, slot))}


def put(con: duckdb.DuckDBPyConnection, table: Table, first: int, last: int, read: int, way: str) -> None:
    between = (SLOTS[first], SLOTS[last])
    made = Provenance(inputs={"up": read}, facts={"way": way})
    listed = ", ".join(f"(DATE '{day}', {read // 2})" for day in days(*between))
    rows = con.sql(f"SELECT * FROM (VALUES {listed}) AS rows(day, n)")
    if way == "replace":
        table.replace(rows, between=between, provenance=made)
    elif way == "update":
        table.update(con, rows, between=between, provenance=made, withhold=[SLOTS[first]])
    else:
        table.append(rows, provenance=made, about=days(*between))


def from_the_start(table: Table, **said: str) -> Marks:
    commits = [c for c in reversed(table.history()) if said.items() <= c.provenance.facts.items()]
    return {slot: mark for slot in SLOTS if (mark := by_definition(commits, slot))}


spans = st.tuples(st.integers(0, 6), st.integers(0, 6)).map(sorted)
ways = st.sampled_from(["replace", "update", "append"])


@given(st.lists(st.tuples(spans, st.integers(0, 9), ways), min_size=1, max_size=5))
@examples(15)
def test_a_table_has_the_marks_of_its_history_after_every_write(
    writes: list[tuple[list[int], int, str]],
) -> None:
    with TemporaryDirectory() as folder, connect() as con:
        table = Lake(folder).table("a/b", "day")
        assert table.marks() == {}
        seen = []
        for (first, last), read, way in writes:
            put(con, table, first, last, read, way)
            seen.append((table.version, table.marks()))
            assert table.marks() == from_the_start(table)
            assert table.marks(way="update") == from_the_start(table, way="update")
        for version, marks in seen:
            assert table.marks(version) == marks


@pytest.fixture
def table(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Table:
    table = Lake(str(tmp_path / "lake")).table("a/b", "day")
    for n in range(4):
        put(con, table, n, n + 1, n, "replace")
    return table


def test_only_new_commits_are_read(
    con: duckdb.DuckDBPyConnection, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.marks()
    read = []

    def counted(delta: DeltaTable, limit: int | None = None) -> list[Commit]:
        read.append(limit)
        return history(delta, limit)

    monkeypatch.setattr(marks_module, "history", counted)
    table.marks()
    put(con, table, 1, 2, 7, "replace")
    put(con, table, 2, 3, 7, "replace")
    assert table.marks() == from_the_start(table)
    assert read == [1, 3]


def older(table: Table, con: duckdb.DuckDBPyConnection, backup: Path) -> None:
    shutil.rmtree(table.uri)
    shutil.copytree(backup, table.uri)


def older_and_on(table: Table, con: duckdb.DuckDBPyConnection, backup: Path) -> None:
    older(table, con, backup)
    for n in range(3):
        put(con, table, 6, 6, n, "replace")


def anew(table: Table, con: duckdb.DuckDBPyConnection, backup: Path) -> None:
    shutil.rmtree(table.uri)
    for n in range(6):
        put(con, table, 5, 5, n, "replace")


def gone(table: Table, con: duckdb.DuckDBPyConnection, backup: Path) -> None:
    shutil.rmtree(table.uri)


@pytest.mark.parametrize("change", [older, older_and_on, anew, gone])
def test_a_table_that_is_another_one_by_now_is_read_from_the_start(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    tmp_path: Path,
    change: Callable[[Table, duckdb.DuckDBPyConnection, Path], None],
) -> None:
    shutil.copytree(table.uri, tmp_path / "backup")
    put(con, table, 0, 2, 8, "replace")
    before = table.marks()
    change(table, con, tmp_path / "backup")
    assert table.marks() == from_the_start(table) != before


def test_what_a_process_keeps_has_a_limit_and_loses_nothing_by_it(
    con: duckdb.DuckDBPyConnection, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks_module, "_ROOM", 1)
    for way in ("replace", "update", "append"):
        put(con, table, 1, 2, 7, way)
        assert table.marks() == from_the_start(table)
        assert table.marks(way=way) == from_the_start(table, way=way)
        assert len(marks_module._SEEN) == 1


def test_marks_are_right_while_others_write(table: Table) -> None:
    def write(slot: int) -> None:
        with connect() as con:
            for n in range(8):
                put(con, table, slot, slot, n, "replace")

    writers = [Thread(target=write, args=(slot,)) for slot in (2, 4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        version = table.version
        marks = table.marks()
        assert marks == table.marks(max(mark.changed or 0 for mark in marks.values()))
        assert max(mark.changed or 0 for mark in marks.values()) >= (version or 0)
    for writer in writers:
        writer.join()
    assert table.marks() == from_the_start(table)
