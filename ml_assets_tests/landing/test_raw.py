"""Of a day's versions the one accepted last is in force, whatever clocks say and whoever else is landing."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ml_assets.contracts import Contract
from ml_assets.instance import clock
from ml_assets.lake import Lake, Provenance, Table, records
from ml_assets.landing import LandingFolder, content_hash
from ml_assets.landing.raw import Landed, land, rows_in_force, seen_files
from ml_assets.landing.tables import FILES, SourceTables
from ml_assets_tests.landing.conftest import HEADER, write

DAY, OTHER = date(2017, 7, 1), date(2017, 7, 2)
NOON = datetime(2017, 7, 3, 12, tzinfo=UTC)


@pytest.fixture
def tables(tmp_path: Path) -> SourceTables:
    return SourceTables.of(Lake(str(tmp_path / "lake")), "calls")


@pytest.fixture
def take_in(
    con: duckdb.DuckDBPyConnection, tables: SourceTables, folder: Path, contract: Contract
) -> Callable[..., Landed]:
    """Lands what is in the folder of the days from one to another."""
    landing = LandingFolder(folder, "{date}.csv")

    def lands(first: date = DAY, last: date = OTHER) -> Landed:
        return land(con, tables, landing, contract, (first, last), Provenance(run="test"))

    return lands


def drop(folder: Path, label: str, day: date = DAY) -> None:
    write(folder, day.day, f"{HEADER}1,1.50,{label},2017-07-01 10:00:00,7\n")


def in_force(con: duckdb.DuckDBPyConnection, tables: SourceTables, contract: Contract) -> list[Any]:
    rows = rows_in_force(con, tables, contract, (DAY, OTHER))
    return rows.project('"Label"').order("ALL").fetchall()


def sequence(con: duckdb.DuckDBPyConnection, tables: SourceTables) -> list[Any]:
    rows = tables.files.read(con, lacking=FILES.types)
    return rows.project("sequence, landing_date, status").order("ALL").fetchall()


def test_a_clock_that_runs_backwards_changes_nothing(
    con: duckdb.DuckDBPyConnection,
    tables: SourceTables,
    folder: Path,
    contract: Contract,
    take_in: Callable[..., Landed],
) -> None:
    for hours, label in enumerate("abc"):
        drop(folder, label)
        with clock.at(lambda hours=hours: NOON - timedelta(hours=hours)):
            assert take_in().accepted == {DAY: 1}
        assert in_force(con, tables, contract) == [(label,)]
    assert sequence(con, tables) == [(turn, DAY, "accepted") for turn in (1, 2, 3)]
    with clock.at(lambda: NOON - timedelta(days=1)):
        (folder / f"{DAY}.csv").unlink()
        drop(folder, "d", OTHER)
        assert take_in().deleted == (DAY,)
        assert seen_files(con, tables.files)[DAY].status == "deleted"
        drop(folder, "a")
        take_in()
    assert in_force(con, tables, contract) == [("a",), ("d",)]
    seen_at = rows_in_force(con, tables, contract, (DAY, DAY)).project("seen_at").fetchall()
    assert seen_at == [(NOON,)], "when that version was seen first"


def test_a_log_of_before_there_was_a_sequence_opens(
    con: duckdb.DuckDBPyConnection,
    tables: SourceTables,
    folder: Path,
    contract: Contract,
    take_in: Callable[..., Landed],
) -> None:
    """Written by a machine whose clock was fast; its own rows are in the order of that clock."""
    columns = {name: kind for name, kind in FILES.types.items() if name != "sequence"}
    for label, ahead in (("a", 2), ("b", 1)):
        drop(folder, label)
        path = folder / f"{DAY}.csv"
        line = {
            "landing_date": DAY,
            "content_hash": content_hash(path),
            "file": path.name,
            "status": "accepted",
            "seen_at": NOON + timedelta(days=ahead),
            "contract": contract.sha256,
            "month": DAY,
        }
        tables.files.append(records(con, [line], columns), provenance=Provenance(), about=[DAY])
    assert seen_files(con, tables.files)[DAY].file == f"{DAY}.csv"
    drop(folder, "a")
    assert seen_files(con, tables.files)[DAY].accepted == content_hash(folder / f"{DAY}.csv")
    drop(folder, "c")
    with clock.at(lambda: NOON):
        take_in()
    assert in_force(con, tables, contract) == [("c",)]
    assert sequence(con, tables) == [(1, DAY, "accepted"), (None, DAY, "accepted"), (None, DAY, "accepted")]


@pytest.mark.parametrize("day", [DAY, OTHER])
def test_of_two_that_land_at_once_one_comes_first(
    con: duckdb.DuckDBPyConnection,
    tables: SourceTables,
    folder: Path,
    contract: Contract,
    take_in: Callable[..., Landed],
    monkeypatch: pytest.MonkeyPatch,
    day: date,
) -> None:
    """The other one lands a later version of the same day, or another day, just before the entry in the log."""
    append = Table.append

    def overtaken(table: Table, *args: Any, **how: Any) -> int:
        if table.name == tables.files.name:
            monkeypatch.undo()
            drop(folder, "theirs", day)
            take_in(day, day)
        return append(table, *args, **how)

    drop(folder, "ours")
    monkeypatch.setattr(Table, "append", overtaken)
    result = take_in(DAY, DAY)
    if day == DAY:
        assert (result.accepted, result.unchanged) == ({}, (DAY,))
        assert in_force(con, tables, contract) == [("theirs",)]
    else:
        assert result.accepted == {DAY: 1}
        assert in_force(con, tables, contract) == [("ours",), ("theirs",)]
    turns = [turn for turn, *_ in sequence(con, tables)]
    assert turns == list(range(1, len(turns) + 1))


def test_refused_bytes_are_kept_once_though_a_run_is_killed_before_it_logs_them(
    con: duckdb.DuckDBPyConnection,
    tables: SourceTables,
    folder: Path,
    take_in: Callable[..., Landed],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(folder, 1, "nothing of the contract\n1\n")
    write(folder, 2, "nor here\n1\n")
    with monkeypatch.context() as killed:
        killed.setattr("ml_assets.landing.raw._enter", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take_in(DAY, DAY)
    take_in()
    kept = tables.refused.read(con, columns=["file", "content"]).order("file").fetchall()
    assert kept == [
        (f"{DAY}.csv", b"nothing of the contract\n1\n"),
        (f"{OTHER}.csv", b"nor here\n1\n"),
    ]


def test_a_refused_file_too_large_for_memory_is_logged_and_not_kept(
    con: duckdb.DuckDBPyConnection,
    tables: SourceTables,
    folder: Path,
    take_in: Callable[..., Landed],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ml_assets.landing.raw.LARGEST_KEPT", 20)
    write(folder, 1, "nothing of the contract\n1\n")
    write(folder, 2, "nor here\n1\n")
    take_in()
    assert {seen.status for seen in seen_files(con, tables.files).values()} == {"refused"}
    assert tables.refused.read(con, columns=["file"]).fetchall() == [(f"{OTHER}.csv",)]
