"""From raw to events and quarantine: every row of the versions in force ends in exactly one of them."""

from collections.abc import Mapping
from datetime import timedelta

import duckdb

from ml_assets.contracts import Contract
from ml_assets.lake import Between, count
from ml_assets.landing.raw import SourceTables, rows_in_force


def write_events(
    con: duckdb.DuckDBPyConnection,
    tables: SourceTables,
    contract: Contract,
    between: Between,
    *,
    late_days: int,
    metadata: Mapping[str, str],
) -> tuple[int, int]:
    """Replace the events that happened, and the quarantine of what was landed, on the days ``between``.

    Reads the files that can hold rows of these days: those of the days themselves and of ``late_days``
    around them. Returns the numbers of accepted and of refused rows.
    """
    first, last = between
    around = (first - timedelta(days=late_days), last + timedelta(days=late_days))
    rows = rows_in_force(con, tables, around)
    con.execute("DROP TABLE IF EXISTS classified")
    contract.classify(con, rows, late_days=late_days).create("classified")
    columns = ", ".join(f'"{column.name}"' for column in contract.columns if column.name != "available_at")
    kept = con.sql(
        f"SELECT {columns}, available_at, landing_date, row_number, event_date FROM classified "
        f"WHERE len(reasons) = 0 AND event_date BETWEEN DATE '{first}' AND DATE '{last}'"
    )
    refused = con.sql(
        "SELECT file, row_number, content_hash, original, reasons, landing_date FROM classified "
        f"WHERE len(reasons) > 0 AND landing_date BETWEEN DATE '{first}' AND DATE '{last}'"
    )
    counts = (count(kept), count(refused))
    tables.quarantine.replace(refused, between=between, metadata=metadata)
    tables.events.replace(kept, between=between, metadata=metadata)
    return counts
