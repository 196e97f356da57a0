"""Landing files into one relation of raw rows; a file that can't be trusted is refused, the rest is read."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

import duckdb

from ml_assets.contracts import Contract
from ml_assets.contracts.sql import quote
from ml_assets.landing import csv, parquet
from ml_assets.landing.files import CSV_SUFFIXES, LandingFile, content_hash

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Refusal:
    """A file that isn't taken in, and why, in words for the one who landed it."""

    file: LandingFile
    content_hash: str
    reason: str


@dataclass(frozen=True)
class ReadResult:
    """What came of some landing files.

    ``rows`` is None if no file could be read; else it has the contract's source columns, ``landing_date``
    DATE, ``file`` VARCHAR (the name), ``content_hash`` VARCHAR and ``row_number`` BIGINT (from 1, in the
    order of the file). It is a temporary table of the connection. ``counts`` has the rows per landing date.
    """

    rows: duckdb.DuckDBPyRelation | None
    refused: list[Refusal] = field(default_factory=list)
    counts: dict[date, int] = field(default_factory=dict)


def read(
    con: duckdb.DuckDBPyConnection,
    files: Sequence[LandingFile | tuple[LandingFile, str]],
    contract: Contract,
    *,
    delimiter: str = ",",
) -> ReadResult:
    """Read landing files, each alone or with the ``content_hash`` it had when it was looked at before.

    All files of a call are of one format: Parquet, or CSV (also .gz and .zst; UTF-8, a header, ``delimiter``
    one character). A file that is unreadable, empty, of another schema, or that changes while it is read is
    refused with a reason and costs no other file anything. Raises ValueError for mixed or unknown formats.
    """
    hashed, refused = _hashed(files)
    kind = _format([file for file, _ in hashed])
    if kind is None:
        return ReadResult(None, refused)
    table = f"landing_rows_{next(_numbers)}"
    schema = contract.raw_schema(kind)
    columns = ", ".join(f"{quote(name)} {sql_type}" for name, sql_type in schema.items())
    con.execute(
        f"CREATE TEMP TABLE {table} ({columns}, landing_date DATE, file VARCHAR, content_hash VARCHAR, "
        "row_number BIGINT)"
    )
    if kind == "parquet":
        problems = parquet.insert(con, table, hashed, contract)
    else:
        problems = csv.insert(con, table, hashed, contract, delimiter)
    unsound = []
    for file, digest in hashed:
        reason = _changed(file.path, digest) or problems.get(file.path)
        if reason is not None:
            unsound.append(Refusal(file, digest, f"{file.path.name}: {reason}"))
    _drop(con, table, unsound)
    counts = con.execute(f"SELECT landing_date, count(*) FROM {table} GROUP BY 1 ORDER BY 1").fetchall()
    return ReadResult(con.table(table) if counts else None, refused + unsound, dict(counts))


def _hashed(
    files: Sequence[LandingFile | tuple[LandingFile, str]],
) -> tuple[list[tuple[LandingFile, str]], list[Refusal]]:
    """Every file with its hash; a file that can't even be hashed is refused, with an empty hash."""
    hashed: list[tuple[LandingFile, str]] = []
    refused: list[Refusal] = []
    for item in files:
        if isinstance(item, tuple):
            hashed.append(item)
            continue
        try:
            hashed.append((item, content_hash(item.path)))
        except OSError as error:
            refused.append(Refusal(item, "", f"{item.path.name}: {_gone(error)}"))
    return hashed, refused


def _gone(error: OSError) -> str:
    return f"can't be read ({error.strerror}); land it again"


def _format(files: Sequence[LandingFile]) -> Literal["csv", "parquet"] | None:
    kinds: set[Literal["csv", "parquet"]] = set()
    for file in files:
        if file.path.name.endswith(".parquet"):
            kinds.add("parquet")
        elif file.path.name.endswith(CSV_SUFFIXES):
            kinds.add("csv")
        else:
            raise ValueError(
                f"{file.path.name} is neither Parquet nor CSV; a suffix of .parquet or .csv is expected"
            )
    if len(kinds) > 1:
        raise ValueError("Parquet and CSV files can't be read in one call; a source has one format")
    return kinds.pop() if kinds else None


def _changed(path: Path, digest: str) -> str | None:
    """Why the bytes read may not be those hashed before, or None."""
    try:
        return None if content_hash(path) == digest else "changed while being read, try again"
    except OSError as error:
        return _gone(error)


def _drop(con: duckdb.DuckDBPyConnection, table: str, refused: Sequence[Refusal]) -> None:
    """Take back what was read of refused files."""
    for refusal in refused:
        con.execute(
            f"DELETE FROM {table} WHERE landing_date = ? AND file = ? AND content_hash = ?",
            [refusal.file.date, refusal.file.path.name, refusal.content_hash],
        )
