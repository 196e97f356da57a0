"""What other processes run against a table; importable without pytest, so that they start fast."""

from ctypes import c_longlong
from datetime import date, timedelta
from multiprocessing.synchronize import Barrier

import duckdb

from ml_assets.lake import Lake, Provenance, Table, connect

FIRST = date(2020, 1, 1)
DAYS = 3
ROWS = 20_000
"""Rows a generation has in each of its partitions."""


def day(n: int) -> date:
    return FIRST + timedelta(days=n)


def at(root: str) -> Table:
    return Lake(root).table("shop/events", "day")


def generation(con: duckdb.DuckDBPyConnection, number: int, rows: int = ROWS) -> duckdb.DuckDBPyRelation:
    """``rows`` rows in each of DAYS partitions, all of them marked with the number."""
    return con.sql(
        f"SELECT DATE '{FIRST}' + d::INTEGER AS day, n, {number}::BIGINT AS generation, "
        f"md5(n::VARCHAR || '{number}') AS note FROM range({DAYS}) AS days(d), range({rows}) AS numbers(n)"
    )


def write_generations(root: str, start: int, begun: c_longlong, committed: c_longlong) -> None:
    """Replace the partitions over and over, telling which generation was begun and which committed."""
    table = at(root)
    with connect() as con:
        for number in range(start, start + 100_000):
            begun.value = number
            made = Provenance(facts={"generation": str(number)})
            table.replace(generation(con, number), between=(FIRST, day(DAYS - 1)), provenance=made)
            committed.value = number


def write_own_days(root: str, writer: int, days: int, together: Barrier) -> None:
    """Write partitions no other writer touches, one commit each."""
    table = at(root)
    with connect() as con:
        together.wait(60)
        for n in range(writer * days, (writer + 1) * days):
            rows = con.sql(f"SELECT DATE '{day(n)}' AS day, {writer} AS writer, {n} AS n FROM range(10)")
            table.replace(
                rows, between=(day(n), day(n)), provenance=Provenance(facts={"writer": str(writer)})
            )


def write_the_same_day(root: str, writer: int, times: int, together: Barrier) -> None:
    """Replace one partition several times, with as many rows as the turn's number says."""
    table = at(root)
    with connect() as con:
        together.wait(60)
        for turn in range(1, times + 1):
            rows = con.sql(
                f"SELECT DATE '{FIRST}' AS day, {writer} AS writer, {turn} AS turn FROM range({turn})"
            )
            made = Provenance(facts={"writer": str(writer), "turn": str(turn)})
            table.replace(rows, between=(FIRST, FIRST), provenance=made)
