"""Landing files into one relation of raw rows; a file that can't be trusted is refused, the rest is read."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb

from ml_assets.contracts import Contract
from ml_assets.lake.sql import quote
from ml_assets.landing.formats.format import Format, Hashed
from ml_assets.landing.formats.registry import FORMATS, format_of, suffixes
from ml_assets.landing.formats.sandbox import Sandbox
from ml_assets.landing.formats.unsound import Unsound, cannot_open
from ml_assets.landing.limits import DEFAULT, FileLimits
from ml_assets.landing.pieces import LandingFile, content_hash
from ml_assets.landing.tables import raw_schema

_numbers = itertools.count(1)


@dataclass(frozen=True)
class RefusedFile:
    """A file that isn't taken in, and why, in words for the one who landed it."""

    file: LandingFile
    content_hash: str
    reason: str


@dataclass(frozen=True)
class ReadResult:
    """What came of some landing files.

    ``rows`` is None if no file was accepted; else it has the contract's source columns, ``landing_date``
    DATE, ``file`` VARCHAR (the name), ``content_hash`` VARCHAR and ``row_number`` BIGINT (from 1: of a CSV or
    Parquet file the number of the row, of JSON lines the number of the line). It is a table of the
    connection. ``counts`` has the rows per landing date of every accepted file: 0 for one without rows.
    """

    rows: duckdb.DuckDBPyRelation | None
    refused: list[RefusedFile] = field(default_factory=list)
    counts: dict[date, int] = field(default_factory=dict)


def read(
    con: duckdb.DuckDBPyConnection,
    files: Sequence[LandingFile | Hashed],
    contract: Contract,
    *,
    delimiter: str = ",",
    limits: FileLimits = DEFAULT,
    database: str = "memory",
) -> ReadResult:
    """Read landing files, each alone or with the ``content_hash`` it had when it was looked at before.

    All files of a call are of one format, by their names; ``delimiter`` is what parts the fields of CSV.
    The rows are kept in a table of that ``database`` of the connection.

    A file with the contract's columns and no rows is accepted: a day on which nothing happened. A file that
    is beyond the ``limits``, empty, unreadable, of another schema, or that changes while it is read is refused
    with a reason and costs no other file anything; the reason quotes nothing of the file where the contract has
    personal columns.
    Raises ValueError for mixed or unknown formats and for a delimiter that is none.
    """
    hashed, refused = _hashed(files)
    if not hashed:
        return ReadResult(None, refused)
    format = _format([file for file, _ in hashed]).of(delimiter)
    table = f"{database}.landing_rows_{next(_numbers)}"
    types = raw_schema(contract, typed=format.typed).types
    columns = ", ".join(f"{quote(name)} {sql_type}" for name, sql_type in types.items())
    con.execute(f"CREATE TABLE {table} ({columns})")
    with Sandbox(con, limits) as sandbox:
        problems = format.insert(sandbox, hashed, contract, table)
    unsound = []
    for file, digest in hashed:
        problem = _changed(file.path, digest) or problems.get(file.path)
        if problem is not None:
            reason = problem.reason(quoting=not contract.personal)
            unsound.append(RefusedFile(file, digest, f"{file.path.name}: {reason}"))
    _drop(con, table, unsound)
    bad = {refusal.file.path for refusal in unsound}
    found = dict(con.execute(f"SELECT landing_date, count(*) FROM {table} GROUP BY 1").fetchall())
    counts = {file.date: found.get(file.date, 0) for file, _ in hashed if file.path not in bad}
    return ReadResult(con.table(table) if counts else None, refused + unsound, dict(sorted(counts.items())))


def _hashed(files: Sequence[LandingFile | Hashed]) -> tuple[list[Hashed], list[RefusedFile]]:
    """Every file with its hash; a file that can't even be hashed is refused, with an empty hash."""
    hashed: list[Hashed] = []
    refused: list[RefusedFile] = []
    for item in files:
        if isinstance(item, tuple):
            hashed.append(item)
            continue
        try:
            hashed.append((item, content_hash(item.path)))
        except OSError as error:
            refused.append(
                RefusedFile(item, "", f"{item.path.name}: {cannot_open(error).reason(quoting=True)}")
            )
    return hashed, refused


def _format(files: Sequence[LandingFile]) -> type[Format]:
    kinds: set[type[Format]] = set()
    for file in files:
        kind = format_of(file.path.name)
        if kind is None:
            raise ValueError(
                f"{file.path.name} is neither {' nor '.join(kind.words for kind in FORMATS)} by its name; it must "
                f"end in one of {', '.join(suffixes())}"
            )
        kinds.add(kind)
    if len(kinds) > 1:
        raise ValueError(
            f"files of several formats ({', '.join(sorted(kind.words for kind in kinds))}) can't be read in one "
            "call; a source has one format"
        )
    return kinds.pop()


def _changed(path: Path, digest: str) -> Unsound | None:
    """Why the bytes read may not be those hashed before, or None."""
    try:
        return None if content_hash(path) == digest else Unsound("changed while being read", "try again")
    except OSError as error:
        return cannot_open(error)


def _drop(con: duckdb.DuckDBPyConnection, table: str, refused: Sequence[RefusedFile]) -> None:
    """Take back what was read of refused files."""
    for refusal in refused:
        con.execute(
            f"DELETE FROM {table} WHERE landing_date = ? AND file = ? AND content_hash = ?",
            [refusal.file.date, refusal.file.path.name, refusal.content_hash],
        )
