"""CSV landing files: text in, text out, one file at a time."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import duckdb

from ml_assets.contracts import Contract
from ml_assets.contracts.sql import quote, text
from ml_assets.landing.files import LandingFile
from ml_assets.landing.parquet import another_schema, glob_escape, unreadable

# A character that text files don't contain: a line read with it as delimiter stays one field.
UNIT_SEPARATOR = "\x1f"
AGAIN = "correct it and land it again"
# Longest piece of a bad line that a reason quotes.
QUOTED = 80


def insert(
    con: duckdb.DuckDBPyConnection,
    table: str,
    files: Sequence[tuple[LandingFile, str]],
    contract: Contract,
    delimiter: str,
) -> dict[Path, str]:
    """Insert the good files' rows into ``table``; returns why each bad one is refused."""
    if len(delimiter) != 1:
        raise ValueError(f"the delimiter {delimiter!r} isn't one character")
    problems: dict[Path, str] = {}
    for file, digest in files:
        try:
            problem = _insert_file(con, table, file, digest, contract, delimiter)
        except duckdb.Error as error:
            problem = _explain(error)
        if problem is not None:
            problems[file.path] = problem
    return problems


def _insert_file(
    con: duckdb.DuckDBPyConnection,
    table: str,
    file: LandingFile,
    digest: str,
    contract: Contract,
    delimiter: str,
) -> str | None:
    if file.path.exists() and file.path.stat().st_size == 0:
        return "is empty (0 bytes); land it again"
    header = _header(con, file.path, delimiter)
    if not header:
        return "is empty; a header and rows are expected"
    problem = _judge(header, list(contract.source_columns))
    if problem is not None:
        return problem
    columns = ", ".join(f"{text(name)}: 'VARCHAR'" for name in header)
    values = ", ".join(quote(name) for name in contract.source_columns)
    [(rows,)] = con.execute(
        f"INSERT INTO {table} SELECT {values}, DATE '{file.date}', {text(file.path.name)}, {text(digest)}, "
        f"row_number() OVER () FROM read_csv({text(glob_escape(file.path))}, columns = {{{columns}}}, "
        f"header = true, delim = {text(delimiter)}, {COMMON})"
    ).fetchall()
    return (
        None if rows else "has a header and no rows; land a file with rows, or none for a day without events"
    )


COMMON = (
    "quote = '\"', escape = '\"', nullstr = '', auto_detect = false, strict_mode = true, "
    "null_padding = false, hive_partitioning = false"
)


def _header(con: duckdb.DuckDBPyConnection, path: Path, delimiter: str) -> list[str]:
    """The column names in the first line of a file, whatever its compression; [] if there is no line."""
    lines = con.execute(
        f"SELECT line FROM read_csv({text(glob_escape(path))}, columns = {{'line': 'VARCHAR'}}, "
        f"header = false, delim = {text(UNIT_SEPARATOR)}, "
        "quote = '', escape = '', auto_detect = false, strict_mode = false, "
        "hive_partitioning = false) LIMIT 1"
    ).fetchall()
    first = (lines[0][0] or "") if lines else ""
    return next(csv.reader([first.removeprefix("\ufeff")], delimiter=delimiter), [])


def _judge(header: Sequence[str], wanted: Sequence[str]) -> str | None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        return f"another schema: column {', '.join(repeated)} is there more than once"
    missing = [name for name in wanted if name not in header]
    unknown = [name for name in header if name not in wanted]
    if missing or unknown:
        return f"{another_schema(missing, unknown, wanted)} (the first line must name them)"
    return None


def _explain(error: duckdb.Error) -> str:
    """DuckDB's complaint about a CSV file, for a person: which line, what is wrong with it."""
    message = str(error)
    found = re.search(r"CSV Error on Line: (\d+)\nOriginal Line: (.*)", message)
    if found is None:
        return unreadable(error)
    line, content = found[1], found[2][:QUOTED]
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if fields is not None:
        found_fields, expected = fields[2], fields[1]
        return f"line {line} has {found_fields} fields, {expected} expected: {content!r}; {AGAIN}"
    if "unicode" in message:
        return f"line {line} isn't UTF-8 text: {content!r}; save the file as UTF-8 and land it again"
    if "unterminated quote" in message:
        return f"line {line} opens a quote that is never closed: {content!r}; {AGAIN}"
    return f"line {line} can't be read: {content!r}; {AGAIN}"
