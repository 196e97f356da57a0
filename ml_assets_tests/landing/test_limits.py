"""A file that is small on disk and large in memory is refused in words; one below the limits is read in little memory."""

from pathlib import Path

import duckdb
import pytest
from pydantic import ValidationError

from ml_assets.contracts import Contract
from ml_assets.lake import on_disk
from ml_assets.landing.limits import FileLimits
from ml_assets.landing.places.folder import FolderSpec
from ml_assets_tests.landing.conftest import HEADER, ROW, days, read_all, reason, write
from ml_assets_tests.landing.formats.test_parquet import GOOD, parquet

SMALL = FileLimits(unpacked=1_000_000, row=1_000)
JSON = '{"id": 1, "amount": 1.5, "Label": "a", "occurred_at": "2017-07-01 10:00:00", "size": 7}\n'
MANY = f"SELECT * FROM ({GOOD}), range(40_000)"


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.zst", ".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_text_that_unpacks_to_more_than_it_may_is_refused_alone(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str
) -> None:
    head, row = (HEADER, ROW) if "csv" in suffix else ("", JSON)
    write(folder, 1, head + row, suffix)
    write(folder, 2, head + row * 40_000, suffix)
    result = read_all(con, folder, contract, limits=SMALL)
    assert "holds more than 1,000,000 bytes once it is unpacked, and may hold 1,000,000 bytes" in reason(
        result
    )
    assert "`limits.unpacked`" in reason(result)
    assert days(result) == {1: 1}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (f"SELECT * EXCLUDE range FROM ({MANY})", "bytes once it is unpacked, and may hold 1,000,000 bytes"),
        (
            f"SELECT * EXCLUDE range REPLACE (repeat('x', 900) AS \"Label\") FROM ({MANY}) LIMIT 2000",
            "bytes once it is unpacked, and may hold 1,000,000 bytes",
        ),
        (
            f"{GOOD} UNION ALL BY NAME (SELECT * REPLACE (repeat('x', 1100) AS \"Label\") FROM ({GOOD}))",
            "row 2 is longer than 1,000 bytes",
        ),
    ],
    ids=["equal numbers stand once", "equal texts stand once", "one long text"],
)
def test_parquet_that_unpacks_to_more_than_it_may_is_refused_alone(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, query: str, said: str
) -> None:
    parquet(con, folder, 1, GOOD)
    bomb = parquet(con, folder, 2, query)
    assert bomb.stat().st_size < 10_000
    result = read_all(con, folder, contract, limits=SMALL)
    assert said in reason(result)
    assert days(result) == {1: 1}


@pytest.mark.parametrize(
    ("suffix", "content", "said"),
    [
        (
            ".csv",
            HEADER + ROW + f"1,1.5,{'x' * 1100},2017-07-01,7\n" + ROW,
            "line 3 is longer than 1,000 bytes",
        ),
        (
            ".csv",
            HEADER + ROW + '1,1.5,"' + "xxxx\n" * 220 + '",2017-07-01,7\n',
            "is longer than 1,000 bytes",
        ),
        (
            ".jsonl",
            JSON + JSON.replace('"a"', '"' + "x" * 1100 + '"') + JSON,
            "line 2 is longer than 1,000 bytes",
        ),
    ],
)
def test_a_row_that_is_longer_than_it_may_be_is_refused(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str, content: str, said: str
) -> None:
    write(folder, 1, content, suffix)
    result = read_all(con, folder, contract, limits=SMALL)
    assert said in reason(result)
    assert "`limits.row`" in reason(result)


@pytest.mark.parametrize("suffix", [".csv.gz", ".jsonl.gz"])
def test_what_is_within_the_limits_takes_little_memory(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str
) -> None:
    """Six times the rows took six times the memory of the connection."""
    taken = []
    for rows in (100_000, 600_000):
        path = write(folder, 1, HEADER + ROW * rows if "csv" in suffix else JSON * rows, suffix)
        with on_disk(con) as database:
            assert days(read_all(con, folder, contract, database=database)) == {1: rows}
            [(held,)] = con.execute("SELECT sum(memory_usage_bytes) FROM duckdb_memory()").fetchall()
        taken.append(held)
        path.unlink()
    assert taken[1] < 2 * taken[0]


def test_sizes_are_declared_with_their_units() -> None:
    declared = FolderSpec.model_validate({"path": "x", "limits": {"unpacked": "2GB", "row": "1MiB"}})
    assert declared.open().limits == FileLimits(unpacked=2_000_000_000, row=2**20)
    for wrong in ({"unpacked": "much"}, {"unpacked": 0}, {"row": "1GB"}, {"rows": 1}):
        with pytest.raises(ValidationError):
            FolderSpec.model_validate({"path": "x", "limits": wrong})
