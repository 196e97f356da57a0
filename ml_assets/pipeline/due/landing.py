"""Which days of a source are due: for files that are new, changed or gone, and for what earlier runs left."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from ml_assets.contracts import Contract
from ml_assets.lake import Between, Lake, Table, days, redefined_slots, stale_days
from ml_assets.lake.definition import hash_of
from ml_assets.landing import Landing, LandingUnavailable, Listing, Piece, content_hash
from ml_assets.landing.places.place import first_of
from ml_assets.landing.raw import FileRecord, lost_rows, seen_files
from ml_assets.landing.tables import SourceTables
from ml_assets.landing.withholding import breaches, waiting
from ml_assets.project.calendar import Calendar
from ml_assets.project.source import Source

BRIDGED = timedelta(days=7)
"""Ranges with at most this much between them become one run: a closed day is no reason for two."""
Facts = list[object]
"""What a day is due for, so that the same facts ask for the same run."""


@dataclass(frozen=True)
class DueDays:
    """The days of events that are due, each with the facts it follows from."""

    files: Mapping[date, Facts]
    """The landing days whose file is new, changed or gone."""
    outside: frozenset[date]
    """Those of them that the source's calendar doesn't have."""
    days: Mapping[date, Facts]
    redefined: Mapping[date, frozenset[str]]
    """Those that are due for nothing else than what the source declares by now, with the names of what differs."""

    def from_raw(self, between: Between) -> bool:
        """Whether nothing of the days ``between`` has to be read from the landing."""
        return all(day in self.redefined for day in self.days if between[0] <= day <= between[1])


def due_days(
    con: duckdb.DuckDBPyConnection,
    source: Source,
    lake: Lake,
    listed: Mapping[date, Piece],
    *,
    unchanged: Collection[date] = (),
    in_flight: bool = False,
) -> DueDays:
    """What is due of what is ``listed`` and on record.

    The files of days that are ``unchanged`` since they were read are not read again. While a run over the source is
    ``in_flight``, what runs leave behind is not due yet.
    """
    tables = source.tables(lake)
    seen = seen_files(con, tables.files)
    read = {day for day, record in seen.items() if record.last}
    lost = {one.day for one in lost_rows(con, tables) if one.content_hash == seen[one.day].accepted}
    looked_at = {day for day in listed if day not in read or day not in unchanged or day in lost}
    files = new_files(source.landing, listed, seen, looked_at, source.contract, lost)
    outside = frozenset(day for day in files if not source.days.has(day))
    wanted = {
        touched: facts
        for day, facts in files.items()
        if day not in outside
        for touched in touched_by(day, source.late_days, source.days)
    }
    redefined: dict[date, frozenset[str]] = {}
    if not in_flight:
        versions = [tables.files.version, tables.events.version, tables.waivers.version]
        versions += [table.version for table in source.referred(lake).values()]
        left = unread_days(con, tables, source.late_days, source.days) | waiting(con, tables)
        for day in left | orphaned_days(con, source, lake):
            wanted.setdefault(day, [day, *versions])
        differing = redefined_events(source, lake)
        redefined = {day: names for day, names in differing.items() if day not in wanted}
        wanted |= {day: [day, *versions, hash_of(source.definitions)] for day in redefined}
    return DueDays(files, outside, wanted, redefined)


def redefined_events(source: Source, lake: Lake) -> dict[date, frozenset[str]]:
    """The days of events that were built under another declaration, with the names of what differs."""
    found = redefined_slots(source.tables(lake).events.marks(), source.redefined)
    return {day: names for day, names in found.items() if source.days.has(day)}


def passed_over(source: Source, listed: Listing) -> str:
    """What lies in a source's landing and is never taken, in words: odd names, and days it doesn't have; or nothing."""
    outside = [piece.name for piece in listed if not source.days.allows(piece.between[0])]
    last = f" to {source.days.last}" if source.days.last else ""
    beyond = f"{first_of(outside)} passed over: the source has the days from {source.days.first}{last}"
    return "; ".join(said for said in (listed.passed_over, beyond if outside else "") if said)


def new_files(
    landing: Landing,
    listed: Mapping[date, Piece],
    seen: Mapping[date, FileRecord],
    looked_at: Collection[date],
    contract: Contract,
    lost: Collection[date],
) -> dict[date, list[object]]:
    """The days whose file is new, changed or gone, or was refused under another contract, each with the facts.

    And of the days of which ``raw`` has ``lost`` rows of the version in force, those whose file still is that version.
    Of what is listed, only the files of the days ``looked_at`` are read.
    """
    facts: dict[date, list[object]] = {}
    for day, digest in _hashes(landing, {day: listed[day] for day in sorted(looked_at)}).items():
        record = seen.get(day)
        if record is None or record.status == "deleted" or record.last != digest:
            facts[day] = [day, digest, record.versions if record else 0]
        elif day in lost and record.accepted == digest:
            facts[day] = [day, digest, record.versions, "lost from raw"]
    for day, record in seen.items():
        if day in listed and record.waits(contract):
            facts.setdefault(day, [day, record.last, record.versions, contract.sha256])
        if day not in listed and record.status != "deleted":
            facts[day] = [day, "deleted", record.versions]
    return facts


def _hashes(landing: Landing, listed: Mapping[date, Piece]) -> dict[date, str]:
    """The content hash of each file; of one that can't be read, an empty one, as on record."""
    hashes = {}
    with TemporaryDirectory(prefix="landing-") as scratch:
        for day, piece in listed.items():
            try:
                hashes[day] = content_hash(landing.fetch(piece, Path(scratch)).path)
            except LandingUnavailable:
                raise
            except OSError:
                hashes[day] = ""
    return hashes


def touched_by(landing_date: date, late_days: int, calendar: Calendar) -> set[date]:
    """The days whose events a landing file can hold: its own and the ``late_days`` before it."""
    candidates = days(landing_date - timedelta(days=late_days), landing_date)
    return {day for day in candidates if calendar.has(day)}


def unread_days(
    con: duckdb.DuckDBPyConnection, tables: SourceTables, late_days: int, calendar: Calendar
) -> set[date]:
    """The days of events that have not read what landed last: a run that ended between the two leaves them.

    Of two runs over a day at once the slower one may write what has been put right meanwhile: so also the days
    of which the quarantine, or what is on record of their breaches, hasn't.
    """
    landed = tables.files.marks()

    def unread_by(table: Table) -> set[date]:
        return stale_days(landed, table.marks(), tables.files.name, (0, late_days), calendar)

    unread = unread_by(tables.events) | unread_by(tables.quarantine)
    broken = {breach.day for breach in breaches(con, tables)}
    return unread | (broken & unread_by(tables.withheld) if broken else set())


def orphaned_days(con: duckdb.DuckDBPyConnection, source: Source, lake: Lake) -> set[date]:
    """The days with rows refused, or withheld, for what another source lacks, if its events have changed since.

    Whether what was lacking has come shows when they are built again: a key that never comes costs its day a
    build for every change of the other source.
    """
    tables, referred = source.tables(lake), source.referred(lake)
    if not referred or not tables.events.exists:
        return set()
    rules = {rule.name: rule.to for rule in source.contract.day_rules if rule.kind == "reference"}
    lacking = {(breach.day, rules[breach.rule]) for breach in breaches(con, tables) if breach.rule in rules}
    if tables.quarantine.exists:
        tables.quarantine.read(con, columns=["event_date", "reasons"]).create_view("refused", replace=True)
        reasons = con.sql(
            "SELECT DISTINCT event_date, split_part(unnest(reasons), ':', 1) AS rule FROM refused"
        )
        lacking |= {(day, rules[rule]) for day, rule in reasons.fetchall() if rule in rules}
    newest = {name: _changed_last(table) for name, table in referred.items()}
    built = tables.events.marks()
    return {
        day
        for day, name in lacking
        if day not in built or newest[name] > built[day].read.get(referred[name].name, -1)
    }


def _changed_last(table: Table) -> int:
    """The newest version of a table that changed a day and is in force there, or -1."""
    return max((mark.changed for mark in table.marks().values() if mark.changed is not None), default=-1)
