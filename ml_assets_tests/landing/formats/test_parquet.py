from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_assets.contracts import Contract
from ml_assets_tests.landing.conftest import days, read_all, reason, values
from ml_assets_tests.places import LANDING

GOOD = (
    "SELECT 1::BIGINT AS id, 1.50::DECIMAL(10,2) AS amount, 'a' AS \"Label\", "
    "TIMESTAMPTZ '2017-07-01 10:00:00+00' AS occurred_at, 7 AS size"
)


def parquet(con: duckdb.DuckDBPyConnection, folder: Path, day: int, query: str) -> Path:
    path = folder / f"2017-07-{day:02}.parquet"
    escaped = str(path).replace("'", "''")
    con.execute(f"COPY ({query}) TO '{escaped}' (FORMAT parquet)")
    return path


def test_values_have_the_contracts_types(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    parquet(con, folder, 1, f"{GOOD} UNION ALL BY NAME SELECT 2 AS id")
    assert values(read_all(con, folder, contract)) == [
        (1, Decimal("1.50"), "a", datetime(2017, 7, 1, 10, tzinfo=UTC), "7"),
        (2, None, None, None, None),
    ]


def test_narrower_types_are_widened_and_wall_clocks_read_in_the_contracts_zone(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    parquet(con, folder, 1, GOOD)
    parquet(
        con,
        folder,
        2,
        "SELECT 'x' AS \"Label\", 3::TINYINT AS id, 2.5::DECIMAL(4,1) AS amount, 8::BIGINT AS size, "
        "TIMESTAMP_NS '2017-07-02 10:00:00' AS occurred_at",
    )
    parquet(con, folder, 3, f"SELECT * REPLACE (4::SMALLINT AS amount) FROM ({GOOD})")
    result = read_all(con, folder, contract)
    assert result.refused == []
    _, second, third = values(result, "id, amount, occurred_at")
    assert second == (3, Decimal("2.50"), datetime(2017, 7, 2, 9, tzinfo=UTC))
    assert third[1] == Decimal("4.00")


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/London"])
@pytest.mark.parametrize("year", [2017, 1969])
def test_nanoseconds_are_cut_not_rounded_into_the_next_day(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, zone: str | None, year: int
) -> None:
    nanoseconds = con.sql(f"SELECT epoch_ns(TIMESTAMP_NS '{year}-01-31 23:59:59.999999999')").fetchall()[0][0]
    row = con.sql(GOOD).to_arrow_table()
    times = pa.array([nanoseconds], pa.timestamp("ns", tz=zone))
    table = row.set_column(row.column_names.index("occurred_at"), "occurred_at", times)
    pq.write_table(table, folder / "2017-07-01.parquet")
    found = values(read_all(con, folder, contract), "occurred_at")
    hour = 22 if zone is None and year == 1969 else 23  # London kept summer time all through 1969
    assert found == [(datetime(year, 1, 31, hour, 59, 59, 999_999, tzinfo=UTC),)]


def test_a_column_without_any_value_needs_no_type(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    """As pandas writes a column of None."""
    pq.write_table(
        pa.table({name: pa.nulls(2) for name in contract.source_columns}), folder / "2017-07-01.parquet"
    )
    assert values(read_all(con, folder, contract)) == [(None,) * 5] * 2


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (f"SELECT * EXCLUDE (amount) FROM ({GOOD})", "another schema: column 'amount' is gone; "),
        (f"SELECT *, 1 AS extra FROM ({GOOD})", "another schema: column 'extra' is new; "),
        (f"SELECT * RENAME (amount AS amuont) FROM ({GOOD})", "'amuont' is new; did you mean 'amount'?"),
        (f"SELECT * RENAME (amount AS Amount) FROM ({GOOD})", "'Amount' is new; did you mean 'amount'?"),
        (
            f"SELECT * REPLACE (amount::VARCHAR AS amount, id::HUGEINT AS id) FROM ({GOOD})",
            "another schema: column 'id' changed from BIGINT to DOUBLE; "
            "column 'amount' changed from DECIMAL(10,2) to VARCHAR; land the contract's columns (id BIGINT, ",
        ),
        (f"SELECT * REPLACE (amount::DOUBLE AS amount) FROM ({GOOD})", "from DECIMAL(10,2) to DOUBLE"),
        (f"SELECT * REPLACE (amount::DECIMAL(12,3) AS amount) FROM ({GOOD})", "to DECIMAL(12,3)"),
        (f"SELECT * REPLACE (id::BIGINT AS amount) FROM ({GOOD})", "from DECIMAL(10,2) to BIGINT"),
        (f"SELECT * REPLACE (id::UBIGINT AS id) FROM ({GOOD})", "from BIGINT to UBIGINT"),
        (f"SELECT * REPLACE (DATE '2017-01-01' AS occurred_at) FROM ({GOOD})", "from TIMESTAMPTZ to DATE"),
        (f"SELECT * REPLACE ([1] AS size) FROM ({GOOD})", "'size' changed from VARCHAR to nested"),
        (f"SELECT * REPLACE ('a'::BLOB AS \"Label\") FROM ({GOOD})", "'Label' changed from VARCHAR to BLOB"),
        (f"SELECT * EXCLUDE (amount) FROM ({GOOD}) WHERE FALSE", "column 'amount' is gone"),
    ],
)
def test_a_file_of_another_schema_is_refused_alone(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, query: str, wanted: str
) -> None:
    parquet(con, folder, 1, GOOD)
    parquet(con, folder, 2, query)
    result = read_all(con, folder, contract)
    assert wanted in reason(result)
    assert days(result) == {1: 1}


def test_a_column_that_is_there_twice_is_named(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    table = con.sql(GOOD).to_arrow_table()
    pq.write_table(table.append_column("id", table["id"]), folder / "2017-07-01.parquet")
    assert "another schema: column 'id' is there more than once" in reason(read_all(con, folder, contract))


def test_wall_clocks_that_show_a_time_twice_refuse_the_file(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    parquet(con, folder, 1, GOOD)
    parquet(
        con, folder, 2, f"SELECT * REPLACE (TIMESTAMP '2017-10-29 01:30:00' AS occurred_at) FROM ({GOOD})"
    )
    result = read_all(con, folder, contract)
    said = (
        "has 1 times in 'occurred_at' that clocks in Europe/London show twice or never: 2017-10-29 01:30:00; "
    )
    assert said in reason(result)
    assert days(result) == {1: 1}


@pytest.mark.parametrize("seen_by", ["checksums", "bounds"])
def test_a_bit_that_flipped_on_the_way_is_seen(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, seen_by: str
) -> None:
    """DuckDB reads the wrong value without a word."""
    rows = con.sql(f"SELECT * EXCLUDE n REPLACE (n AS id) FROM ({GOOD}), range(1000, 1100) AS numbers(n)")
    path = folder / "2017-07-02.parquet"
    pq.write_table(
        rows.to_arrow_table(),
        path,
        compression="none",
        use_dictionary=False,
        write_page_checksum=seen_by == "checksums",
    )
    content = bytearray(path.read_bytes())
    at = content.index((1050).to_bytes(8, "little"))
    bit = 1 if seen_by == "checksums" else 1 << 7
    content[at + (0 if seen_by == "checksums" else 2)] ^= bit
    path.write_bytes(content)
    parquet(con, folder, 1, GOOD)
    result = read_all(con, folder, contract)
    said = {
        "checksums": "CRC checksum verification failed",
        "bounds": "its column 'id' has values outside of the bounds",
    }
    assert said[seen_by] in reason(result)
    assert days(result) == {1: 1}


@pytest.mark.parametrize("damage", ["cut", "middle", "footer", "text", "short"])
def test_a_damaged_file_is_refused_alone(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, damage: str
) -> None:
    many = (
        'SELECT * EXCLUDE (n) REPLACE (n AS id, repeat(md5(n::VARCHAR), 3) AS "Label") '
        f"FROM ({GOOD}), range(2000) AS numbers(n)"
    )
    for day in (1, 3):
        parquet(con, folder, day, GOOD)
    path = parquet(con, folder, 2, many)
    content = path.read_bytes()
    middle = content[:100] + bytes(b ^ 0xFF for b in content[100:1500]) + content[1500:]
    bad, said = {
        "cut": (content[:-50], "is cut off: the end of a Parquet file, a footer and PAR1, is missing"),
        "middle": (middle, "isn't readable, it may be cut off, damaged or of another format: "),
        "footer": (content[:-8] + b"\xff\xff\xff\x7fPAR1", "isn't readable, "),
        "text": (
            b"id\n" * 99,
            "is no Parquet file: it doesn't start with PAR1: 'id\\nid\\nid\\nid\\nid\\ni'",
        ),
        "short": (b"PAR1", "is cut off"),
    }[damage]
    path.write_bytes(bad)
    result = read_all(con, folder, contract)
    assert said in reason(result)
    assert days(result) == {1: 1, 3: 1}
    assert values(result, "id") == [(1,), (1,)]


def test_a_footer_that_hides_rows_is_seen(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    """A column chunk with fewer values than the file has rows: DuckDB would read that many."""
    path = parquet(con, folder, 1, f"SELECT * EXCLUDE (n) FROM ({GOOD}), range(50) AS numbers(n)")
    whole = path.read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    footer = whole[-8 - length : -8]
    fifty = bytes([50 * 2])  # thrift's zigzag
    refused = 0
    for at in (n for n in range(len(footer)) if footer[n : n + 1] == fifty):
        path.write_bytes(whole[: -8 - length] + footer[:at] + bytes([49 * 2]) + footer[at + 1 :] + whole[-8:])
        result = read_all(con, folder, contract)
        assert result.refused or len(values(result)) == 50
        refused += "is damaged: it says that it has 5" in "".join(r.reason for r in result.refused)
    assert refused >= 6


def test_a_file_that_breaks_duckdb_breaks_nothing_else(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    """The error is one after which DuckDB lets no statement pass in the database that read the file."""
    bad = LANDING / "bad" / "internal_error.parquet"
    with duckdb.connect(":memory:") as other:
        with pytest.raises(duckdb.Error):
            other.execute("CREATE TABLE t AS FROM read_parquet(?)", [str(bad)])
        with pytest.raises(duckdb.FatalException):
            other.execute("SELECT 1")
    (folder / "2017-07-02.parquet").write_bytes(bad.read_bytes())
    for day in (1, 3):
        parquet(con, folder, day, GOOD)
    con.execute("CREATE TEMP TABLE kept AS SELECT 1")
    result = read_all(con, folder, contract)
    assert result.refused
    assert days(result) == {1: 1, 3: 1}
    assert con.execute("FROM kept").fetchall() == [(1,)]
