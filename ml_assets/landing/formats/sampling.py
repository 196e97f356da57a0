"""Landing files that no contract describes yet, read as they are: what all formats do alike."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from ml_assets.contracts.compare.changes import columns_changed, describe
from ml_assets.contracts.errors import ContractError
from ml_assets.lake.sql import quote, text
from ml_assets.landing.formats.sandbox import glob_escape

FILE = "__inferred_file"
"""The column with the number of a row's file, from 0."""
UNIT_SEPARATOR = "\x1f"
"""A character that text files don't contain: a line read with it as delimiter stays one field."""


def create_table(con: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str]) -> None:
    """Create the table of a sample's rows."""
    columns = ", ".join(f"{quote(name)} {kind}" for name, kind in types.items())
    con.execute(f"CREATE TEMP TABLE {table} ({columns}, {FILE} INTEGER)")


def check_names(path: Path, columns: Sequence[str]) -> None:
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


def check_columns(path: Path, columns: Sequence[str], first: Path, wanted: Sequence[str]) -> None:
    """Refuse other columns than those of the first file."""
    changes = columns_changed(wanted, columns)
    if changes:
        message = f"another schema than {first.name}: {describe(changes)}; give files of one schema"
        raise ContractError(path, message)


def text_lines(con: duckdb.DuckDBPyConnection, path: Path, limit: int | None = None) -> Iterator[str]:
    """The lines of a text file, whatever its compression, without a byte order mark."""
    rest = f" LIMIT {limit}" if limit else ""
    try:
        cursor = con.cursor().execute(
            f"SELECT coalesce(line, '') FROM read_csv({text(glob_escape(path))}, columns = {{'line': 'VARCHAR'}}, "
            f"header = false, delim = {text(UNIT_SEPARATOR)}, quote = '', escape = '', auto_detect = false, "
            f"strict_mode = false, hive_partitioning = false, max_line_size = 16000000){rest}"
        )
        first = True
        while rows := cursor.fetchmany(10_000):
            for (line,) in rows:
                yield line.removeprefix("\ufeff") if first else line
                first = False
    except duckdb.Error as error:
        raise cannot_sample(path, error) from error


def cannot_sample(path: Path, error: duckdb.Error) -> ContractError:
    """DuckDB's complaint about a file, for the one who gave it."""
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
