"""CSV landing files: text in, text out, one file at a time."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import duckdb

from ml_assets.contracts import Contract
from ml_assets.lake.sql import quote, text
from ml_assets.landing.formats.schema import columns_differ, land_columns
from ml_assets.landing.formats.scratch import Scratch, glob_escape, unreadable
from ml_assets.landing.formats.text_file import AGAIN, Unsound, first_line, pieces, shown
from ml_assets.landing.places.folder import LandingFile

CSV = "CSV"
USUAL = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
STRICT = (
    "header = true, quote = '\"', escape = '\"', nullstr = '', auto_detect = false, strict_mode = true, "
    "null_padding = false, hive_partitioning = false"
)


def check_delimiter(delimiter: str) -> None:
    """Raise ValueError for what can't part two fields."""
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise ValueError(
            f"the delimiter {delimiter!r} isn't one character, quotes and line ends apart; "
            "write for example ',', ';', '|' or a tab"
        )


def insert(
    scratch: Scratch, file: LandingFile, digest: str, contract: Contract, delimiter: str, table: str
) -> None:
    """Insert a file's rows into ``table``; raises Unsound, duckdb.Error or OSError if it can't be taken in."""
    header = _header(first_line(file.path, CSV), contract.source_columns, delimiter)
    columns = ", ".join(f"{text(name)}: 'VARCHAR'" for name in header)
    values = ", ".join(quote(name) for name in contract.source_columns)
    query = (
        f"SELECT {values}, DATE '{file.date}', {text(file.path.name)}, {text(digest)}, row_number() OVER () "
        f"FROM read_csv({text(glob_escape(file.path))}, columns = {{{columns}}}, "
        f"delim = {text(delimiter)}, {STRICT})"
    )
    try:
        scratch.hand_over(query, table)
    except duckdb.Error as error:
        raise _explain(error, file.path) from error


def _header(line: str, wanted: Sequence[str], delimiter: str) -> list[str]:
    """The column names of the first line; Unsound if they aren't the contract's."""
    if not line.strip():
        raise Unsound("line 1 is blank, the names of the columns are expected there", AGAIN)
    try:
        [header] = csv.reader([line], delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise Unsound(
            f"line 1 can't be read as the names of the columns ({error})", AGAIN, quoted=shown(line)
        ) from error
    problem = columns_differ(header, wanted)
    if problem is None:
        return header
    other = _other_delimiter(line, header, wanted)
    if other is not None:
        raise Unsound(
            f"line 1 has {_named(other)} between the names where {_named(delimiter)} is expected",
            "land it with that, or correct `delimiter` in the landing",
            quoted=shown(line),
        )
    if not set(header) & set(wanted):
        raise Unsound(
            f"line 1 names no column of the contract ({', '.join(wanted)})",
            "write their names there and land it again",
            quoted=shown(line),
        )
    raise Unsound(f"line 1 names {problem}", land_columns(wanted))


def _other_delimiter(line: str, header: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The delimiter that makes more of the line than the expected one does, or None."""
    if len(wanted) < 2 or len(header) > 1:
        return None
    return next((other for other in USUAL if len(set(line.split(other)) & set(wanted)) > 1), None)


def _named(delimiter: str) -> str:
    return USUAL.get(delimiter, repr(delimiter))


def _explain(error: duckdb.Error, path: Path) -> Unsound:
    """DuckDB's complaint about a CSV file, for a person: which line, what is wrong with it."""
    message = str(error)
    if "invalid state" in message:
        return _uneven_ends(path) or unreadable(error)
    found = re.search(r"CSV Error on Line: (\d+)\nOriginal Line: ?(?:\r?\n)*(.*)", message)
    if found is None:
        return unreadable(error)
    content = found[2]
    line = _physical(path, int(found[1]), content)
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if fields is not None:
        return Unsound(
            f"line {line} has {fields[2]} fields, {fields[1]} expected", AGAIN, quoted=shown(content)
        )
    if "unterminated quote" in message:
        return Unsound(
            f"line {line} opens a quote that isn't closed before a delimiter or a line end",
            f'write a quote within a quoted text twice (""), {AGAIN}',
            quoted=shown(content),
        )
    if "aximum line size" in message:
        return Unsound(
            f"line {line} is longer than a row can be (2,097,152 bytes)", AGAIN, quoted=shown(content)
        )
    return Unsound(f"line {line} can't be read", AGAIN, quoted=shown(content))


def _physical(path: Path, row: int, content: str) -> int:
    """The number of the line that an editor shows: DuckDB counts a row with line ends in it as one line."""
    for number, part in pieces(path, CSV):
        lines = part.decode().split("\n")
        for at in range(max(row - number, 0), len(lines)):
            if lines[at].rstrip("\r") == content.rstrip("\r"):
                return number + at
    return row


def _uneven_ends(path: Path) -> Unsound | None:
    """DuckDB reads either Windows' or Unix' line ends, in one file."""
    usual = ""
    for number, part in pieces(path, CSV):
        for at, line in enumerate(part.decode().split("\n")[:-1]):
            end = "CRLF" if line.endswith("\r") else "LF"
            usual = usual or end
            if end != usual:
                return Unsound(
                    f"line {number + at} ends in {end}, the lines before it in {usual}",
                    "end all lines alike and land it again",
                )
    return None
