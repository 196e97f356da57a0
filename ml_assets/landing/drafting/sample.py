"""Landing files that no contract describes yet, read into one table; what they hold is text unless it is typed."""

import csv
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import duckdb

from ml_assets.contracts.compare.changes import columns_changed, describe, type_changed
from ml_assets.contracts.compile.sql_types import canonical
from ml_assets.contracts.errors import ContractError
from ml_assets.lake.sql import quote, text

Format = Literal["csv", "json", "parquet"]
PACKED = ("", ".gz", ".zst")
SUFFIXES: dict[Format, tuple[str, ...]] = {
    "csv": tuple(f".csv{packed}" for packed in PACKED),
    "json": tuple(f".{name}{packed}" for name in ("jsonl", "ndjson") for packed in PACKED),
    "parquet": (".parquet",),
}
FILE = "__inferred_file"
DELIMITERS = ("\t", ";", "|", ",")
# A character that text files don't contain: a line read with it as delimiter stays one field.
UNIT_SEPARATOR = "\x1f"
LINES_TO_SPLIT = 50
INTEGERS = ("TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER", "BIGINT")
WALL_CLOCK = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
CSV_OPTIONS = (
    "quote = '\"', escape = '\"', nullstr = '', auto_detect = false, strict_mode = true, "
    "null_padding = false, hive_partitioning = false"
)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Sample:
    """Rows of landing files in the temporary ``table``, with the number of their file as FILE.

    ``types`` are the landing columns with their DuckDB types, all VARCHAR unless the format is Parquet.
    ``counts`` has the rows of every file, ``days`` the day that each file's name gives, None if one has none.
    """

    table: str
    format: Format
    types: Mapping[str, str]
    files: tuple[Path, ...]
    counts: tuple[int, ...]
    days: tuple[date, ...] | None
    delimiter: str

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(self.counts)

    @property
    def pattern(self) -> str | None:
        """The files' names with ``{date}`` for their day, if they have it in common."""
        if self.days is None:
            return None
        found = {
            file.name.replace(str(day), "{date}", 1) for file, day in zip(self.files, self.days, strict=True)
        }
        return found.pop() if len(found) == 1 else None


def read_sample(con: duckdb.DuckDBPyConnection, files: Sequence[Path], delimiter: str | None) -> Sample:
    """Read files of one format and one set of columns; ContractError names the first that doesn't fit."""
    if not files:
        raise ContractError(Path(), "no files are given; name at least one landing file")
    if delimiter is not None and len(delimiter) != 1:
        raise ContractError(files[0], f"the delimiter {delimiter!r} isn't one character")
    paths = tuple(Path(file) for file in files)
    kind = _format(paths)
    for path in paths:
        _check_there(path)
    table = f"inferred_{next(_numbers)}"
    if kind == "parquet":
        types, counts = _read_parquet(con, table, paths)
    elif kind == "json":
        types, counts = _read_json(con, table, paths)
    else:
        delimiter = delimiter or _delimiter(con, paths[0])
        types, counts = _read_csv(con, table, paths, delimiter)
    if not sum(counts):
        raise ContractError(
            paths[0], "no file has a row; types can't be guessed from nothing: give one that has"
        )
    return Sample(table, kind, types, paths, tuple(counts), _days(paths), delimiter or ",")


def _format(paths: Sequence[Path]) -> Format:
    found: dict[Format, Path] = {}
    for path in paths:
        kind = next((kind for kind, suffixes in SUFFIXES.items() if path.name.endswith(suffixes)), None)
        if kind is None:
            known = ", ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
            raise ContractError(path, f"the suffix says no format; expected one of {known}")
        found.setdefault(kind, path)
    if len(found) > 1:
        names = " and ".join(path.name for path in found.values())
        raise ContractError(
            paths[0], f"{names} are of two formats; a source has one: give files of one format"
        )
    return next(iter(found))


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise ContractError(path, "there is no such file; check the name")
    if path.stat().st_size == 0:
        raise ContractError(path, "the file is empty (0 bytes); leave it out")


def _days(paths: Sequence[Path]) -> tuple[date, ...] | None:
    days = []
    for path in paths:
        match = re.search(r"\d{4}-\d{2}-\d{2}", path.name)
        try:
            days.append(date.fromisoformat(match[0] if match else ""))
        except ValueError:
            return None
    return tuple(days) if len(set(days)) == len(days) else None


def _check_names(path: Path, columns: Sequence[str]) -> None:
    """Refuse columns that no contract can name."""
    lowered: dict[str, str] = {}
    for name in columns:
        if not name.strip():
            message = f"a column has no name (found {', '.join(map(repr, columns))}); name it"
            raise ContractError(path, message)
        if name.lower() in lowered:
            message = f"the columns {lowered[name.lower()]!r} and {name!r} have one name (case doesn't count)"
            raise ContractError(path, f"{message}; rename one")
        lowered[name.lower()] = name


def _check_columns(path: Path, columns: Sequence[str], first: Path, wanted: Sequence[str]) -> None:
    """Refuse other columns than those of the first file."""
    changes = columns_changed(wanted, columns)
    if changes:
        message = f"another schema than {first.name}: {describe(changes)}; give files of one schema"
        raise ContractError(path, message)


def _lines(con: duckdb.DuckDBPyConnection, path: Path, limit: int | None = None) -> Iterator[str]:
    """The lines of a text file, whatever its compression, without a byte order mark."""
    rest = f" LIMIT {limit}" if limit else ""
    try:
        cursor = con.cursor().execute(
            f"SELECT coalesce(line, '') FROM read_csv({text(_escaped(path))}, columns = {{'line': 'VARCHAR'}}, "
            f"header = false, delim = {text(UNIT_SEPARATOR)}, quote = '', escape = '', auto_detect = false, "
            f"strict_mode = false, hive_partitioning = false, max_line_size = 16000000){rest}"
        )
        first = True
        while rows := cursor.fetchmany(10_000):
            for (line,) in rows:
                yield line.removeprefix("\ufeff") if first else line
                first = False
    except duckdb.Error as error:
        raise _unreadable(path, error) from error


def _delimiter(con: duckdb.DuckDBPyConnection, path: Path) -> str:
    """The character that splits every one of the first lines into as many columns, and into the most."""
    lines = list(_lines(con, path, LINES_TO_SPLIT))

    def merit(delimiter: str) -> tuple[bool, int]:
        rows = [len(fields) for fields in csv.reader(lines, delimiter=delimiter) if fields]
        whole = rows[:-1] if len(lines) == LINES_TO_SPLIT else rows
        return len(set(whole)) == 1 and rows[0] > 1, rows[0] if rows else 0

    best = max(DELIMITERS, key=merit)
    return best if merit(best)[1] > 1 else ","


def _read_csv(
    con: duckdb.DuckDBPyConnection, table: str, paths: Sequence[Path], delimiter: str
) -> tuple[dict[str, str], list[int]]:
    names: list[str] = []
    counts = []
    for number, path in enumerate(paths):
        line = next(_lines(con, path, 1), "")
        header = next(csv.reader([line], delimiter=delimiter), [])
        if not header:
            raise ContractError(path, "the first line is empty; it must name the columns")
        if not names:
            _check_names(path, header)
            names = header
            _create(con, table, dict.fromkeys(names, "VARCHAR"))
        _check_columns(path, header, paths[0], names)
        columns = ", ".join(f"{text(name)}: 'VARCHAR'" for name in header)
        values = ", ".join(quote(name) for name in names)
        try:
            [(rows,)] = con.execute(
                f"INSERT INTO {table} SELECT {values}, {number} FROM read_csv({text(_escaped(path))}, "
                f"columns = {{{columns}}}, header = true, delim = {text(delimiter)}, {CSV_OPTIONS})"
            ).fetchall()
        except duckdb.Error as error:
            raise _unreadable(path, error) from error
        counts.append(rows)
    return dict.fromkeys(names, "VARCHAR"), counts


def _read_json(
    con: duckdb.DuckDBPyConnection, table: str, paths: Sequence[Path]
) -> tuple[dict[str, str], list[int]]:
    import pyarrow as pa

    names: list[str] = []
    counts = []
    for number, path in enumerate(paths):
        rows = [_object(path, at, line) for at, line in enumerate(_lines(con, path), start=1) if line.strip()]
        keys = list(dict.fromkeys(key for row in rows for key in row))
        if not names:
            _check_names(path, keys)
            names = keys
            _create(con, table, dict.fromkeys(names, "VARCHAR"))
        _check_columns(path, keys, paths[0], names)
        _arrow = pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})
        values = ", ".join(quote(name) for name in names)
        con.execute(f"INSERT INTO {table} SELECT {values}, {number} FROM _arrow")
        counts.append(len(rows))
    return dict.fromkeys(names, "VARCHAR"), counts


def _object(path: Path, line: int, content: str) -> dict[str, str | None]:
    """A line's values as text, numbers as they are written."""
    try:
        found = json.loads(content, parse_float=str, parse_int=str, parse_constant=_refuse_constant)
    except ValueError as error:
        message = f"the line isn't JSON ({error}); one object a line is expected"
        raise ContractError(path, message, line) from error
    if not isinstance(found, dict) or not found:
        raise ContractError(path, f"the line holds {content[:80]!r}; an object with keys is expected", line)
    return {key: _as_text(value) for key, value in found.items()}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    return json.dumps(value, ensure_ascii=False)


def _read_parquet(
    con: duckdb.DuckDBPyConnection, table: str, paths: Sequence[Path]
) -> tuple[dict[str, str], list[int]]:
    types: dict[str, str] = {}
    for path in paths:
        found = _parquet_types(con, path)
        _check_names(path, list(found))
        _check_columns(path, list(found), paths[0], list(types) or list(found))
        for name, kind in found.items():
            widest = _widest(types.get(name, kind), kind)
            if widest is None:
                change = type_changed(name, types[name], kind)
                message = f"another schema than {paths[0].name}: {change.text}; give files of one schema"
                raise ContractError(path, message)
            types[name] = widest
    _create(con, table, types)
    counts = []
    for number, path in enumerate(paths):
        values = ", ".join(f"CAST({quote(name)} AS {kind})" for name, kind in types.items())
        try:
            [(rows,)] = con.execute(
                f"INSERT INTO {table} SELECT {values}, {number} "
                f"FROM read_parquet({text(_escaped(path))}, hive_partitioning = false)"
            ).fetchall()
        except duckdb.Error as error:
            raise _unreadable(path, error) from error
        counts.append(rows)
    return types, counts


def _parquet_types(con: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    try:
        described = con.execute(
            f"DESCRIBE SELECT * FROM read_parquet({text(_escaped(path))}, hive_partitioning = false)"
        ).fetchall()
    except duckdb.Error as error:
        raise _unreadable(path, error) from error
    types = {row[0]: canonical(row[1]) for row in described}
    for name, kind in types.items():
        if kind == "BLOB" or kind.endswith("]") or kind.startswith(("STRUCT(", "MAP(", "UNION(")):
            message = (
                f"column {name!r} is {kind}, which no contract can promise; land it as flat columns or text"
            )
            raise ContractError(path, message)
    return types


def _widest(old: str, new: str) -> str | None:
    """A type that holds both without loss, None if a contract has none."""
    if old == new:
        return old
    for family, widest in ((INTEGERS, "BIGINT"), (("FLOAT", "DOUBLE"), "DOUBLE"), (WALL_CLOCK, "TIMESTAMP")):
        if old in family and new in family:
            return widest
    pairs = [re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind) for kind in (old, new)]
    sizes = [(int(pair[1]) - int(pair[2]), int(pair[2])) for pair in pairs if pair is not None]
    if len(sizes) < len(pairs):
        return None
    whole, decimals = max(size[0] for size in sizes), max(size[1] for size in sizes)
    return f"DECIMAL({whole + decimals},{decimals})" if whole + decimals <= 38 else None


def _create(con: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str]) -> None:
    columns = ", ".join(f"{quote(name)} {kind}" for name, kind in types.items())
    con.execute(f"CREATE TEMP TABLE {table} ({columns}, {FILE} INTEGER)")


def _escaped(path: Path) -> str:
    """A path that DuckDB reads as itself, though it has the characters of a glob pattern."""
    return "".join(f"[{letter}]" if letter in "[*?" else letter for letter in str(path))


def _unreadable(path: Path, error: duckdb.Error) -> ContractError:
    message = str(error)
    place = re.search(r"CSV Error on Line: (\d+)", message)
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if fields is not None:
        said = f"{fields[2]} fields, {fields[1]} expected; correct the line, or name the right delimiter"
    elif "unicode" in message:
        said = "the text isn't UTF-8; save the file as UTF-8"
    else:
        said = f"the file can't be read: {message.splitlines()[0]}"
    return ContractError(path, said, int(place[1]) if place else None)
