import gzip
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ml_assets.contracts import Contract
from ml_assets.landing import LandingFile, LandingFolder, ReadResult, content_hash, read, reading

CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: sales
version: 1.0.0
schema:
  - name: sales
    properties:
      - {name: id, logicalType: integer}
      - {name: amount, logicalType: number, physicalType: "DECIMAL(10,2)"}
      - {name: label, logicalType: string, physicalName: Label}
      - name: occurred_at
        logicalType: timestamp
        required: true
        logicalTypeOptions: {defaultTimezone: Europe/London}
      - {name: big, logicalType: boolean, transformLogic: CAST(size AS INTEGER) > 5}
"""
GOOD = (
    "SELECT 1::BIGINT AS id, 1.50::DECIMAL(10,2) AS amount, 'a' AS \"Label\", "
    "TIMESTAMPTZ '2017-07-01 10:00:00+00' AS occurred_at, 7 AS size"
)
HEADER = "id,amount,Label,occurred_at,size\n"
ROW = "1,1.50,a,2017-07-01 11:00:00,7\n"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    path = tmp_path / "contract.yaml"
    path.write_text(CONTRACT)
    return Contract.load(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "landing [1]*" / "kind=sales"
    path.mkdir(parents=True)
    return path


def parquet(con: duckdb.DuckDBPyConnection, folder: Path, day: int, query: str) -> Path:
    path = folder / f"2017-07-{day:02}.parquet"
    con.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


def text(folder: Path, day: int, content: str | bytes, suffix: str = ".csv") -> Path:
    path = folder / f"2017-07-{day:02}{suffix}"
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data, mtime=0) if suffix == ".csv.gz" else data)
    return path


def read_all(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str = ".parquet", **options: Any
) -> ReadResult:
    files = LandingFolder(folder, "{date}" + suffix).files().values()
    return read(con, [(file, content_hash(file.path)) for file in files], contract, **options)


def reason(result: ReadResult) -> str:
    [refusal] = result.refused
    return refusal.reason


def test_parquet_files_become_raw_rows(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    path = parquet(con, folder, 1, f"{GOOD} UNION ALL BY NAME SELECT 2 AS id")
    parquet(con, folder, 2, GOOD)
    result = read_all(con, folder, contract)
    assert result.refused == []
    assert result.counts == {date(2017, 7, 1): 2, date(2017, 7, 2): 1}
    assert result.rows is not None
    names = [*contract.source_columns, "landing_date", "file", "content_hash", "row_number"]
    assert result.rows.columns == names
    types = dict(zip(result.rows.columns, map(str, result.rows.types), strict=True))
    assert (types["id"], types["amount"], types["size"]) == ("BIGINT", "DECIMAL(10,2)", "VARCHAR")
    first, second, _ = result.rows.order("landing_date, row_number").fetchall()
    assert first == (
        1,
        Decimal("1.50"),
        "a",
        datetime(2017, 7, 1, 10, tzinfo=UTC),
        "7",
        date(2017, 7, 1),
        "2017-07-01.parquet",
        content_hash(path),
        1,
    )
    assert (second[0], second[1], second[-1]) == (2, None, 2)


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
    assert result.rows is not None
    rows = result.rows.order("landing_date").project("id, amount, occurred_at").fetchall()
    assert rows[1] == (3, Decimal("2.50"), datetime(2017, 7, 2, 9, tzinfo=UTC))
    assert rows[2][1] == Decimal("4.00")


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (f"SELECT * EXCLUDE (amount) FROM ({GOOD})", "column amount is missing"),
        (f"SELECT *, 1 AS extra FROM ({GOOD})", "column extra is unknown"),
        (f"SELECT * RENAME (amount AS amuont) FROM ({GOOD})", "did you mean 'amount'?"),
        (
            f"SELECT * REPLACE (amount::VARCHAR AS amount) FROM ({GOOD})",
            "another schema: column amount is VARCHAR, DECIMAL(10,2) expected",
        ),
        (f"SELECT * REPLACE (amount::DOUBLE AS amount) FROM ({GOOD})", "column amount is DOUBLE"),
        (
            f"SELECT * REPLACE (amount::DECIMAL(12,3) AS amount) FROM ({GOOD})",
            "column amount is DECIMAL(12,3)",
        ),
        (f"SELECT * REPLACE (id::BIGINT AS amount) FROM ({GOOD})", "column amount is BIGINT"),
        (f"SELECT * REPLACE (DATE '2017-01-01' AS occurred_at) FROM ({GOOD})", "column occurred_at is DATE"),
        (f"SELECT * REPLACE ([1] AS size) FROM ({GOOD})", "column size is NESTED"),
        (f"SELECT * FROM ({GOOD}) WHERE FALSE", "has no rows"),
    ],
)
def test_a_parquet_file_of_another_schema_is_refused_alone(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, query: str, wanted: str
) -> None:
    parquet(con, folder, 1, GOOD)
    parquet(con, folder, 2, query)
    result = read_all(con, folder, contract)
    assert reason(result).startswith("2017-07-02.parquet: ")
    assert wanted in reason(result)
    assert result.refused[0].file.date == date(2017, 7, 2)
    assert result.counts == {date(2017, 7, 1): 1}


@pytest.mark.parametrize("damage", ["cut", "middle", "other", "empty"])
def test_a_damaged_parquet_file_is_refused_alone(
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
    path.write_bytes({"cut": content[:-50], "middle": middle, "other": b"id\n" * 99, "empty": b""}[damage])
    result = read_all(con, folder, contract)
    assert "2017-07-02.parquet" in reason(result)
    assert "land it again" in reason(result)
    assert result.counts == {date(2017, 7, 1): 1, date(2017, 7, 3): 1}


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_csv_files_become_rows_of_text(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str
) -> None:
    text(folder, 1, HEADER + ROW + '2,,"a ""b"", c\nd",x,\n', suffix)
    text(folder, 2, "\ufeffsize,occurred_at,Label,amount,id\r\n7,2017-07-02,é,1,3\r\n", suffix)
    result = read_all(con, folder, contract, suffix)
    assert result.refused == []
    assert result.rows is not None
    rows = result.rows.order("landing_date, row_number")
    assert set(map(str, result.rows.types[:5])) == {"VARCHAR"}
    assert rows.project("id, amount, Label, occurred_at, size, row_number").fetchall() == [
        ("1", "1.50", "a", "2017-07-01 11:00:00", "7", 1),
        ("2", None, 'a "b", c\nd', "x", None, 2),
        ("3", "1", "é", "2017-07-02", "7", 1),
    ]


def test_zstd_files_are_read(con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract) -> None:
    path = folder / "2017-07-01.csv.zst"
    con.execute(f"COPY ({GOOD}) TO '{path}' (FORMAT csv, HEADER, COMPRESSION zstd)")
    assert read_all(con, folder, contract, ".csv.zst").counts == {date(2017, 7, 1): 1}


def test_another_delimiter_can_be_given(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    text(folder, 1, (HEADER + ROW).replace(",", ";"))
    assert read_all(con, folder, contract, ".csv", delimiter=";").counts == {date(2017, 7, 1): 1}
    assert "another schema" in reason(read_all(con, folder, contract, ".csv"))
    with pytest.raises(ValueError, match="isn't one character"):
        read_all(con, folder, contract, ".csv", delimiter="::")


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "is empty (0 bytes)"),
        (HEADER, "has a header and no rows"),
        (ROW + ROW, "another schema"),
        (HEADER.replace("amount", "Amount") + ROW, "column Amount is unknown; did you mean 'amount'?"),
        (HEADER.replace(",size", "") + "1,2,a,b\n", "column size is missing"),
        (HEADER.replace("size", "id") + ROW, "column id is there more than once"),
        (HEADER + ROW + "2,3,a,b\n", "line 3 has 4 fields, 5 expected: '2,3,a,b'"),
        (HEADER + ROW + ROW + "2,3,a,b,c,d\n", "line 4 has 6 fields, 5 expected"),
        ((HEADER + ROW + ROW.replace("a", "\xe9")).encode("latin-1"), "line 3 isn't UTF-8 text"),
        (HEADER + ROW + '2,3,"a,b,c\n', "opens a quote that is never closed"),
    ],
)
def test_a_damaged_csv_file_is_refused_alone(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, content: str | bytes, wanted: str
) -> None:
    for day in (1, 3):
        text(folder, day, HEADER + ROW)
    text(folder, 2, content)
    result = read_all(con, folder, contract, ".csv")
    assert reason(result).startswith("2017-07-02.csv: ")
    assert wanted in reason(result)
    assert result.counts == {date(2017, 7, 1): 1, date(2017, 7, 3): 1}


@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_gzip_file_is_refused_alone(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, cut: bool
) -> None:
    text(folder, 1, HEADER + ROW, ".csv.gz")
    rows = "".join(ROW.replace("a", f"{number * 7919 % 10007}") for number in range(20_000))
    path = text(folder, 2, HEADER + rows, ".csv.gz")
    path.write_bytes(path.read_bytes()[:-5000] if cut else (HEADER + ROW).encode())
    result = read_all(con, folder, contract, ".csv.gz")
    assert "isn't a readable file" in reason(result)
    assert result.counts == {date(2017, 7, 1): 1}


def test_nothing_is_left_of_a_file_that_fails_late(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    text(folder, 1, HEADER + ROW * 200_000 + "broken\n")
    result = read_all(con, folder, contract, ".csv")
    assert "line 200002 has 1 fields" in reason(result)
    assert (result.rows, result.counts) == (None, {})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_that_changes_while_being_read_is_refused(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str
) -> None:
    for day in (1, 2):
        if suffix == ".csv":
            text(folder, day, HEADER + ROW)
        else:
            parquet(con, folder, day, GOOD)
    files = list(LandingFolder(folder, "{date}" + suffix).files().values())
    hashed = [(file, content_hash(file.path)) for file in files]
    if suffix == ".csv":
        text(folder, 2, HEADER + ROW + ROW)
    else:
        parquet(con, folder, 2, f"{GOOD} UNION ALL {GOOD}")
    result = read(con, hashed, contract)
    assert reason(result) == f"2017-07-02{suffix}: changed while being read, try again"
    assert result.counts == {date(2017, 7, 1): 1}


def test_a_change_between_hash_and_read_is_seen_without_a_given_hash(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    text(folder, 1, HEADER + ROW)
    [file] = LandingFolder(folder, "{date}.csv").files().values()

    def hash_then_change(path: Path) -> str:
        digest = content_hash(path)
        path.write_text(HEADER + ROW + ROW)
        return digest

    monkeypatch.setattr(reading, "content_hash", hash_then_change)
    assert "changed while being read" in reason(read(con, [file], contract))


def test_a_file_that_is_gone_is_refused(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    text(folder, 1, HEADER + ROW)
    [file] = LandingFolder(folder, "{date}.csv").files().values()
    digest = content_hash(file.path)
    file.path.unlink()
    assert "can't be read (No such file or directory)" in reason(read(con, [(file, digest)], contract))
    assert "can't be read (No such file or directory)" in reason(read(con, [file], contract))


def test_formats_are_not_mixed_and_no_files_are_no_rows(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    assert read(con, [], contract) == ReadResult(None)
    files = [LandingFile(date(2017, 7, 1), folder / name, 1, 1) for name in ("a.csv", "b.parquet", "c.json")]
    for file in files:
        file.path.write_text("x")
    with pytest.raises(ValueError, match="one format"):
        read(con, files[:2], contract)
    with pytest.raises(ValueError, match="neither Parquet nor CSV"):
        read(con, files[2:], contract)


def test_two_calls_on_a_connection_do_not_disturb_each_other(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    text(folder, 1, HEADER + ROW)
    first, second = (read_all(con, folder, contract, ".csv") for _ in range(2))
    assert first.rows is not None
    assert second.rows is not None
    assert len(first.rows) == len(second.rows) == 1
