"""Whether a row was lost between ``raw`` and ``events`` or ``quarantine``; ``raw.lost_rows`` says it of ``raw`` itself.

Rows are counted by what the logs of the tables say of their files. Only where rows may come late the landing date of
events and refused rows is read too: a day's rows lie in the partitions of several days then.
"""

from collections.abc import Collection, Mapping
from datetime import date, timedelta

import duckdb

from ml_assets.lake import Between, Table, days
from ml_assets.landing.raw import Lost, not_expired, seen_files
from ml_assets.landing.tables import SourceTables
from ml_assets.landing.withholding import breaches


def lost_after_raw(
    con: duckdb.DuckDBPyConnection,
    tables: SourceTables,
    late_days: int,
    first: date,
    *,
    between: Between | None = None,
    leaving: Collection[date] = (),
) -> list[Lost]:
    """The landing days whose rows in force in ``raw`` are not all in ``events`` or ``quarantine``, or are there twice.

    ``first`` is the first day that the two have. Looked at are the landing days that rows of the days ``between``
    (None: all) can come from, but for those that bring rows of withheld days, or of days of ``leaving``, which are
    still to be built.
    """
    late = timedelta(days=late_days)
    held = {breach.day for breach in breaches(con, tables) if not breach.published} | set(leaving)
    read = (between[0] - late, between[1] + late) if between else None
    written = _by_landing_date(con, tables, late_days, read)
    in_force = {day: seen.accepted for day, seen in seen_files(con, tables.files).items() if seen.accepted}
    there = tables.raw.counts()
    lost = []
    for day, digest in in_force.items():
        asked = between is None or between[0] <= day <= between[1] + late
        if not asked or day - late < first or not held.isdisjoint(days(day - late, day)):
            continue
        rows, found = there.get((day, digest), 0), written.get(day, 0)
        if rows != found:
            lost.append(Lost(day, digest, rows, found))
    return not_expired(lost, tables.events, late_days)


def _by_landing_date(
    con: duckdb.DuckDBPyConnection, tables: SourceTables, late_days: int, between: Between | None
) -> Mapping[date, int]:
    counts: dict[date, int] = {}
    for table in (tables.events, tables.quarantine):
        for day, rows in _counted(con, table, late_days, between):
            counts[day] = counts.get(day, 0) + rows
    return counts


def _counted(
    con: duckdb.DuckDBPyConnection, table: Table, late_days: int, between: Between | None
) -> list[tuple[date, int]]:
    if not late_days:
        return [(day, rows) for (day,), rows in table.counts(between).items()]
    if not table.exists:
        return []
    landed = table.read(con, columns=["landing_date"], between=between)
    return landed.aggregate("landing_date, count(*)", "landing_date").fetchall()
