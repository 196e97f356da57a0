import gzip
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ml_assets.contracts import Contract
from ml_assets.contracts.compile.load import load_contract
from ml_assets.landing import LandingFile, ReadResult, read

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
HEADER = "id,amount,Label,occurred_at,size\n"
ROW = "1,1.50,a,2017-07-01 11:00:00,7\n"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.fixture(scope="session")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    path = tmp_path_factory.mktemp("contract") / "contract.yaml"
    path.write_text(CONTRACT)
    return load_contract(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose name has what glob patterns, SQL and hive partitions make something of."""
    path = tmp_path / "landing [1]*'s" / "kind=sales"
    path.mkdir(parents=True)
    return path


def write(folder: Path, day: int, content: str | bytes, suffix: str = ".csv") -> Path:
    """A file of a day of July 2017, packed as its suffix says."""
    path = folder / f"2017-07-{day:02}{suffix}"
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(packed(data, suffix))
    return path


def packed(data: bytes, suffix: str) -> bytes:
    import pyarrow as pa

    if suffix.endswith(".gz"):
        return gzip.compress(data, mtime=0)
    if suffix.endswith(".zst"):
        return bytes(pa.Codec("zstd").compress(data, asbytes=True))
    return data


def file(path: Path) -> LandingFile:
    return LandingFile(date.fromisoformat(path.name[:10]), path, path.stat().st_size if path.exists() else 0)


def read_all(con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, **options: Any) -> ReadResult:
    return read(con, [file(path) for path in sorted(folder.iterdir())], contract, **options)


def reason(result: ReadResult) -> str:
    """Why the one refused file is."""
    [refusal] = result.refused
    name = refusal.file.path.name
    assert refusal.reason.startswith(f"{name}: ")
    return refusal.reason.removeprefix(f"{name}: ")


def days(result: ReadResult) -> dict[int, int]:
    """Rows by day of the month."""
    return {day.day: rows for day, rows in result.counts.items()}


def values(
    result: ReadResult, columns: str = "id, amount, Label, occurred_at, size"
) -> list[tuple[Any, ...]]:
    assert result.rows is not None
    return result.rows.order("landing_date, row_number").project(columns).fetchall()
