"""Days that break the contract: withheld from ``events`` and from what reads them, until mended or waived.

The tables: ``withheld`` has a row for every day and broken rule of severity error, as of the last build of
that day; ``waivers`` is the append-only record of who allowed what, why, and until when.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import duckdb

from ml_assets.instance import clock
from ml_assets.lake import Between, Provenance, records
from ml_assets.landing.tables import WAIVERS, WITHHELD, SourceTables

LANDED_WHOLE = "files_accepted"
"""The rule that a day breaks whose newest landing file was refused."""


@dataclass(frozen=True)
class Waiver:
    """Leave to use the days ``first`` to ``last`` although they break ``rule`` (None: any rule), ``until`` then."""

    first: date
    last: date
    rule: str | None
    who: str
    why: str
    until: datetime
    at: datetime

    def covers(self, day: date, rule: str, now: datetime) -> bool:
        """Whether it holds for a broken rule of a day, at this moment."""
        return self.first <= day <= self.last and self.rule in (None, rule) and now < self.until


@dataclass(frozen=True)
class Breach:
    """A rule of severity error that a day breaks; ``published`` is whether a waiver let its events through."""

    day: date
    rule: str
    message: str
    published: bool = False


def waive(con: duckdb.DuckDBPyConnection, tables: SourceTables, waiver: Waiver) -> None:
    """Put a waiver on record."""
    row = {name: getattr(waiver, name) for name in WAIVERS.types if name != "month"}
    row |= {"rule": waiver.rule or "", "month": waiver.at.date().replace(day=1)}
    tables.waivers.append(
        records(con, [row], WAIVERS.types), provenance=Provenance(facts={"who": waiver.who})
    )


def waivers(con: duckdb.DuckDBPyConnection, tables: SourceTables) -> list[Waiver]:
    """All waivers ever given, oldest first."""
    if not tables.waivers.exists:
        return []
    columns = [name for name in WAIVERS.types if name != "month"]
    rows = tables.waivers.read(con, columns=columns).order('"at"').fetchall()
    given = [dict(zip(columns, row, strict=True)) for row in rows]
    return [Waiver(**{**row, "rule": row["rule"] or None}) for row in given]


def breaches(
    con: duckdb.DuckDBPyConnection, tables: SourceTables, between: Between | None = None
) -> list[Breach]:
    """The broken rules of the days ``between`` (None: of all days), waived ones too, by day and rule."""
    if not tables.withheld.exists:
        return []
    rows = tables.withheld.read(
        con, columns=["event_date", "rule", "message", "published"], between=between
    ).order("event_date, rule")
    return [Breach(*row) for row in rows.fetchall()]


def withheld(
    con: duckdb.DuckDBPyConnection, tables: SourceTables, between: Between | None = None
) -> dict[date, str]:
    """The days ``between`` (None: all) that nothing may read now, in order, with the reasons."""
    broken = breaches(con, tables, between)
    return unwaived(broken, waivers(con, tables) if broken else [])


def unwaived(broken: Sequence[Breach], given: Sequence[Waiver]) -> dict[date, str]:
    """The days with a breach that no waiver covers now, with the messages of these breaches."""
    now = clock.now()
    reasons: dict[date, list[str]] = {}
    for breach in broken:
        if not any(waiver.covers(breach.day, breach.rule, now) for waiver in given):
            reasons.setdefault(breach.day, []).append(breach.message)
    return {day: "; ".join(messages) for day, messages in sorted(reasons.items())}


def waiting(con: duckdb.DuckDBPyConnection, tables: SourceTables) -> set[date]:
    """The days whose breaches are all waived by now, but whose events have not been let through yet."""
    broken = breaches(con, tables)
    if not broken:
        return set()
    held = unwaived(broken, waivers(con, tables))
    return {breach.day for breach in broken if not breach.published} - set(held)


def record(
    con: duckdb.DuckDBPyConnection,
    tables: SourceTables,
    between: Between,
    broken: Sequence[Breach],
    published: Collection[date],
    provenance: Provenance,
) -> None:
    """Make ``broken`` what is on record of the days ``between``."""
    now = clock.now()
    rows = [
        {
            "event_date": breach.day,
            "rule": breach.rule,
            "message": breach.message,
            "published": breach.day in published,
            "at": now,
        }
        for breach in broken
    ]
    if rows or breaches(con, tables, between):
        tables.withheld.replace(records(con, rows, WITHHELD.types), between=between, provenance=provenance)
