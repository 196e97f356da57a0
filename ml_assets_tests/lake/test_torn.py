"""What a power failure leaves of a table's log is told by table and commit, and mended on record."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from ml_assets.lake import LakeError, Provenance, Table, stale_days
from ml_assets.lake.errors import Damaged
from ml_assets.lake.maintenance import maintain
from ml_assets.lake.torn import OPERATION, mend
from ml_assets.project.calendar import Calendar
from ml_assets_tests.places import FIXTURES

FIRST = date(2020, 1, 1)
DAYS = 4

TEARS: dict[str, Callable[[bytes], bytes]] = {
    "no byte": lambda whole: b"",
    "zeros": lambda whole: bytes(len(whole)),
    "half of it": lambda whole: whole[: len(whole) // 2],
    "a line": lambda whole: whole[: whole.index(b"\n") + 1],
}


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def put(con: duckdb.DuckDBPyConnection, table: Table, number: int, read: int = 0) -> int:
    rows = con.sql(f"SELECT DATE '{day(number)}' AS day, {number} AS n")
    made = Provenance(run=f"run {number}", inputs={"shop/raw": read})
    return table.replace(rows, between=(day(number), day(number)), provenance=made)


@pytest.fixture
def written(table: Table, con: duckdb.DuckDBPyConnection) -> Table:
    """A table of four days, each written by the commit of its number and one."""
    for number in range(DAYS):
        put(con, table, number, number + 1)
    return table


def commit(table: Table, version: int) -> Path:
    return Path(table.uri, "_delta_log", f"{version:020}.json")


def runs(table: Table) -> list[tuple[int, str, str]]:
    return [(c.version, c.operation, c.provenance.run) for c in table.history()]


@pytest.mark.parametrize("tear", TEARS)
def test_the_newest_commit_torn_is_taken_out_on_record_and_its_day_is_due(
    written: Table, con: duckdb.DuckDBPyConnection, tear: str
) -> None:
    newest = commit(written, DAYS)
    torn = TEARS[tear](newest.read_bytes())
    newest.write_bytes(torn)
    [said] = mend(written.lake.root)
    assert said.startswith(f"Table shop/events: commit {DAYS} has not reached the disk whole")
    assert newest.with_name(f"{newest.name}.torn").read_bytes() == torn
    assert runs(written)[:2] == [(DAYS, OPERATION, ""), (DAYS - 1, "WRITE", "run 2")]
    assert "power failure" in written.history()[0].provenance.facts["why"]
    assert written.read(con).order("n").fetchall() == [(day(n), n) for n in range(DAYS - 1)]
    landed = {day(n): mark for n, mark in enumerate(upstream(con, written))}
    calendar = Calendar(FIRST, day(DAYS))
    assert stale_days(landed, written.marks(), "shop/raw", (0, 0), calendar) == {day(DAYS - 1)}
    assert mend(written.lake.root) == []
    assert put(con, written, DAYS - 1, DAYS) == DAYS + 1
    assert stale_days(landed, written.marks(), "shop/raw", (0, 0), calendar) == set()


def upstream(con: duckdb.DuckDBPyConnection, beside: Table) -> list[object]:
    raw = beside.lake.table("shop/raw", "day")
    for number in range(DAYS):
        put(con, raw, number)
    return [raw.marks()[day(number)] for number in range(DAYS)]


@pytest.mark.parametrize("tear", ["no byte", "zeros", "half of it"])
def test_before_it_is_mended_nothing_reads_it_and_one_line_says_why(written: Table, tear: str) -> None:
    newest = commit(written, DAYS)
    newest.write_bytes(TEARS[tear](newest.read_bytes()))
    for ask in (lambda: written.version, written.marks, written.history, written.counts):
        with pytest.raises(Damaged) as raised:
            ask()
        said = str(raised.value)
        assert said.startswith("Table shop/events: ")
        assert "`ml-assets init`" in said
        assert "<unknown>" not in said
        assert len(said.splitlines()) == 1


def test_an_empty_commit_below_others_is_told_and_versions_keep_their_numbers(
    written: Table, con: duckdb.DuckDBPyConnection
) -> None:
    commit(written, 2).write_bytes(b"")
    assert [c.version for c in written.history()] == [4, 3, 2, 1], (
        "one too high each: why it has to be mended"
    )
    [said] = mend(written.lake.root)
    assert "commit 2 " in said
    assert runs(written) == [
        (4, "WRITE", "run 3"),
        (3, "WRITE", "run 2"),
        (2, OPERATION, ""),
        (1, "WRITE", "run 0"),
        (0, "CREATE TABLE", ""),
    ]


def test_all_that_was_lost_at_once_is_mended_at_once(written: Table, con: duckdb.DuckDBPyConnection) -> None:
    for version, tear in ((DAYS, "no byte"), (DAYS - 1, "half of it"), (DAYS - 2, "zeros")):
        path = commit(written, version)
        path.write_bytes(TEARS[tear](path.read_bytes()))
    assert len(mend(written.lake.root)) == 3
    assert written.read(con).fetchall() == [(FIRST, 0)]
    for number in range(1, DAYS):
        put(con, written, number)
    assert len(written.read(con).fetchall()) == DAYS


def test_a_table_of_which_no_commit_was_kept_is_made_anew(
    written: Table, con: duckdb.DuckDBPyConnection
) -> None:
    for version in range(DAYS + 1):
        commit(written, version).write_bytes(b"")
    with pytest.raises(Damaged, match=r"its log in .* can't be read"):
        _ = written.exists
    [said] = mend(written.lake.root)
    assert "made anew" in said
    assert not written.exists
    put(con, written, 0)
    assert written.read(con).fetchall() == [(FIRST, 0)]


@pytest.mark.parametrize("tear", ["no byte", "zeros", "half of it"])
def test_a_torn_checkpoint_is_read_without(written: Table, con: duckdb.DuckDBPyConnection, tear: str) -> None:
    DeltaTable(written.uri).create_checkpoint()
    [checkpoint] = Path(written.uri, "_delta_log").glob("*.checkpoint.parquet")
    checkpoint.write_bytes(TEARS[tear](checkpoint.read_bytes()))
    with pytest.raises(Damaged, match="shop/events"):
        written.read(con)
    [said] = mend(written.lake.root)
    assert checkpoint.name in said
    assert len(written.read(con).fetchall()) == DAYS
    assert mend(written.lake.root) == []


def test_a_damaged_commit_that_others_follow_is_told_and_left_to_a_backup(written: Table) -> None:
    """What it took out would come back, were it taken for empty."""
    path = commit(written, 2)
    path.write_bytes(TEARS["half of it"](path.read_bytes()))
    assert mend(written.lake.root) == []
    with pytest.raises(LakeError, match="restore the table's folder from a backup"):
        written.read(duckdb.connect())


def test_whole_logs_are_left_alone(written: Table, con: duckdb.DuckDBPyConnection) -> None:
    """Whatever made their newest commit: a write, an append, a compaction, a deletion, an older version of delta-rs."""
    delta = DeltaTable(written.uri)
    written.append(con.sql(f"SELECT DATE '{FIRST}' AS day, 9 AS n"), provenance=Provenance())
    written.replace(
        con.sql("SELECT DATE '2020-01-01' AS day, 1 AS n LIMIT 0"),
        between=(FIRST, FIRST),
        provenance=Provenance(),
    )
    for change in (
        lambda: delta.optimize.compact(),
        lambda: delta.delete(f"day = '{day(1)}'"),
        lambda: maintain(written, ()),
    ):
        delta.update_incremental()
        change()
        assert mend(written.lake.root) == []
    for lake in (FIXTURES / "lakes").glob("*/lake"):
        assert mend(str(lake)) == []
