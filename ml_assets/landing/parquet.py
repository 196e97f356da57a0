"""Parquet landing files: judged by their metadata, then read all at once."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import duckdb

from ml_assets.contracts import Contract
from ml_assets.contracts.errors import nearest
from ml_assets.contracts.sql import canonical, quote, text
from ml_assets.landing.files import LandingFile
from ml_assets.landing.types import WALL_CLOCK, lossless

Hashed = tuple[LandingFile, str]
Schema = tuple[tuple[str, str], ...]


def insert(
    con: duckdb.DuckDBPyConnection, table: str, files: Sequence[Hashed], contract: Contract
) -> dict[Path, str]:
    """Insert the good files' rows into ``table``; returns why each bad one is refused."""
    schemas, problems = _schemas(con, files)
    groups: dict[Schema, list[Hashed]] = defaultdict(list)
    for file, digest in files:
        if file.path in problems:
            continue
        problem = _judge(schemas[file.path], contract)
        if problem is None:
            groups[schemas[file.path]].append((file, digest))
        else:
            problems[file.path] = problem
    for schema, group in groups.items():
        problems.update(_insert_group(con, table, group, schema, contract))
    return problems


def _schemas(
    con: duckdb.DuckDBPyConnection, files: Sequence[Hashed]
) -> tuple[dict[Path, Schema], dict[Path, str]]:
    """Column names and types of every file that has any rows; why not, for the others."""
    problems = {file.path: "is empty (0 bytes); land it again" for file, _ in files if _is_empty(file.path)}
    paths = [file.path for file, _ in files if file.path not in problems]
    schemas: dict[Path, Schema] = {}
    try:
        schemas = _metadata(con, paths)
    except duckdb.Error:
        for path in paths:
            try:
                schemas.update(_metadata(con, [path]))
            except duckdb.Error as error:
                problems[path] = unreadable(error)
    for path, schema in schemas.items():
        if schema is NO_ROWS:
            problems[path] = "has no rows; land a file with rows, or none for a day without events"
    return schemas, problems


NO_ROWS: Schema = ()


def _is_empty(path: Path) -> bool:
    return path.exists() and path.stat().st_size == 0


def _metadata(con: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> dict[Path, Schema]:
    if not paths:
        return {}
    names = [glob_escape(path) for path in paths]
    counts = dict(con.execute("SELECT file_name, num_rows FROM parquet_file_metadata(?)", [names]).fetchall())
    elements: dict[str, list[tuple[str, str | None, int | None]]] = defaultdict(list)
    for file, name, kind, children in con.execute(
        "SELECT file_name, name, duckdb_type, num_children FROM parquet_schema(?)", [names]
    ).fetchall():
        elements[file].append((name, kind, children))
    return {path: _top_level(elements[str(path)]) if counts[str(path)] else NO_ROWS for path in paths}


def _top_level(elements: Sequence[tuple[str, str | None, int | None]]) -> Schema:
    """The columns of a flattened schema tree, depth first behind its root; nested ones as NESTED."""
    columns: list[tuple[str, str]] = []
    open_children = 0
    for name, kind, children in elements[1:]:
        if open_children == 0:
            columns.append((name, "NESTED" if children or kind is None else canonical(kind)))
        else:
            open_children -= 1
        open_children += children or 0
    return tuple(columns)


def _judge(schema: Schema, contract: Contract) -> str | None:
    """Why a file of this schema is refused, or None."""
    found = dict(schema)
    wanted = contract.raw_schema("parquet")
    missing = [name for name in wanted if name not in found]
    unknown = [name for name in found if name not in wanted]
    if missing or unknown:
        return another_schema(missing, unknown, list(wanted))
    wrong = [
        f"column {name} is {found[name]}, {kind} expected"
        for name, kind in wanted.items()
        if not _fits(found[name], kind, contract, name)
    ]
    return f"another schema: {'; '.join(wrong)}" if wrong else None


def another_schema(missing: Sequence[str], unknown: Sequence[str], wanted: Sequence[str]) -> str:
    """A reason naming the columns that are missing and those that the contract doesn't know."""
    parts = []
    if missing:
        parts.append(f"column {', '.join(missing)} is missing")
    if unknown:
        parts.append(
            f"column {', '.join(unknown)} is unknown{nearest(unknown[0], missing) if missing else ''}"
        )
    return f"another schema: {'; '.join(parts)}; the contract's columns are {', '.join(wanted)}"


def _fits(found: str, wanted: str, contract: Contract, name: str) -> bool:
    only_transformed = not any(column.logic is None and name in column.sources for column in contract.columns)
    return (only_transformed and found not in ("NESTED", "BLOB")) or lossless(found, wanted)


def _insert_group(
    con: duckdb.DuckDBPyConnection, table: str, group: Sequence[Hashed], schema: Schema, contract: Contract
) -> dict[Path, str]:
    """Insert files of one schema at once; if that fails, one by one to find out which is bad."""
    query = _query(table, group, schema, contract)
    try:
        con.execute(query)
    except duckdb.Error as error:
        if len(group) == 1:
            return {group[0][0].path: unreadable(error)}
        problems: dict[Path, str] = {}
        for one in group:
            problems.update(_insert_group(con, table, [one], schema, contract))
        return problems
    return {}


def _query(table: str, group: Sequence[Hashed], schema: Schema, contract: Contract) -> str:
    found = dict(schema)
    values = [
        f"{_cast(name, found[name], kind, contract)} AS {quote(name)}"
        for name, kind in contract.raw_schema("parquet").items()
    ]
    known = ", ".join(
        f"({text(str(file.path))}, DATE '{file.date}', {text(file.path.name)}, {text(digest)})"
        for file, digest in group
    )
    names = ", ".join(text(glob_escape(file.path)) for file, _ in group)
    return (
        f"INSERT INTO {table} SELECT {', '.join(values)}, known.landing_date, known.file, "
        "known.content_hash, file_row_number + 1 "
        f"FROM read_parquet([{names}], filename = '__landing_path', file_row_number = true, "
        "hive_partitioning = false) AS landed "
        f"JOIN (VALUES {known}) AS known(path, landing_date, file, content_hash) "
        "ON landed.__landing_path = known.path"
    )


def _cast(name: str, found: str, wanted: str, contract: Contract) -> str:
    column = f"landed.{quote(name)}"
    if found in WALL_CLOCK and wanted == "TIMESTAMPTZ":
        zone = next(
            column.timezone for column in contract.columns if column.logic is None and name in column.sources
        )
        return f"timezone({text(zone)}, CAST({column} AS TIMESTAMP))"
    return f"CAST({column} AS {wanted})"


def glob_escape(path: Path) -> str:
    """A path that DuckDB reads as itself, though it has the characters of a glob pattern."""
    return "".join(f"[{letter}]" if letter in "[*?" else letter for letter in str(path))


def unreadable(error: duckdb.Error) -> str:
    """DuckDB's complaint about a file as one sentence."""
    first = str(error).splitlines()[0].partition("Error: ")[2] or str(error).splitlines()[0]
    return f"isn't a readable file, it may be cut off or of another format ({first}); land it again"
