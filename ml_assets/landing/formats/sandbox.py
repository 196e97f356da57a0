"""A DuckDB of their own for landing files: one that upsets DuckDB doesn't take the lake's connection down."""

from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from ml_assets.lake.engine import BATCH, pin
from ml_assets.landing.formats.unsound import ONCE_MORE, UNREADABLE, Unsound
from ml_assets.landing.limits import FileLimits

NO_ROOM = ("failed to offload data block", "could not allocate block", "No space left on device")
"""What DuckDB says where memory and the disk it spills to are full."""


class OutOfRoom(Exception):
    """This machine can't hold a landing file's rows: no fault of the file, so it isn't refused for that."""


class Sandbox:
    """An in-memory DuckDB that reads files within ``limits``, and hands their rows to the connection ``con``.

    A damaged Parquet file can raise DuckDB's InternalException, after which no statement works any more in
    the database that read it: ``renew`` starts with a fresh one.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, limits: FileLimits) -> None:
        self.target, self.limits = con, limits
        self.con = pin(duckdb.connect(":memory:"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.con.close()

    def renew(self) -> None:
        """Forget everything, broken state included."""
        self.con.close()
        self.con = pin(duckdb.connect(":memory:"))

    def hand_over(self, query: str, table: str) -> int:
        """Insert the rows of ``query`` into ``table`` of the target, all or none; returns how many they are."""
        rows = self.con.sql(query).to_arrow_reader(BATCH)
        self.target.register("landing_piece", rows)
        try:
            [(number,)] = self.target.execute(f"INSERT INTO {table} SELECT * FROM landing_piece").fetchall()
        finally:
            self.target.unregister("landing_piece")
        return int(number)


def glob_escape(path: Path) -> str:
    """A path that DuckDB reads as itself, though it has the characters of a glob pattern."""
    return "".join(f"[{letter}]" if letter in "[*?" else letter for letter in str(path))


def unreadable(error: Exception) -> Unsound:
    """DuckDB's complaint about a file; raises OutOfRoom where the file isn't to blame."""
    first = (str(error).splitlines() or [""])[0]
    if any(said in str(error) for said in NO_ROOM):
        raise OutOfRoom(
            f"there is no room left for the rows of the landing files, in memory or where DuckDB spills to ({first}); "
            "free some, or land fewer days in one run, and run it again. No file is refused for it"
        ) from error
    said = first.partition("Error: ")[2] or first
    return Unsound(UNREADABLE, ONCE_MORE, quoted=said)
