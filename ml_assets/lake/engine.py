"""DuckDB as the engine: in-memory connections whose results don't depend on the machine."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb


def pin(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Set what would otherwise follow the machine: the time zone is UTC, and no progress bar is drawn."""
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET enable_progress_bar = false")
    return con


@contextmanager
def connect() -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB connection, pinned, closed at the end whatever happens."""
    con = duckdb.connect(":memory:")
    try:
        yield pin(con)
    finally:
        con.close()


def content_hash(rows: duckdb.DuckDBPyRelation, order_by: Sequence[str]) -> str:
    """SHA-256 over all rows as JSON, in the order of a key: the same rows give the same hash.

    ``order_by`` names columns that identify a row. Column order doesn't matter, column names do.
    An empty relation has the hash of nothing, which is a fact too.
    """
    columns = ", ".join(f'"{column}"' for column in sorted(rows.columns))
    key = ", ".join(f'line."{column}"' for column in order_by)
    hashed = rows.query(
        "hashed_rows",
        f"SELECT string_agg(md5(to_json(line)::VARCHAR), chr(10) ORDER BY {key}) "
        f"FROM (SELECT {columns} FROM hashed_rows) AS line",
    )
    assert hashed is not None
    ((lines,),) = hashed.fetchall()
    return hashlib.sha256((lines or "").encode()).hexdigest()
