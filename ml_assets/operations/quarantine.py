"""What a source holds back: look at it, judge it again under the contract as it is now, or let it through."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from getpass import getuser
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from ml_assets.components.shared.keys import keys_of
from ml_assets.instance import clock, progress
from ml_assets.instance.refusal import Refusal
from ml_assets.lake import Between, Lake, as_ranges, connect, days
from ml_assets.landing.raw import seen_files
from ml_assets.landing.withholding import Waiver, breaches, withheld
from ml_assets.landing.withholding import waive as record

if TYPE_CHECKING:
    import dagster as dg

    from ml_assets.project.source import Source


@dataclass(frozen=True)
class WithheldDay:
    """A day that is not published, and why."""

    day: date
    why: str


@dataclass(frozen=True)
class RefusedBy:
    """How many rows a rule refuses, and on which days."""

    rule: str
    rows: int
    days: int
    first: date
    last: date


@dataclass(frozen=True)
class RefusedRow:
    """A row in quarantine, as it came."""

    file: str
    row: int
    reasons: list[str]
    original: str


@dataclass(frozen=True)
class HeldBack:
    """The days and rows of a source that are not in ``events``."""

    source: str
    withheld: list[WithheldDay]
    rows: int
    rules: list[RefusedBy]
    shown: list[RefusedRow]
    """The first of the rows."""


def held_back(
    con: duckdb.DuckDBPyConnection,
    source: "Source",
    lake: Lake,
    between: Between | None,
    *,
    rule: str | None,
    limit: int,
) -> HeldBack:
    """What a source holds back of the days ``between`` (all), of one ``rule`` (all), with the first rows."""
    tables = source.tables(lake)
    held = [WithheldDay(day, why) for day, why in withheld(con, tables, between).items()]
    if not tables.quarantine.exists:
        return HeldBack(source.name, held, 0, [], [])
    rows = tables.quarantine.read(con, between=between).select(
        "*, list_transform(reasons, lambda reason: split_part(reason, ':', 1)) AS rules"
    )
    if rule:
        rows = con.sql("SELECT * FROM rows WHERE list_contains(rules, $rule)", params={"rule": rule})
    counts = con.sql(
        "SELECT rule, count(*), count(DISTINCT event_date), min(event_date), max(event_date) "
        "FROM (SELECT unnest(rules) AS rule, event_date FROM rows) GROUP BY rule ORDER BY 2 DESC, 1"
    ).fetchall()
    ((total,),) = rows.aggregate("count(*)").fetchall()
    first = rows.order("event_date, file, row_number").limit(limit)
    shown = first.select("file, row_number, reasons, original").fetchall()
    return HeldBack(
        source.name,
        held,
        total,
        [RefusedBy(*count) for count in counts],
        [RefusedRow(*row) for row in shown],
    )


@dataclass(frozen=True)
class RebuiltDays:
    """How building days again went, in numbers of days and rows."""

    built: int
    asked: int
    withheld: int
    rows_before: int
    rows_now: int
    success: bool


def replay(
    defs: "dg.Definitions",
    instance: "dg.DagsterInstance",
    source: "Source",
    lake: Lake,
    between: Between | None,
) -> RebuiltDays:
    """Build the days with refused rows or files, withheld, or of another contract, again under the contract as it is now."""
    from ml_assets.operations.materialize import Phase, run_phase

    before = _refused(source, lake, between)
    built: set[date] = set()
    success = True
    for reading in (True, False):
        keys = tuple(keys_of(source, *("raw", "events", "quarantine")[0 if reading else 1 :]))
        wanted = before.files if reading else before.others - before.files
        for part in as_ranges(wanted):
            version = source.tables(lake).events.version
            phase = Phase(f"{source.name}: replay", keys, part)
            progress.begin(phase.in_words)
            done = run_phase(defs, instance, phase)
            success = success and done.success
            for message in done.messages:
                progress.say(message)
            progress.end(done.ended)
            if source.tables(lake).events.version != version:
                built.update(days(*part))
    after = _refused(source, lake, between)
    asked = before.others | before.files
    return RebuiltDays(
        built=len(built),
        asked=len(asked),
        withheld=len(asked & after.withheld),
        rows_before=sum(before.rows.values()),
        rows_now=sum(after.rows.values()),
        success=success,
    )


class _Refused(NamedTuple):
    """Rows in quarantine by day, days withheld, days that refused files can hold rows of, days of another contract."""

    rows: Mapping[date, int]
    withheld: set[date]
    files: set[date]
    redefined: set[date]

    @property
    def others(self) -> set[date]:
        """The days to build again from ``raw`` as it is."""
        return {*self.rows, *self.withheld, *self.redefined}


def _refused(source: "Source", lake: Lake, between: Between | None) -> _Refused:
    from ml_assets.pipeline.due.landing import redefined_events, touched_by

    tables, (first, last) = source.tables(lake), between or (date.min, date.max)
    with connect() as con:
        rows: dict[date, int] = {}
        if tables.quarantine.exists:
            found = tables.quarantine.read(con, columns=["event_date"], between=between)
            rows = dict(found.aggregate("event_date, count(*)", "event_date").fetchall())
        held = set(withheld(con, tables, between))
        seen = seen_files(con, tables.files)
    files = {day for day, file in seen.items() if first <= day <= last and file.status == "refused"}
    touched = {day for landed in files for day in touched_by(landed, source.late_days, source.days)}
    redefined = {day for day in redefined_events(source, lake) if first <= day <= last}
    return _Refused(rows, held, touched, redefined)


def waive(
    con: duckdb.DuckDBPyConnection,
    source: "Source",
    lake: Lake,
    between: Between,
    *,
    rule: str | None,
    why: str,
    until: date,
) -> list[str]:
    """Record that the user lets withheld days through until a day; return the rules they break.

    Raises Refusal where that day is over, or no day breaks the rule (any rule).
    """
    tables, now = source.tables(lake), clock.now()
    end = datetime.combine(until, time.min, UTC)
    if end <= now:
        raise Refusal(f"--until {until} is over; give a day to come")
    rules = sorted({b.rule for b in breaches(con, tables, between) if rule in (None, b.rule)})
    if not rules:
        known = ", ".join(f"{b.rule} on {b.day}" for b in breaches(con, tables)[:10]) or "none"
        wanted = f"the rule {rule}" if rule else "a rule"
        raise Refusal(
            f"no day from {between[0]} to {between[1]} breaks {wanted} of {source.name}, so there is nothing to waive. "
            f"Broken now: {known}"
        )
    record(con, tables, Waiver(*between, rule, getuser(), why, end, now))
    return rules
