from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from typing import Any

import deltalake
import duckdb
import pytest
from deltalake.exceptions import CommitFailedError

from ml_assets.lake import Lake, LakeError, Provenance, Table, connect

D1, D2, D3, D4 = (date(2020, 1, n) for n in (1, 2, 3, 4))


def rows(con: duckdb.DuckDBPyConnection, values: Sequence[tuple[date, int]]) -> duckdb.DuckDBPyRelation:
    listed = ", ".join(f"(DATE '{day}', {n}::BIGINT, 'x{n}')" for day, n in values)
    return con.sql(f"SELECT * FROM (VALUES {listed}) AS listed(day, n, note)")


def content(table: Table, con: duckdb.DuckDBPyConnection, **how: object) -> list[tuple[object, ...]]:
    return sorted(table.read(con, **how).fetchall(), key=str)  # type: ignore[arg-type]


@pytest.fixture
def written(table: Table, con: duckdb.DuckDBPyConnection) -> Table:
    table.replace(
        rows(con, [(D1, 1), (D1, 2), (D2, 3), (D3, 4)]), between=(D1, D3), provenance=Provenance(run="first")
    )
    return table


# replace


def test_a_table_that_was_never_written(table: Table, con: duckdb.DuckDBPyConnection) -> None:
    assert not table.exists
    assert table.version is None
    assert table.history() == []
    with pytest.raises(
        LakeError,
        match=r"Table shop/events doesn't exist yet in .*lake\. Materialize the asset that writes it",
    ):
        table.read(con)


def test_a_write_replaces_its_partitions_and_no_other(written: Table, con: duckdb.DuckDBPyConnection) -> None:
    version = written.replace(rows(con, [(D2, 7), (D2, 8)]), between=(D2, D2), provenance=Provenance())
    assert version == written.version == 2
    assert content(written, con, columns=["day", "n"]) == [(D1, 1), (D1, 2), (D2, 7), (D2, 8), (D3, 4)]


def test_a_range_is_replaced_whole_in_one_commit(written: Table, con: duckdb.DuckDBPyConnection) -> None:
    before = len(written.history())
    written.replace(rows(con, [(D1, 9), (D4, 10)]), between=(D1, D4), provenance=Provenance())
    assert len(written.history()) == before + 1
    assert content(written, con, columns=["day", "n"]) == [(D1, 9), (D4, 10)]


def test_an_empty_partition_is_a_fact(written: Table, con: duckdb.DuckDBPyConnection) -> None:
    written.replace(
        rows(con, [(D2, 0)]).filter("false"), between=(D2, D2), provenance=Provenance(run="empty")
    )
    assert content(written, con, columns=["day", "n"]) == [(D1, 1), (D1, 2), (D3, 4)]
    assert content(written, con, between=(D2, D2)) == []
    newest = written.history(1)[0]
    assert (newest.between, newest.provenance.run) == ((D2, D2), "empty")


def test_an_empty_day_that_was_withheld_is_written_once_it_is_let_through(
    written: Table, con: duckdb.DuckDBPyConnection
) -> None:
    """Else what reads it would wait for a day that never comes."""
    nothing = rows(con, [(D4, 0)]).filter("false")
    written.update(con, nothing, between=(D4, D4), provenance=Provenance(), withhold=[D4])
    assert written.marks()[D4].changed is None
    assert written.update(con, nothing, between=(D4, D4), provenance=Provenance()) == {D4}
    assert written.marks()[D4].changed == written.version
    assert written.update(con, nothing, between=(D4, D4), provenance=Provenance()) == set()


def test_a_table_may_begin_empty(table: Table, con: duckdb.DuckDBPyConnection) -> None:
    table.replace(rows(con, [(D1, 1)]).filter("false"), between=(D1, D2), provenance=Provenance())
    read = table.read(con)
    assert table.exists
    assert (read.columns, list(map(str, read.types))) == (["day", "n", "note"], ["DATE", "BIGINT", "VARCHAR"])
    assert read.fetchall() == []


@pytest.mark.parametrize("stray", [D1 - timedelta(days=1), D3, None])
def test_a_row_outside_the_range_raises_and_nothing_changes(
    written: Table, con: duckdb.DuckDBPyConnection, stray: date | None
) -> None:
    before, version = content(written, con), written.version
    bad = con.sql(
        "SELECT * FROM (VALUES (DATE '2020-01-01', 50::BIGINT, 'good'), "
        f"({f'DATE {str(stray)!r}' if stray else 'NULL::DATE'}, 51, 'stray')) AS listed(day, n, note)"
    )
    with pytest.raises(
        LakeError, match=r"shop/events.*day from 2020-01-01 to 2020-01-02\. Nothing was written"
    ):
        written.replace(bad, between=(D1, D2), provenance=Provenance())
    assert (content(written, con), written.version) == (before, version)


def test_columns_go_by_name_not_by_position(written: Table, con: duckdb.DuckDBPyConnection) -> None:
    written.replace(
        con.sql(f"SELECT 'b' AS note, 5::BIGINT AS n, DATE '{D2}' AS day"),
        between=(D2, D2),
        provenance=Provenance(),
    )
    assert content(written, con, between=(D2, D2)) == [(D2, 5, "b")]


def test_a_new_column_is_added_and_older_partitions_read_null(
    written: Table, con: duckdb.DuckDBPyConnection
) -> None:
    wider = con.sql(f"SELECT DATE '{D2}' AS day, 5::BIGINT AS n, 'b' AS note, 1.50::DECIMAL(9, 2) AS price")
    written.replace(wider, between=(D2, D2), provenance=Provenance())
    read = written.read(con)
    types = dict(zip(read.columns, map(str, read.types), strict=True))
    assert types == {"day": "DATE", "n": "BIGINT", "note": "VARCHAR", "price": "DECIMAL(9,2)"}
    priced = written.read(con, columns=["day", "price"])
    assert sorted(set(priced.fetchall())) == [(D1, None), (D2, Decimal("1.50")), (D3, None)]
    assert content(written, con, columns=["day", "price"], between=(D1, D1)) == [(D1, None), (D1, None)]


def test_a_partition_written_without_a_known_column_reads_null(
    written: Table, con: duckdb.DuckDBPyConnection
) -> None:
    written.replace(
        con.sql(f"SELECT DATE '{D2}' AS day, 5::BIGINT AS n"), between=(D2, D2), provenance=Provenance()
    )
    assert content(written, con, between=(D2, D2)) == [(D2, 5, None)]


def test_a_further_condition_narrows_what_is_replaced(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    table = Lake(str(tmp_path)).table("lapse/scores", "day", "model")

    def scored(model: int, n: int) -> duckdb.DuckDBPyRelation:
        return con.sql(f"SELECT DATE '{D1}' AS day, {model}::BIGINT AS model, {n} AS n")

    for model, n in ((1, 10), (2, 20), (1, 11)):
        table.replace(scored(model, n), between=(D1, D1), also=f"model = {model}", provenance=Provenance())
    assert sorted(table.read(con).fetchall()) == [(D1, 1, 11), (D1, 2, 20)]
    assert list(map(str, table.read(con).types)) == ["DATE", "BIGINT", "INTEGER"]


def test_append_adds_and_replaces_nothing(written: Table, con: duckdb.DuckDBPyConnection) -> None:
    written.append(rows(con, [(D1, 1)]), provenance=Provenance(run="appended"))
    assert content(written, con, columns=["n"]) == [(1,), (1,), (2,), (3,), (4,)]
    assert written.history(1)[0].between is None


def test_time_and_money_come_back_as_they_went(table: Table, con: duckdb.DuckDBPyConnection) -> None:
    values = (
        "SELECT DATE '2020-01-01' AS day, TIMESTAMPTZ '2020-01-01 23:59:59.999999+00' AS at, "
        "12345678901234.56::DECIMAL(18, 2) AS amount"
    )
    table.replace(con.sql(values), between=(D1, D1), provenance=Provenance())
    assert table.read(con).fetchall() == con.sql(values).fetchall()
    assert list(map(str, table.read(con).types)) == ["DATE", "TIMESTAMP WITH TIME ZONE", "DECIMAL(18,2)"]


@pytest.mark.parametrize("folder", ["plain", "with space", "it's", "50%", "größe", "a=b"])
def test_the_lake_may_be_anywhere(tmp_path: Path, con: duckdb.DuckDBPyConnection, folder: str) -> None:
    table = Lake(str(tmp_path / folder)).table("shop/events", "day")
    table.replace(rows(con, [(D1, 1)]), between=(D1, D1), provenance=Provenance())
    assert table.read(con).fetchall() == [(D1, 1, "x1")]


# read


def test_reading_columns_and_a_range(written: Table, con: duckdb.DuckDBPyConnection) -> None:
    read = written.read(con, columns=["note", "day"], between=(D2, D3))
    assert read.columns == ["note", "day"]
    assert sorted(read.fetchall()) == [("x3", D2), ("x4", D3)]
    assert written.read(con, columns=["n"], between=(D4, D4)).fetchall() == []


def test_a_range_reads_only_its_files(written: Table, con: duckdb.DuckDBPyConnection) -> None:
    for path in Path(written.uri).glob("day=2020-01-0[13]/*.parquet"):
        path.unlink()
    assert written.read(con, between=(D2, D2)).fetchall() == [(D2, 3, "x3")]
    with pytest.raises(
        LakeError, match=r"Table shop/events: a file that it names can't be read .*day=2020-01-0"
    ):
        written.read(con).fetchall()


def test_an_older_version_stays_readable(written: Table, con: duckdb.DuckDBPyConnection) -> None:
    old, before = written.version, content(written, con)
    written.replace(rows(con, [(D1, 99)]), between=(D1, D4), provenance=Provenance())
    assert content(written, con, version=old) == before
    assert content(written, con, version=old, between=(D2, D2), columns=["n"]) == [(3,)]
    assert content(written, con, columns=["n"]) == [(99,)]


def test_a_version_that_never_was(written: Table, con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(LakeError, match=r"Table shop/events has no version 99; its newest is 1"):
        written.read(con, version=99)


def test_a_table_of_other_partitions_is_neither_read_nor_written(
    written: Table, con: duckdb.DuckDBPyConnection
) -> None:
    other = written.lake.table(written.name, "landing_date")
    message = "is partitioned by day; landing_date expected. Another version of ml_assets made it"
    with pytest.raises(LakeError, match=message):
        other.read(con)
    with pytest.raises(LakeError, match=message):
        other.append(con.sql("SELECT DATE '2024-01-01' AS landing_date"), provenance=Provenance())
    assert written.version == 1


@pytest.mark.parametrize("between", [None, (D4, D4)])
def test_an_unknown_column(
    written: Table, con: duckdb.DuckDBPyConnection, between: tuple[date, date] | None
) -> None:
    with pytest.raises(LakeError) as refused:
        written.read(con, columns=["n", "amuont", "aisle"], between=between)
    assert str(refused.value) == (
        "Table shop/events has no column aisle, amuont; it has day, n, note. "
        "Materialize it again if the column was declared since."
    )


# conflicts


def conflicting(monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Let the next commits meet another writer; the list grows with every attempt."""
    attempts: list[int] = []
    write = deltalake.write_deltalake

    def write_or_conflict(*given: Any, **how: Any) -> None:
        attempts.append(len(attempts) + 1)
        if len(attempts) <= times:
            raise CommitFailedError("another writer was first")
        write(*given, **how)

    monkeypatch.setattr("ml_assets.lake.write.write_deltalake", write_or_conflict)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return attempts


def test_a_writer_that_meets_another_tries_again(
    written: Table, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = conflicting(monkeypatch, 3)
    written.replace(rows(con, [(D2, 7)]), between=(D2, D2), provenance=Provenance())
    assert attempts == [1, 2, 3, 4]
    assert content(written, con, columns=["n"], between=(D2, D2)) == [(7,)]


def test_writers_that_make_a_table_at_once_all_write(tmp_path: Path) -> None:
    for attempt in range(5):
        table, start = Lake(str(tmp_path)).table(f"shop/{attempt}", "day"), Barrier(4)

        def write(n: int, table: Table = table, start: Barrier = start) -> None:
            with connect() as con:
                given = rows(con, [(D1, n)])
                start.wait()
                table.append(given, provenance=Provenance())

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        with connect() as con:
            assert sorted(content(table, con, columns=["n"])) == [(n,) for n in range(4)]


def test_a_writer_that_always_meets_another_gives_up_and_says_so(
    written: Table, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, attempts = content(written, con), conflicting(monkeypatch, 99)
    with pytest.raises(LakeError, match=r"shop/events: 8 attempts .* Nothing was written; run it again once"):
        written.replace(rows(con, [(D2, 7)]), between=(D2, D2), provenance=Provenance())
    assert len(attempts) == 8
    assert content(written, con) == before


# history


def test_history_tells_what_made_each_version(written: Table, con: duckdb.DuckDBPyConnection) -> None:
    start = datetime.now(tz=UTC)
    written.replace(
        rows(con, [(D2, 5)]), between=(D2, D2), provenance=Provenance(run="second", inputs={"raw": 17})
    )
    newest, first, created = written.history()
    assert (newest.version, first.version, created.version) == (2, 1, 0)
    assert (newest.provenance, newest.between) == (Provenance(run="second", inputs={"raw": 17}), (D2, D2))
    assert (first.provenance.run, first.between) == ("first", (D1, D3))
    assert (newest.operation, created.operation, created.between) == ("WRITE", "CREATE TABLE", None)
    assert abs(newest.at - start) < timedelta(minutes=1)
    assert newest.at.tzinfo is UTC
    assert [commit.version for commit in written.history(1)] == [2]


def test_a_table_is_a_value(written: Table) -> None:
    assert written == Table(written.lake, "shop/events", ("day",))
    with pytest.raises(FrozenInstanceError):
        written.name = "other"  # type: ignore[misc]
