"""The files of a Delta table as a DuckDB relation."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb
from deltalake import DeltaTable, Schema

from ml_assets.lake.days import Between
from ml_assets.lake.engine import pin_files
from ml_assets.lake.errors import Damaged
from ml_assets.lake.location import Location
from ml_assets.lake.sql import quote, text

if TYPE_CHECKING:
    import pyarrow as pa

SQL_TYPES = {"date": "DATE", "long": "BIGINT", "integer": "INTEGER", "string": "VARCHAR"}
"""Delta's types of partition columns as DuckDB's."""


def scan(
    con: duckdb.DuckDBPyConnection, at: Location, delta: DeltaTable, between: Between | None
) -> duckdb.DuckDBPyRelation:
    """The rows of a table that was opened, of a range of its slots or of all, lazily: only these files are read.

    DuckDB reads local files itself; what reads an object store would have to be downloaded as an extension,
    so there Arrow reads and DuckDB hands filters and columns down to it. Raises Damaged.
    """
    pruning = None
    if between is not None:
        lead, (first, last) = at.partition_by[0], between
        pruning = [(lead, ">=", first.isoformat()), (lead, "<=", last.isoformat())]
    if "://" in at.uri:
        return con.from_arrow(delta.to_pyarrow_dataset(file_pruning_predicate=pruning))
    paths = [_path(at, uri) for uri in delta.file_uris(file_pruning_predicate=pruning)]
    if not paths:
        return con.from_arrow(_arrow_schema(delta).empty_table())
    pin_files(con, paths)
    kinds = {
        f.name: SQL_TYPES.get(str(getattr(f.type, "type", "")), "VARCHAR") for f in delta.schema().fields
    }
    types = ", ".join(f"'{column}': {kinds[column]}" for column in at.partition_by)
    try:
        return con.sql(
            f"SELECT * FROM read_parquet([{', '.join(map(text, paths))}], hive_partitioning = true, "
            f"hive_types = {{{types}}}, union_by_name = true)"
        )
    except duckdb.Error as error:
        raise Damaged(
            f"Table {at.name}: a file that it names can't be read ({str(error).splitlines()[0]}). If it is "
            "lost or damaged, restore it from a backup; or, where the table is built from others, "
            "materialize the partitions in that file's path again."
        ) from error


def retyped(con: duckdb.DuckDBPyConnection, delta: DeltaTable, types: Mapping[str, str]) -> dict[str, str]:
    """Of the columns that a table stores as another type than these DuckDB types: how SQL makes the new of the old."""
    nulls = ", ".join(f"CAST(NULL AS {kind}) AS {quote(name)}" for name, kind in types.items())
    wanted = Schema.from_arrow(con.sql(f"SELECT {nulls} LIMIT 0").to_arrow_table().schema)
    stored = {field.name: field.type for field in delta.schema().fields}
    others = [f.name for f in wanted.fields if f.name in stored and stored[f.name] != f.type]
    table = con.from_arrow(_arrow_schema(delta).empty_table())
    made = {}
    for name in others:
        cast = f"TRY_CAST({quote(name)} AS {types[name]})"
        try:
            table.select(cast)
            made[name] = cast
        except duckdb.Error:
            made[name] = f"CAST(NULL AS {types[name]})"
    return made


def _path(at: Location, uri: str) -> str:
    """A file of a local table. Delta percent-encodes the folder above the table."""
    return "/".join([at.uri, *uri.split("/")[-len(at.partition_by) - 1 :]])


def _arrow_schema(delta: DeltaTable) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(delta.schema().to_arrow())
