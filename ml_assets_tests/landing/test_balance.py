"""No row is lost unnoticed between a landing file, raw, and events or quarantine; and what can be had again is."""

from collections.abc import Collection
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from ml_assets.contracts import Contract
from ml_assets.lake import Lake, Provenance, Table
from ml_assets.lake.maintenance import expire
from ml_assets.lake.torn import mend
from ml_assets.landing import LandingFolder, by_day
from ml_assets.landing.balance import lost_after_raw
from ml_assets.landing.events import write_events
from ml_assets.landing.raw import land, lost_rows
from ml_assets.landing.tables import SourceTables
from ml_assets.pipeline.due.landing import due_days
from ml_assets.project.calendar import Calendar
from ml_assets.project.source import Source
from ml_assets_tests.landing.conftest import HEADER, write

FIRST, SECOND, THIRD = (date(2017, 7, day) for day in (1, 2, 3))
LATE = 1
MADE = Provenance(run="test")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def source(folder: Path, contract: Contract) -> Source:
    return Source("calls", contract, Calendar(FIRST, THIRD), LATE, LandingFolder(folder, "{date}.csv"))


@pytest.fixture
def tables(con: duckdb.DuckDBPyConnection, folder: Path, lake: Lake, source: Source) -> SourceTables:
    """Three days from landing to events: of each but the first a row is late by a day, and one is refused."""
    for day in (FIRST, SECOND, THIRD):
        own, before = f"2017-07-{day.day:02} 11:00:00", f"2017-07-{day.day - 1:02} 11:00:00"
        rows = [f"{day.day}1,1.50,a,{own},7", f"{day.day}2,1.50,b,{own},7", f"{day.day}3,much,c,{own},7"]
        rows += [f"{day.day}4,1.50,late,{before},7"] if day > FIRST else []
        write(folder, day.day, HEADER + "\n".join(rows) + "\n")
    made = source.tables(lake)
    copy(con, source, lake)
    build(con, source, lake)
    return made


def copy(con: duckdb.DuckDBPyConnection, source: Source, lake: Lake) -> dict[date, int]:
    between = (FIRST, THIRD)
    return dict(land(con, source.tables(lake), source.landing, source.contract, between, MADE).accepted)


def build(con: duckdb.DuckDBPyConnection, source: Source, lake: Lake) -> None:
    tables = source.tables(lake)
    inputs = {table.name: table.version or 0 for table in (tables.raw, tables.files)}
    write_events(
        con,
        tables,
        source.contract,
        (FIRST, THIRD),
        late_days=LATE,
        provenance=Provenance(run="test", inputs=inputs),
    )


def due(con: duckdb.DuckDBPyConnection, source: Source, lake: Lake) -> set[date]:
    listed = by_day(source.landing.listed())
    return set(due_days(con, source, lake, listed, unchanged=listed).days)


def lose(table: Table, where: str) -> None:
    DeltaTable(table.uri).delete(where)


def test_what_raw_lost_is_told_by_day_and_copied_again_while_its_file_is_there(
    con: duckdb.DuckDBPyConnection, lake: Lake, source: Source, tables: SourceTables
) -> None:
    assert lost_rows(con, tables) == []
    assert due(con, source, lake) == set()
    lose(tables.raw, f"landing_date = '{SECOND}'")
    [lost] = lost_rows(con, tables)
    assert (lost.day, lost.expected, lost.found) == (SECOND, 4, 0)
    assert lost_rows(con, tables, (FIRST, FIRST)) == []
    assert due(con, source, lake) == {FIRST, SECOND}, "its own day, and the one that its late row is of"
    assert copy(con, source, lake) == {SECOND: 4}
    assert lost_rows(con, tables) == []
    assert due(con, source, lake) == {FIRST, SECOND}, "what was copied is to be read"
    build(con, source, lake)
    assert due(con, source, lake) == set()


def test_without_its_file_it_is_told_and_nothing_is_asked_for_again_and_again(
    con: duckdb.DuckDBPyConnection, folder: Path, lake: Lake, source: Source, tables: SourceTables
) -> None:
    (folder / f"{THIRD}.csv").unlink()
    copy(con, source, lake)
    build(con, source, lake)
    lose(tables.raw, f"landing_date = '{THIRD}'")
    assert [str(lost) for lost in lost_rows(con, tables)] == ["2017-07-03: 0 rows, 4 expected"]
    assert due(con, source, lake) == set()


def test_a_version_that_came_back_has_the_rows_it_had(
    con: duckdb.DuckDBPyConnection, folder: Path, lake: Lake, source: Source, tables: SourceTables
) -> None:
    path = folder / f"{SECOND}.csv"
    first = path.read_bytes()
    for content in (f"{HEADER}1,1.50,z,2017-07-02 11:00:00,7\n".encode(), first):
        path.write_bytes(content)
        copy(con, source, lake)
    assert lost_rows(con, tables) == []
    lose(tables.raw, f"landing_date = '{SECOND}'")
    assert sorted(lost.expected for lost in lost_rows(con, tables)) == [1, 4]


@pytest.mark.parametrize(
    ("name", "where", "found"),
    [
        ("events", f"event_date = '{SECOND}'", {SECOND: (4, 2), THIRD: (4, 3)}),
        ("quarantine", f"event_date = '{THIRD}'", {THIRD: (4, 3)}),
        ("raw", f"landing_date = '{THIRD}'", {THIRD: (0, 4)}),
    ],
)
def test_rows_of_raw_that_are_nowhere_after_it_are_told_by_landing_day(
    con: duckdb.DuckDBPyConnection,
    source: Source,
    tables: SourceTables,
    name: str,
    where: str,
    found: dict[date, tuple[int, int]],
) -> None:
    def after(leaving: Collection[date] = ()) -> dict[date, tuple[int, int]]:
        lost = lost_after_raw(con, tables, LATE, FIRST, leaving=leaving)
        return {one.day: (one.expected, one.found) for one in lost}

    assert after() == {}
    lose(getattr(tables, name), where)
    assert after() == found
    assert after(leaving=[SECOND, THIRD]) == {}, "what is still to be built isn't lost"


def test_a_run_looks_at_what_lands_late_for_its_days(
    con: duckdb.DuckDBPyConnection, tables: SourceTables
) -> None:
    def after(day: date, late_days: int = LATE) -> list[date]:
        return [one.day for one in lost_after_raw(con, tables, late_days, FIRST, between=(day, day))]

    lose(tables.events, f"event_date = '{SECOND}' AND landing_date = '{THIRD}'")
    assert after(SECOND) == [THIRD]
    assert after(FIRST) == []


def test_days_beyond_their_retention_are_not_missed(
    con: duckdb.DuckDBPyConnection, tables: SourceTables
) -> None:
    for table in (tables.raw, tables.events, tables.quarantine):
        assert expire(table, SECOND, "retention of calls") > 0
    assert lost_rows(con, tables) == []
    assert lost_after_raw(con, tables, LATE, FIRST) == []
    lose(tables.raw, f"landing_date = '{THIRD}'")
    assert [lost.day for lost in lost_rows(con, tables)] == [THIRD]


@pytest.mark.parametrize("name", ["raw", "files", "quarantine", "events"])
def test_what_a_torn_commit_wrote_is_made_again(
    con: duckdb.DuckDBPyConnection, lake: Lake, source: Source, tables: SourceTables, name: str
) -> None:
    """A power failure left the newest commit of one of the tables without a byte."""

    def content() -> list[object]:
        kept = (tables.raw, tables.events, tables.quarantine)
        return [sorted(table.read(con).fetchall(), key=str) for table in kept]

    before = content()
    table: Table = getattr(tables, name)
    newest = max(Path(table.uri, "_delta_log").glob("*.json"))
    newest.write_bytes(b"")
    assert [said.split(":")[0] for said in mend(lake.root)] == [f"Table {table.name}"]
    assert due(con, source, lake) == {FIRST, SECOND, THIRD}
    copy(con, source, lake)
    build(con, source, lake)
    assert content() == before
    assert due(con, source, lake) == set()
    assert lost_rows(con, tables) == lost_after_raw(con, tables, LATE, FIRST) == []


def test_a_rule_that_slips_past_the_list_reads_no_file(
    con: duckdb.DuckDBPyConnection, tables: SourceTables, source: Source, lake: Lake
) -> None:
    stolen, contract = "(SELECT count(*) FROM read_text('/etc/passwd')) > 0", source.contract
    rules = tuple(
        replace(rule, violation=stolen) if rule.kind == "required" else rule for rule in contract.row_rules
    )
    assert rules != contract.row_rules
    with pytest.raises(duckdb.PermissionException, match="passwd"):
        build(con, replace(source, contract=replace(contract, row_rules=rules)), lake)
