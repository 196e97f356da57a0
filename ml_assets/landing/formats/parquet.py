"""Parquet landing files: judged by their metadata, then read all at once."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ml_assets.contracts import Column, Contract, ContractError
from ml_assets.contracts.compare.changes import type_changed
from ml_assets.contracts.compile import sql_types
from ml_assets.contracts.compile.sql_types import canonical
from ml_assets.lake.sql import quote, text
from ml_assets.landing.formats.format import Format, Hashed, Sampled
from ml_assets.landing.formats.parquet_pages import damage
from ml_assets.landing.formats.sampling import cannot_sample, check_columns, check_names, create_table
from ml_assets.landing.formats.sandbox import Sandbox, glob_escape, unreadable
from ml_assets.landing.formats.schema import columns_differ, land_columns, types_differ
from ml_assets.landing.formats.text_file import HEAD, looks_like
from ml_assets.landing.formats.types import NANOSECONDS, NESTED, UNREADABLE, WALL_CLOCK, lossless
from ml_assets.landing.formats.unsound import ONCE_MORE, Unsound, row_too_long, too_large
from ml_assets.landing.limits import in_bytes

Schema = tuple[tuple[str, str], ...]
MAGIC = b"PAR1"
INTEGERS = ("TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER", "BIGINT")
VALUE = 8
"""Bytes of a value of a column, at least."""
SMALLEST = 12
"""Bytes of a Parquet file with nothing in it: twice the magic, and the length of the footer."""


class Parquet(Format):
    """Parquet, whose values have the contract's types, or types that lose nothing on the way to them."""

    words = "Parquet"
    suffixes = (".parquet",)
    typed = True

    def insert(
        self, sandbox: Sandbox, files: Sequence[Hashed], contract: Contract, table: str
    ) -> dict[Path, Unsound]:
        """See ``Format.insert``."""
        problems = {
            file.path: problem for file, _ in files if (problem := _not_parquet(file.path)) is not None
        }
        footers = _footers(sandbox, [file.path for file, _ in files if file.path not in problems], problems)
        groups: dict[Schema, list[Hashed]] = defaultdict(list)
        for file, digest in files:
            if file.path in problems:
                continue
            footer = footers[file.path]
            problem = (
                _judge(footer.schema, contract)
                or _rows_hidden(footer)
                or _too_large(sandbox, file.path, footer)
                or damage(file.path)
                or _unclear(sandbox, file.path, footer.schema, contract)
            )
            if problem is None:
                groups[footer.schema].append((file, digest))
            else:
                problems[file.path] = problem
        for schema, group in groups.items():
            problems.update(_insert_group(sandbox, table, group, schema, contract))
        return problems

    def sample(self, con: duckdb.DuckDBPyConnection, table: str, paths: Sequence[Path]) -> Sampled:
        """See ``Format.sample``; a column has a type that holds the values of all files without loss."""
        types: dict[str, str] = {}
        for path in paths:
            found = _sampled_types(con, path)
            check_names(path, list(found))
            check_columns(path, list(found), paths[0], list(types) or list(found))
            for name, kind in found.items():
                widest = _type_of_both(types.get(name, kind), kind)
                if widest is None:
                    change = type_changed(name, types[name], kind)
                    message = f"another schema than {paths[0].name}: {change.text}; give files of one schema"
                    raise ContractError(path, message)
                types[name] = widest
        create_table(con, table, types)
        counts = []
        for number, path in enumerate(paths):
            values = ", ".join(f"CAST({quote(name)} AS {kind})" for name, kind in types.items())
            try:
                [(rows,)] = con.execute(
                    f"INSERT INTO {table} SELECT {values}, {number} "
                    f"FROM read_parquet({text(glob_escape(path))}, hive_partitioning = false)"
                ).fetchall()
            except duckdb.Error as error:
                raise cannot_sample(path, error) from error
            counts.append(rows)
        return Sampled(types, counts)


def _not_parquet(path: Path) -> Unsound | None:
    """What a file is instead, by its first and last bytes; None if it has Parquet's."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            size = file.seek(0, 2)
            file.seek(max(size - len(MAGIC), 0))
            tail = file.read()
    except OSError as error:
        return Unsound(f"can't be read ({error.strerror or error})", ONCE_MORE)
    if not size:
        return Unsound("is empty (0 bytes) and may have been cut off", ONCE_MORE)
    if not head.startswith(MAGIC):
        if found := looks_like(head):
            return Unsound(f"is {found}, Parquet is expected", "land it as Parquet")
        start = head[:16].decode("latin-1")
        return Unsound(
            "is no Parquet file: it doesn't start with PAR1", "land it as Parquet", quoted=repr(start)
        )
    if tail != MAGIC or size < SMALLEST:
        return Unsound("is cut off: the end of a Parquet file, a footer and PAR1, is missing", ONCE_MORE)
    return None


@dataclass(frozen=True)
class Footer:
    """What a file says of itself: its columns, its rows, and how many values each column has.

    ``size`` is that of its pages unpacked, in bytes, in which equal texts may stand once; ``longest`` holds a text of
    any row.
    """

    schema: Schema
    rows: int
    values: Mapping[str, int]
    size: int
    longest: int


def _footers(sandbox: Sandbox, paths: Sequence[Path], problems: dict[Path, Unsound]) -> dict[Path, Footer]:
    """The footer of every file that has a readable one; adds why not for the others."""
    try:
        return _read_footers(sandbox.con, paths)
    except (duckdb.Error, UnicodeDecodeError):
        sandbox.renew()
    footers: dict[Path, Footer] = {}
    for path in paths:
        try:
            footers.update(_read_footers(sandbox.con, [path]))
        except (duckdb.Error, UnicodeDecodeError) as error:
            problems[path] = unreadable(error)
            sandbox.renew()
    return footers


def _read_footers(con: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> dict[Path, Footer]:
    if not paths:
        return {}
    names = [glob_escape(path) for path in paths]
    elements: dict[str, list[tuple[str, str | None, int | None]]] = defaultdict(list)
    for file, name, kind, children in con.execute(
        "SELECT file_name, name, duckdb_type, num_children FROM parquet_schema(?)", [names]
    ).fetchall():
        elements[file].append((name, kind, children))
    rows = dict(con.execute("SELECT file_name, num_rows FROM parquet_file_metadata(?)", [names]).fetchall())
    values: dict[str, dict[str, int]] = defaultdict(dict)
    sizes: dict[str, int] = defaultdict(int)
    longest: dict[str, int] = defaultdict(int)
    for file, column, number, size, largest in con.execute(
        "SELECT file_name, path_in_schema, sum(num_values), sum(total_uncompressed_size), "
        "coalesce(max(total_uncompressed_size) FILTER (type LIKE '%BYTE_ARRAY'), 0) FROM parquet_metadata(?) GROUP BY ALL",
        [names],
    ).fetchall():
        values[file][column] = int(number)
        sizes[file] += int(size)
        longest[file] += int(largest)
    return {
        path: Footer(_top_level(elements[name]), rows[name], values[name], sizes[name], longest[name])
        for path, name in ((path, str(path)) for path in paths)
    }


def _too_large(sandbox: Sandbox, path: Path, footer: Footer) -> Unsound | None:
    """Why a file is beyond the limits, or None. Its texts are measured where its footer leaves that open."""
    limits = sandbox.limits
    fixed = footer.rows * len(footer.schema) * VALUE
    if (size := max(footer.size, fixed)) > limits.unpacked:
        return too_large(f"{in_bytes(size)} once it is unpacked", limits.unpacked)
    if fixed + footer.rows * footer.longest <= limits.unpacked and footer.longest <= limits.row:
        return None
    texts = [
        f"coalesce(strlen({quote(name)}), 0)" for name, kind in footer.schema if kind in ("VARCHAR", "BLOB")
    ]
    try:
        [(size, longest, row)] = sandbox.con.execute(
            f"SELECT coalesce(sum(size), 0), coalesce(max(size), 0), arg_max(file_row_number, size) FROM "
            f"(SELECT {' + '.join(texts) or '0'} AS size, file_row_number FROM read_parquet("
            f"{text(glob_escape(path))}, file_row_number = true, hive_partitioning = false))"
        ).fetchall()
    except duckdb.Error as error:
        sandbox.renew()
        return unreadable(error)
    if longest > limits.row:
        return row_too_long(f"row {row + 1}", limits.row)
    if fixed + size > limits.unpacked:
        return too_large(f"{in_bytes(fixed + size)} once it is unpacked", limits.unpacked)
    return None


def _rows_hidden(footer: Footer) -> Unsound | None:
    """Why a file can't be trusted whose columns don't have a value for every row: DuckDB reads fewer rows."""
    for name, _ in footer.schema:
        values = footer.values.get(name, 0)
        if values != footer.rows:
            return Unsound(
                f"is damaged: it says that it has {footer.rows:,} rows, and that its column {name!r} has "
                f"{values:,} values",
                ONCE_MORE,
            )
    return None


def _top_level(elements: Sequence[tuple[str, str | None, int | None]]) -> Schema:
    """The columns of a flattened schema tree, depth first behind its root; nested ones as NESTED."""
    columns: list[tuple[str, str]] = []
    open_children = 0
    for name, kind, children in elements[1:]:
        if open_children == 0:
            columns.append((name, NESTED if children or kind is None else canonical(kind)))
        else:
            open_children -= 1
        open_children += children or 0
    return tuple(columns)


def _judge(schema: Schema, contract: Contract) -> Unsound | None:
    """Why a file of this schema is refused, or None."""
    found = dict(schema)
    wanted = contract.raw_schema(typed=True)
    problem = columns_differ([name for name, _ in schema], list(wanted))
    if problem is not None:
        return Unsound(problem, land_columns(list(wanted)))
    wrong = [
        type_changed(name, kind, found[name].lower() if found[name] == NESTED else found[name])
        for name, kind in wanted.items()
        if not _fits(found[name], kind, contract, name)
    ]
    if not wrong:
        return None
    return Unsound(types_differ(wrong), land_columns([f"{name} {kind}" for name, kind in wanted.items()]))


def _fits(found: str, wanted: str, contract: Contract, name: str) -> bool:
    only_transformed = not any(column.logic is None and name in column.sources for column in contract.columns)
    return (only_transformed and found not in UNREADABLE) or lossless(found, wanted)


def _insert_group(
    sandbox: Sandbox, table: str, group: Sequence[Hashed], schema: Schema, contract: Contract
) -> dict[Path, Unsound]:
    """Insert files of one schema at once; if that fails, one by one to find out which is bad."""
    try:
        sandbox.hand_over(_query(group, schema, contract), table)
    except (duckdb.Error, UnicodeDecodeError) as error:
        sandbox.renew()
        if len(group) == 1:
            return {group[0][0].path: unreadable(error)}
        problems: dict[Path, Unsound] = {}
        for one in group:
            problems.update(_insert_group(sandbox, table, [one], schema, contract))
        return problems
    return {}


def _query(group: Sequence[Hashed], schema: Schema, contract: Contract) -> str:
    found = dict(schema)
    values = [
        f"{_cast(name, found[name], kind, contract)} AS {quote(name)}"
        for name, kind in contract.raw_schema(typed=True).items()
    ]
    known = ", ".join(
        f"({text(str(file.path))}, DATE '{file.date}', {text(file.path.name)}, {text(digest)})"
        for file, digest in group
    )
    names = ", ".join(text(glob_escape(file.path)) for file, _ in group)
    return (
        f"SELECT {', '.join(values)}, known.landing_date, known.file, known.content_hash, "
        f"file_row_number + 1 AS row_number FROM read_parquet([{names}], filename = '__landing_path', "
        "file_row_number = true, hive_partitioning = false) AS landed "
        f"JOIN (VALUES {known}) AS known(path, landing_date, file, content_hash) "
        "ON landed.__landing_path = known.path"
    )


def _cast(name: str, found: str, wanted: str, contract: Contract) -> str:
    """SQL of a value as the contract's type; a cast of nanoseconds would round, into the next day even."""
    column = f"landed.{quote(name)}"
    if wanted == "TIMESTAMPTZ" and found in NANOSECONDS:
        microseconds = f"(epoch_ns({column}) - (epoch_ns({column}) % 1000 + 1000) % 1000) // 1000"
        made = "make_timestamp" if found in WALL_CLOCK else "make_timestamptz"
        column = f"{made}({microseconds})"
    if wanted == "TIMESTAMPTZ" and found in WALL_CLOCK:
        read_by = _read_by(name, contract)
        return sql_types.of_local(f"CAST({column} AS TIMESTAMP)", read_by.timezone, read_by.ambiguous)
    return f"CAST({column} AS {wanted})"


def _read_by(name: str, contract: Contract) -> Column:
    """The column of events that takes a landing column as it is."""
    return next(c for c in contract.columns if c.logic is None and name in c.sources)


def _unclear(sandbox: Sandbox, path: Path, schema: Schema, contract: Contract) -> Unsound | None:
    """Why a file is refused whose wall-clock times are shown twice or never: no row of raw could tell them apart."""
    found = dict(schema)
    for name, wanted in contract.raw_schema(typed=True).items():
        if wanted != "TIMESTAMPTZ" or found[name] not in WALL_CLOCK:
            continue
        read_by = _read_by(name, contract)
        if read_by.ambiguous != "refuse" or read_by.timezone in sql_types.CLOCKS_OF_ONE_OFFSET:
            continue
        moment = _cast(name, found[name], wanted, contract)
        try:
            [(rows, example)] = sandbox.con.execute(
                f"SELECT count(*), CAST(min(landed.{quote(name)}) AS VARCHAR) FROM read_parquet("
                f"{text(glob_escape(path))}, hive_partitioning = false) AS landed "
                f"WHERE landed.{quote(name)} IS NOT NULL AND {moment} IS NULL"
            ).fetchall()
        except duckdb.Error as error:
            sandbox.renew()
            return unreadable(error)
        if rows:
            return Unsound(
                f"has {rows:,} times in {name!r} that clocks in {read_by.timezone} show twice or never",
                "land moments (with a zone), or say with the custom property 'ambiguous' of the contract whether the "
                "earlier or the later is meant",
                quoted=example,
            )
    return None


def _sampled_types(con: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    try:
        described = con.execute(
            f"DESCRIBE SELECT * FROM read_parquet({text(glob_escape(path))}, hive_partitioning = false)"
        ).fetchall()
    except duckdb.Error as error:
        raise cannot_sample(path, error) from error
    types = {row[0]: canonical(row[1]) for row in described}
    for name, kind in types.items():
        if kind == "BLOB" or kind.endswith("]") or kind.startswith(("STRUCT(", "MAP(", "UNION(")):
            message = (
                f"column {name!r} is {kind}, which no contract can promise; land it as flat columns or text"
            )
            raise ContractError(path, message)
    return types


def _type_of_both(old: str, new: str) -> str | None:
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
