"""CSV landing files: text in, text out, one file at a time."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import duckdb

from ml_assets.contracts import Contract, ContractError
from ml_assets.lake.sql import quote, text
from ml_assets.landing.formats.format import Sampled, TextFormat
from ml_assets.landing.formats.sampling import (
    cannot_sample,
    check_columns,
    check_names,
    create_table,
    text_lines,
)
from ml_assets.landing.formats.sandbox import Sandbox, glob_escape, unreadable
from ml_assets.landing.formats.schema import columns_differ, land_columns
from ml_assets.landing.formats.text_file import parts, shown
from ml_assets.landing.formats.unsound import AGAIN, Unsound, row_too_long
from ml_assets.landing.limits import FileLimits
from ml_assets.landing.pieces import LandingFile

CSV = "CSV"
DELIMITERS = ("\t", ";", "|", ",")
LINES_TO_SPLIT = 50
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


@dataclass(frozen=True)
class Csv(TextFormat):
    """CSV in UTF-8 with a header; ``delimiter`` is one character, None where it has to be found out."""

    words: ClassVar[str] = CSV
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".csv.gz", ".csv.zst")
    delimiter: str | None = None

    def __post_init__(self) -> None:
        if self.delimiter is not None:
            check_delimiter(self.delimiter)

    @classmethod
    def of(cls, delimiter: str | None) -> Self:
        """See ``Format.of``."""
        return cls(delimiter)

    def insert_file(
        self, sandbox: Sandbox, file: LandingFile, digest: str, contract: Contract, table: str
    ) -> None:
        """See ``TextFormat.insert_file``."""
        delimiter = self.delimiter or ","
        line, spaced = _looked_through(file.path, delimiter, sandbox.limits)
        header = _header(line, contract.source_columns, delimiter)
        columns = ", ".join(f"{text(name)}: 'VARCHAR'" for name in header)
        values = ", ".join(quote(name) for name in contract.source_columns)
        query = (
            f"SELECT {values}, DATE '{file.date}', {text(file.path.name)}, {text(digest)}, row_number() OVER () "
            f"FROM read_csv({text(glob_escape(file.path))}, columns = {{{columns}}}, "
            f"delim = {text(delimiter)}, max_line_size = {int(sandbox.limits.row)}, {STRICT})"
        )
        try:
            if spaced:
                _check_quotes(sandbox, query, contract.source_columns)
            sandbox.hand_over(query, table)
        except duckdb.Error as error:
            raise _explain(error, file.path, sandbox.limits) from error

    def sample(self, con: duckdb.DuckDBPyConnection, table: str, paths: Sequence[Path]) -> Sampled:
        """See ``Format.sample``."""
        delimiter = self.delimiter or _delimiter(con, paths[0])
        names: list[str] = []
        counts = []
        for number, path in enumerate(paths):
            line = next(text_lines(con, path, 1), "")
            header = next(csv.reader([line], delimiter=delimiter), [])
            if not header:
                raise ContractError(path, "the first line is empty; it must name the columns")
            if not names:
                check_names(path, header)
                names = header
                create_table(con, table, dict.fromkeys(names, "VARCHAR"))
            check_columns(path, header, paths[0], names)
            columns = ", ".join(f"{text(name)}: 'VARCHAR'" for name in header)
            values = ", ".join(quote(name) for name in names)
            try:
                [(rows,)] = con.execute(
                    f"INSERT INTO {table} SELECT {values}, {number} FROM read_csv({text(glob_escape(path))}, "
                    f"columns = {{{columns}}}, delim = {text(delimiter)}, {STRICT})"
                ).fetchall()
            except duckdb.Error as error:
                raise cannot_sample(path, error) from error
            counts.append(rows)
        options = {} if delimiter == "," else {"delimiter": delimiter}
        return Sampled(dict.fromkeys(names, "VARCHAR"), counts, options)


def _looked_through(path: Path, delimiter: str, limits: FileLimits) -> tuple[str, bool]:
    """The first line of a file, once all of it is sound, and whether blanks stand between a delimiter and a quote."""
    first, spaced = b"", False
    blanks = re.compile(re.escape(delimiter.encode()) + rb'[ \t]+"')
    for number, content in parts(path, CSV, limits):
        if number == 1:
            first = content.partition(b"\n")[0].partition(b"\r")[0]
        spaced = spaced or blanks.search(content) is not None
    return first.decode(), spaced


def _check_quotes(sandbox: Sandbox, query: str, columns: Sequence[str]) -> None:
    """Unsound where quotes would become part of a value, because a blank stands before them."""
    for name in columns:
        found = sandbox.con.execute(
            f"SELECT row_number, {quote(name)} FROM ({query}) AS landed({', '.join(map(quote, columns))}, "
            f"landing_date, file, content_hash, row_number) WHERE regexp_matches({quote(name)}, '^[ \\t]+\"') LIMIT 1"
        ).fetchone()
        if found is not None:
            row, value = found
            raise Unsound(
                f"row {row} has a blank before the quotes of {name!r}, which would become part of the value",
                "land it without blanks between a delimiter and a quote",
                quoted=shown(value),
            )


def _delimiter(con: duckdb.DuckDBPyConnection, path: Path) -> str:
    """The character that splits every one of the first lines into as many columns, and into the most."""
    lines = list(text_lines(con, path, LINES_TO_SPLIT))

    def merit(delimiter: str) -> tuple[bool, int]:
        rows = [len(fields) for fields in csv.reader(lines, delimiter=delimiter) if fields]
        whole = rows[:-1] if len(lines) == LINES_TO_SPLIT else rows
        return len(set(whole)) == 1 and rows[0] > 1, rows[0] if rows else 0

    best = max(DELIMITERS, key=merit)
    return best if merit(best)[1] > 1 else ","


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


def _explain(error: duckdb.Error, path: Path, limits: FileLimits) -> Unsound:
    """DuckDB's complaint about a CSV file, for a person: which line, what is wrong with it."""
    message = str(error)
    if "invalid state" in message:
        return _uneven_ends(path, limits) or unreadable(error)
    found = re.search(r"CSV Error on Line: (\d+)\nOriginal Line: ?(?:\r?\n)*(.*)", message)
    if found is None:
        return unreadable(error)
    content = found[2]
    line = _physical(path, int(found[1]), content, limits)
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
        return row_too_long(f"the row at line {line}", limits.row)
    return Unsound(f"line {line} can't be read", AGAIN, quoted=shown(content))


def _physical(path: Path, row: int, content: str, limits: FileLimits) -> int:
    """The number of the line that an editor shows: DuckDB counts a row with line ends in it as one line."""
    for number, part in parts(path, CSV, limits):
        lines = part.decode().split("\n")
        for at in range(max(row - number, 0), len(lines)):
            if lines[at].rstrip("\r") == content.rstrip("\r"):
                return number + at
    return row


def _uneven_ends(path: Path, limits: FileLimits) -> Unsound | None:
    """DuckDB reads either Windows' or Unix' line ends, in one file."""
    usual = ""
    for number, part in parts(path, CSV, limits):
        for at, line in enumerate(part.decode().split("\n")[:-1]):
            end = "CRLF" if line.endswith("\r") else "LF"
            usual = usual or end
            if end != usual:
                return Unsound(
                    f"line {number + at} ends in {end}, the lines before it in {usual}",
                    "end all lines alike and land it again",
                )
    return None
