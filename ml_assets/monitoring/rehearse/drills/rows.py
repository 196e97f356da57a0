"""The rows of a landing file, read and written again in the file's own format."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]
"""A day's rows as they landed: landing column -> value. Those of text files are texts, numbers of JSON Decimals."""


@dataclass(frozen=True)
class File:
    """A landing file's rows, and how to write others in their place."""

    rows: Rows
    write: Callable[[Rows, Path], None]


def read_file(path: Path, delimiter: str = ",") -> File:
    """The rows of a Parquet, CSV or JSON lines file, packed or not. Raises ValueError for another suffix."""
    if path.suffix == ".parquet":
        return _parquet(path)
    kind = next((s for s in path.suffixes if s in (".csv", ".jsonl", ".ndjson")), None)
    if kind is None:
        raise ValueError(f"{path} is no Parquet, CSV or JSON lines file; drills change only those")
    text = _unpacked(path).decode("utf-8-sig", "surrogateescape")
    return _csv(text, delimiter) if kind == ".csv" else _json_lines(text)


def _parquet(path: Path) -> File:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read()
    schema = pa.schema([field.with_nullable(True) for field in table.schema])

    def write(rows: Rows, to: Path) -> None:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), to, compression="zstd")

    return File(table.to_pylist(), write)


def _csv(text: str, delimiter: str) -> File:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = list(reader)
    names = list(reader.fieldnames or [])

    def write(rows: Rows, to: Path) -> None:
        lines = io.StringIO(newline="")
        writer = csv.DictWriter(lines, names, delimiter=delimiter, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        _pack(lines.getvalue(), to)

    return File(rows, write)


def _json_lines(text: str) -> File:
    rows = [json.loads(line, parse_float=Decimal) for line in text.splitlines() if line.strip()]

    def write(rows: Rows, to: Path) -> None:
        _pack("".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows), to)

    return File(rows, write)


def _unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(content)
    if path.suffix == ".zst":
        import pyarrow as pa

        return bytes(pa.CompressedInputStream(pa.BufferReader(content), "zstd").read())
    return content


def _pack(text: str, to: Path) -> None:
    content = text.encode("utf-8", "surrogateescape")
    if to.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    elif to.suffix == ".zst":
        import pyarrow as pa

        packed = pa.BufferOutputStream()
        with pa.CompressedOutputStream(packed, "zstd") as stream:
            stream.write(content)
        content = packed.getvalue().to_pybytes()
    to.write_bytes(content)
