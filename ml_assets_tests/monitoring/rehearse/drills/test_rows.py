"""Files are read, changed and written in their own format."""

import gzip
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_assets.monitoring.rehearse.drills.rows import read_file

CSV = 'id;paid;said\n1;1.10;"a; b"\n2;;\n'
LINES = '{"id": 1, "paid": 1.10, "more": {"of": 0.10}}\n{"id": 2, "paid": null, "more": null}\n'


def packed(path: Path, text: str) -> Path:
    content = text.encode()
    if path.suffix == ".gz":
        content = gzip.compress(content)
    elif path.suffix == ".zst":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(content)
        content = sink.getvalue().to_pybytes()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.zst"])
def test_csv(tmp_path: Path, suffix: str) -> None:
    path = packed(tmp_path / f"2024-01-01.{suffix}", CSV)
    file = read_file(path, ";")
    assert file.rows == [
        {"id": "1", "paid": "1.10", "said": "a; b"},
        {"id": "2", "paid": "", "said": ""},
    ]
    file.write([file.rows[0] | {"paid": None}, file.rows[1]], path)
    again = read_file(path, ";").rows
    assert again == [file.rows[0] | {"paid": ""}, file.rows[1]]


@pytest.mark.parametrize("suffix", ["jsonl", "ndjson.gz", "jsonl.zst"])
def test_json_lines(tmp_path: Path, suffix: str) -> None:
    path = packed(tmp_path / f"2024-01-01.{suffix}", LINES)
    file = read_file(path)
    assert file.rows[0] == {"id": 1, "paid": Decimal("1.10"), "more": {"of": Decimal("0.10")}}
    file.write(file.rows, path)
    assert read_file(path).rows == [
        {"id": 1, "paid": "1.10", "more": {"of": "0.10"}},
        {"id": 2, "paid": None, "more": None},
    ]


def test_parquet_keeps_its_types_and_takes_empty_values(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            pa.field("paid", pa.decimal128(10, 2), nullable=False),
            pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        ]
    )
    rows = [{"paid": Decimal("1.10"), "at": datetime(2024, 1, 1, 8, tzinfo=UTC)}]
    path = tmp_path / "2024-01-01.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    file = read_file(path)
    assert file.rows == rows
    file.write([{**rows[0], "paid": None}, *rows], path)
    table = pq.ParquetFile(path).read()
    assert table.schema.types == schema.types
    assert table.to_pylist() == [{**rows[0], "paid": None}, *rows]


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"2024\.xlsx is no Parquet, CSV or JSON lines file"):
        read_file(tmp_path / "2024.xlsx")
