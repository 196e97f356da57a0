"""Landing files into one relation of raw rows; a file that can't be trusted is refused, the rest is read."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

import duckdb

from ml_assets.contracts import Contract
from ml_assets.lake.sql import quote
from ml_assets.landing.formats import csv, json_lines, parquet
from ml_assets.landing.formats.scratch import Scratch, unreadable
from ml_assets.landing.formats.text_file import Unsound
from ml_assets.landing.places.folder import CSV_SUFFIXES, JSON_SUFFIXES, LandingFile, content_hash

Format = Literal["parquet", "csv", "json"]
Hashed = tuple[LandingFile, str]
SUFFIXES_OF: dict[Format, tuple[str, ...]] = {
    "parquet": (".parquet",),
    "csv": CSV_SUFFIXES,
    "json": JSON_SUFFIXES,
}
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

    ``rows`` is None if no file was accepted; else it has the contract's source columns, ``landing_date``
    DATE, ``file`` VARCHAR (the name), ``content_hash`` VARCHAR and ``row_number`` BIGINT (from 1: of a CSV or
    Parquet file the number of the row, of JSON lines the number of the line). It is a temporary table of the
    connection. ``counts`` has the rows per landing date of every accepted file: 0 for one without rows.
    """

    rows: duckdb.DuckDBPyRelation | None
    refused: list[Refusal] = field(default_factory=list)
    counts: dict[date, int] = field(default_factory=dict)


def read(
    con: duckdb.DuckDBPyConnection,
    files: Sequence[LandingFile | Hashed],
    contract: Contract,
    *,
    delimiter: str = ",",
) -> ReadResult:
    """Read landing files, each alone or with the ``content_hash`` it had when it was looked at before.

    All files of a call are of one format: Parquet, CSV (a header, ``delimiter`` one character) or JSON lines
    (.jsonl, .ndjson: one object a line, keys being the columns; a key left out is an empty value). CSV and
    JSON lines are UTF-8 and may end in .gz or .zst. All their values are kept as the text that is written;
    those of a Parquet file have the contract's types.

    A file with the contract's columns and no rows is accepted: a day on which nothing happened. A file that
    is empty, unreadable, of another schema, or that changes while it is read is refused with a reason and
    costs no other file anything; the reason quotes nothing of the file where the contract has personal columns.
    Raises ValueError for mixed or unknown formats and for a delimiter that is
    none.
    """
    csv.check_delimiter(delimiter)
    hashed, refused = _hashed(files)
    kind = _format([file for file, _ in hashed])
    if kind is None:
        return ReadResult(None, refused)
    table = f"landing_rows_{next(_numbers)}"
    schema = contract.raw_schema("parquet" if kind == "parquet" else "text")
    columns = ", ".join(f"{quote(name)} {sql_type}" for name, sql_type in schema.items())
    con.execute(
        f"CREATE TEMP TABLE {table} ({columns}, landing_date DATE, file VARCHAR, content_hash VARCHAR, "
        "row_number BIGINT)"
    )
    with Scratch(con) as scratch:
        if kind == "parquet":
            problems = parquet.insert(scratch, hashed, contract, table)
        else:
            problems = _insert_text(scratch, kind, hashed, contract, delimiter, table)
    unsound = []
    for file, digest in hashed:
        problem = _changed(file.path, digest) or problems.get(file.path)
        if problem is not None:
            reason = problem.reason(quoting=not contract.personal)
            unsound.append(Refusal(file, digest, f"{file.path.name}: {reason}"))
    _drop(con, table, unsound)
    bad = {refusal.file.path for refusal in unsound}
    found = dict(con.execute(f"SELECT landing_date, count(*) FROM {table} GROUP BY 1").fetchall())
    counts = {file.date: found.get(file.date, 0) for file, _ in hashed if file.path not in bad}
    return ReadResult(con.table(table) if counts else None, refused + unsound, dict(sorted(counts.items())))


def _insert_text(
    scratch: Scratch, kind: Format, files: Sequence[Hashed], contract: Contract, delimiter: str, table: str
) -> dict[Path, Unsound]:
    """Insert files one by one; returns why each bad one is refused, whatever has been inserted of it."""
    problems: dict[Path, Unsound] = {}
    for file, digest in files:
        try:
            if kind == "csv":
                csv.insert(scratch, file, digest, contract, delimiter, table)
            else:
                json_lines.insert(scratch.target, file, digest, contract, table)
        except Unsound as error:
            problems[file.path] = error
            scratch.renew()
        except duckdb.Error as error:
            problems[file.path] = unreadable(error)
            scratch.renew()
        except OSError as error:
            problems[file.path] = _gone(error)
    return problems


def _hashed(files: Sequence[LandingFile | Hashed]) -> tuple[list[Hashed], list[Refusal]]:
    """Every file with its hash; a file that can't even be hashed is refused, with an empty hash."""
    hashed: list[Hashed] = []
    refused: list[Refusal] = []
    for item in files:
        if isinstance(item, tuple):
            hashed.append(item)
            continue
        try:
            hashed.append((item, content_hash(item.path)))
        except OSError as error:
            refused.append(Refusal(item, "", f"{item.path.name}: {_gone(error).reason(quoting=True)}"))
    return hashed, refused


def _gone(error: OSError) -> Unsound:
    return Unsound(
        f"can't be read ({error.strerror or error})",
        "see that it is a file anybody may read, and land it again",
    )


def _format(files: Sequence[LandingFile]) -> Format | None:
    kinds: set[Format] = set()
    for file in files:
        kind = next(
            (kind for kind, suffixes in SUFFIXES_OF.items() if file.path.name.endswith(suffixes)), None
        )
        if kind is None:
            known = ", ".join(suffix for suffixes in SUFFIXES_OF.values() for suffix in suffixes)
            raise ValueError(
                f"{file.path.name} is neither Parquet nor CSV nor JSON lines by its name; it must end in one of {known}"
            )
        kinds.add(kind)
    if len(kinds) > 1:
        raise ValueError(
            f"files of several formats ({', '.join(sorted(kinds))}) can't be read in one call; "
            "a source has one format"
        )
    return kinds.pop() if kinds else None


def _changed(path: Path, digest: str) -> Unsound | None:
    """Why the bytes read may not be those hashed before, or None."""
    try:
        return None if content_hash(path) == digest else Unsound("changed while being read", "try again")
    except OSError as error:
        return _gone(error)


def _drop(con: duckdb.DuckDBPyConnection, table: str, refused: Sequence[Refusal]) -> None:
    """Take back what was read of refused files."""
    for refusal in refused:
        con.execute(
            f"DELETE FROM {table} WHERE landing_date = ? AND file = ? AND content_hash = ?",
            [refusal.file.date, refusal.file.path.name, refusal.content_hash],
        )
