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
from ml_assets.lake.definition import Definitions
from ml_assets.lake.marks import replayed
from ml_assets_tests.profiles import examples

START = date(2024, 1, 1)
SLOTS = days(START, START + timedelta(days=6))


NOW = datetime(2024, 1, 1, tzinfo=UTC)
HASHES = [None, "d1:0", "d1:1", "d0:0"]
"""What a commit may say of a column: nothing, hashes of today, and one of another scheme."""


def commit(
    version: int,
    about: tuple[date, date],
    left: set[date],
    redefined: set[date],
    compared: int | None,
    read: int,
    hashed: str | None,
) -> Commit:
    made = Provenance(inputs={"up": read}, definitions={"n": hashed} if hashed else {})
    return Commit(version, NOW, "WRITE", about, frozenset(left), compared, made, frozenset(redefined - left))


def adoption(version: int) -> Commit:
    made = Provenance(definitions={"n": "d1:2"})
    return Commit(version, NOW, "WRITE", adopts=True, provenance=made)


@st.composite
def histories(draw: st.DrawFn) -> list[Commit]:
    made = [Commit(0, datetime(2024, 1, 1, tzinfo=UTC), "CREATE TABLE")]
    for version in range(1, draw(st.integers(1, 8))):
        first, last = sorted(draw(st.tuples(st.sampled_from(SLOTS), st.sampled_from(SLOTS))))
        left = draw(st.sets(st.sampled_from(days(first, last))))
        compared = draw(st.none() | st.integers(-1, version - 1))
        before = {
            slot for slot in days(first, last) if any(about(c, slot) and slot not in c.left for c in made)
        }
        redefined = (
            draw(st.sets(st.sampled_from(sorted(before)))) if before and compared is not None else set()
        )
        hashed = draw(st.sampled_from(HASHES))
        if draw(st.integers(0, 4)) == 0:
            made.append(adoption(version))
        else:
            made.append(
                commit(version, (first, last), left, redefined, compared, draw(st.integers(0, 9)), hashed)
            )
    return made


def about(commit: Commit, slot: date) -> bool:
    return commit.between is not None and commit.between[0] <= slot <= commit.between[1]


def said_of(heard: Sequence[Commit], adopted: Sequence[Commit]) -> Definitions:
    own = heard[-1].provenance.definitions
    return own if (own and own["n"].startswith("d1:")) or not adopted else adopted[0].provenance.definitions


def hash_before(heard: Sequence[Commit], adopted: Sequence[Commit]) -> str | None:
    """The comparable hash on record, if there is one."""
    found = said_of(heard, adopted).get("n") if heard else None
    return found if found and found.startswith("d1:") else None


def by_definition(commits: Sequence[Commit], slot: date) -> Mark | None:
    """Each field straight from its meaning, one slot at a time."""
    changes: list[int] = []
    heard: list[Commit] = []
    adopted: list[Commit] = []
    parts: dict[str, int] = {}
    for c in commits:
        if c.adopts and heard:
            adopted.append(c)
        if not about(c, slot):
            continue
        overtaken = c.compared is not None and any(c.compared < version for version in changes)
        if slot not in c.left and (slot not in c.redefined or overtaken):
            changes.append(c.version)
            parts, overtaken = {}, False
        elif slot in c.redefined and (before := hash_before(heard, adopted)):
            hashed = c.provenance.definitions.get("n", before)
            parts = parts if hashed == before else {"n": c.version}
        if not overtaken:
            heard.append(c)
            adopted.clear()
    if not heard:
        return None
    said = said_of(heard, adopted)
    return Mark(max(changes, default=None), heard[-1].inputs, said or None, parts)


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
