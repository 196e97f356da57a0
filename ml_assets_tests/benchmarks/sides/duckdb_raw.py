"""DuckDB, straight from the events: a snapshot in one scan, a spine as a range join."""

from datetime import date, timedelta
from pathlib import Path

import duckdb

SNAPSHOT_DAY = date(2023, 12, 1)
MONTH = [SNAPSHOT_DAY + timedelta(days=n - 27) for n in range(28)]
"""The days of the snapshots that are made in one go."""


def snapshot(folder: Path, out: Path) -> None:
    """All entities known at 00:00 UTC of one day, with what had happened and was known by then."""
    _write(_snapshot_query(folder, SNAPSHOT_DAY), out)


def month(folder: Path, out: Path) -> None:
    """The same for every day of a month, a scan a day."""
    _write(" UNION ALL ".join(_snapshot_query(folder, day) for day in MONTH), out)


def _snapshot_query(folder: Path, day: date) -> str:
    as_of = f"TIMESTAMPTZ '{day} 00:00:00+00'"
    week, month = (f"FILTER (WHERE occurred_at >= {as_of} - INTERVAL {days} DAY)" for days in (7, 28))
    return (
        f"SELECT entity, DATE '{day}' AS as_of, count(*) {week} AS n_7d, coalesce(sum(amount) {week}, 0) AS s_7d, "
        f"count(*) {month} AS n_28d, coalesce(sum(amount) {month}, 0) AS s_28d FROM '{folder}/events.parquet' "
        f"WHERE occurred_at < {as_of} AND available_at <= {as_of} GROUP BY entity"
    )


def spine(folder: Path, out: Path) -> None:
    """Every row with every event of its entity in the window, then grouped."""
    week = "FILTER (WHERE occurred_at >= as_of - INTERVAL 7 DAY)"
    _write(
        f"SELECT row, count(occurred_at) {week} AS n_7d, coalesce(sum(amount) {week}, 0) AS s_7d, "
        f"count(occurred_at) AS n_28d, coalesce(sum(amount), 0) AS s_28d "
        f"FROM '{folder}/spine.parquet' spine LEFT JOIN '{folder}/events.parquet' events "
        f"ON events.entity = spine.entity AND occurred_at < as_of AND occurred_at >= as_of - INTERVAL 28 DAY "
        f"AND available_at <= as_of GROUP BY row",
        out,
    )


def _write(query: str, out: Path) -> None:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(f"COPY ({query}) TO '{out}' (FORMAT parquet)")
