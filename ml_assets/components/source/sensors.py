"""Sensors: new landing files, stale features, new days to score, drift evidence, failed runs.

Each compares what is recorded in the lake with what there is, so a lost cursor costs time, never a run
too many or too few. All start running with the code location; stop one in the UI to take over by hand.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.partitions import SlotsOf
from ml_assets.components.shared.requests import UNFINISHED, answer, ask, request_key
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.contracts import Contract
from ml_assets.lake import Between, Lake, Table, as_ranges, connect, days, stale_days
from ml_assets.landing import Landing, LandingUnavailable, Listed, NoLandingFiles, content_hash
from ml_assets.landing.raw import Seen, SourceTables, seen_files
from ml_assets.landing.withholding import breaches, waiting
from ml_assets.project.source import Source

BRIDGED = timedelta(days=7)
"""Ranges with at most this much between them become one run: a closed day is no reason for two."""


def landing_sensor(source: Source, landing: Landing) -> dg.SensorDefinition:
    """New, changed or deleted landing files, and waivers -> raw, events and quarantine of the days they touch."""
    assets = [source.key(name) for name in ("raw", "events", "quarantine")]
    partitions, late_days = source.partitions, source.late_days

    @dg.sensor(
        name=f"{source.name}_landing",
        description=f"Asks for the days that new, changed or deleted landing files of {source.name} touch, for those "
        "of files refused under another contract, for days that a waiver lets through, and for days that refer to "
        "events of another source that have come since.",
        target=dg.AssetSelection.assets(*assets),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def landing_files(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            listed = landing.listed()
        except NoLandingFiles as error:
            return dg.SkipReason(str(error))
        known = json.loads(context.cursor) if context.cursor else {}
        prints = {str(day): item.fingerprint for day, item in listed.items()}
        tables = source.tables(lake.lake)
        with connection(duckdb) as con:
            seen = seen_files(con, tables.files)
            waived = waiting(con, tables)
            orphaned = orphaned_days(con, source, lake.lake)
        read = {day for day, record in seen.items() if record.last}
        looked_at = {day for day in listed if day not in read or known.get(str(day)) != prints[str(day)]}
        facts = new_files(landing, listed, seen, looked_at, source.contract)
        outside = {day for day in facts if not partitions.has_partition_key(day.isoformat())}
        context.update_cursor(
            json.dumps({day: p for day, p in prints.items() if date.fromisoformat(day) not in facts})
        )
        wanted = {
            touched: fact
            for day, fact in facts.items()
            if day not in outside
            for touched in touched_by(day, late_days, partitions)
        }
        if not _in_flight(context.instance, assets[1]):
            versions = [tables.files.version, tables.events.version, tables.waivers.version]
            versions += [table.version for table in source.referred(lake.lake).values()]
            for day in unread_days(tables, late_days, partitions) | waived | orphaned:
                wanted.setdefault(day, [day, *versions])
        outcomes = [
            ask(
                context.instance,
                request_key(
                    f"{source.name}/landing", [wanted[d] for d in sorted(wanted) if first <= d <= last]
                ),
                between=(first, last),
                assets=assets,
            )
            for first, last in as_ranges(set(wanted), BRIDGED)
        ]
        names = ", ".join(listed[day].name for day in sorted(outside & set(listed))[:5])
        more = f" and {len(outside) - 5} more" if len(outside) > 5 else ""
        strange = f"; of days outside the source's partitions: {names}{more}" if outside else ""
        return answer(outcomes, f"no new or changed file among {len(listed)} in {landing.place}{strange}")

    return landing_files


def new_files(
    landing: Landing,
    listed: Mapping[date, Listed],
    seen: Mapping[date, Seen],
    looked_at: Collection[date],
    contract: Contract,
) -> dict[date, list[object]]:
    """The days whose file is new, changed or gone, or was refused under another contract, each with the facts.

    Of what is listed, only the files of the days ``looked_at`` are read.
    """
    facts: dict[date, list[object]] = {}
    for day, digest in _hashes(landing, [listed[day] for day in sorted(looked_at)]).items():
        record = seen.get(day)
        if record is None or record.status == "deleted" or record.last != digest:
            facts[day] = [day, digest, record.versions if record else 0]
    for day, record in seen.items():
        if day in listed and record.waits(contract):
            facts.setdefault(day, [day, record.last, record.versions, contract.sha256])
        if day not in listed and record.status != "deleted":
            facts[day] = [day, "deleted", record.versions]
    return facts


def _hashes(landing: Landing, listed: Sequence[Listed]) -> dict[date, str]:
    """The content hash of each file; of one that can't be read, an empty one, as on record."""
    hashes = {}
    with TemporaryDirectory(prefix="landing-") as scratch:
        for item in listed:
            try:
                hashes[item.date] = content_hash(landing.fetch(item, Path(scratch)).path)
            except LandingUnavailable:
                raise
            except OSError:
                hashes[item.date] = ""
    return hashes


def touched_by(landing_date: date, late_days: int, partitions: dg.DailyPartitionsDefinition) -> set[date]:
    """The days whose events a landing file can hold: its own and the ``late_days`` before it."""
    candidates = days(landing_date - timedelta(days=late_days), landing_date)
    return {day for day in candidates if partitions.has_partition_key(day.isoformat())}


def unread_days(tables: SourceTables, late_days: int, partitions: dg.DailyPartitionsDefinition) -> set[date]:
    """The days of events that have not read what landed last: a run that ended between the two leaves them.

    Of two runs over a day at once the slower one may write what has been put right meanwhile: so also the days
    of which the quarantine, or what is on record of their breaches, hasn't.
    """
    landed, calendar = tables.files.marks(), SlotsOf(partitions)

    def unread_by(table: Table) -> set[date]:
        return stale_days(landed, table.marks(), tables.files.name, (0, late_days), calendar)

    unread = unread_by(tables.events) | unread_by(tables.quarantine)
    with connect() as con:
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


def _in_flight(instance: dg.DagsterInstance, asset: dg.AssetKey) -> bool:
    """Whether an unfinished run was started for the asset."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return any(asset in (run.asset_selection or ()) for run in runs)


@dataclass(frozen=True)
class Edge:
    """A table that is built from another: downstream day D reads upstream days D + reach[0] to D + reach[1]."""

    upstream: Table
    downstream: Table
    reach: tuple[int, int]
    partitions: dg.DailyPartitionsDefinition
    beside: tuple[dg.AssetKey, ...] = ()
    """Assets that are made in the same run as the downstream table, after it."""

    @property
    def assets(self) -> list[dg.AssetKey]:
        """What a run for this edge materializes."""
        return [dg.AssetKey(self.downstream.name.split("/")), *self.beside]

    def stale(self) -> set[date]:
        """The downstream days whose upstream days have changed since, or that are missing."""
        return stale_days(
            self.upstream.marks(),
            self.downstream.marks(),
            self.upstream.name,
            self.reach,
            SlotsOf(self.partitions),
        )


Refusing = Callable[[duckdb.DuckDBPyConnection, Lake, str, Between], dict[date, str]]
"""Which days of a downstream table can't be built, because they read withheld days, and why."""


def refresh_sensor(
    group: str, edges: Callable[[Lake], Sequence[Edge]], refusing: Refusing
) -> dg.SensorDefinition:
    """Changed upstream tables -> the tiles, then the snapshots, of the days that read them.

    Days that read withheld days are not asked for until those are mended or waived.
    """
    jobs = {
        edge.downstream.name: dg.define_asset_job(
            edge.downstream.name.replace("/", "_"),
            selection=dg.AssetSelection.assets(*edge.assets),
        )
        for edge in edges(Lake(""))
    }

    @dg.sensor(
        name=f"{group}_refresh",
        description=f"Asks for the tiles and snapshots of {group} whose events have changed.",
        jobs=list(jobs.values()),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def refresh(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        reasons: dict[date, str] = {}
        for edge in edges(lake.lake):
            with connection(duckdb) as con:
                stale, refused = buildable_days(con, lake.lake, edge, refusing)
            reasons |= refused
            if stale:
                outcomes = [
                    ask(
                        context.instance,
                        request_key(
                            edge.downstream.name,
                            [first, last, edge.upstream.version, edge.downstream.version],
                        ),
                        between=(first, last),
                        job=jobs[edge.downstream.name].name,
                    )
                    for first, last in as_ranges(stale)
                ]
                return answer(outcomes, "")
        if reasons:
            named = "; ".join(f"{day}: {why}" for day, why in sorted(reasons.items())[:3])
            return dg.SkipReason(
                f"{len(reasons)} days can't be built until withheld days are mended: {named}"
            )
        return dg.SkipReason("tiles and snapshots are as new as their events")

    return refresh


def buildable_days(
    con: duckdb.DuckDBPyConnection, lake: Lake, edge: Edge, refusing: Refusing
) -> tuple[set[date], dict[date, str]]:
    """The stale days of a table that can be built now, and those that can't, with the reasons."""
    stale = edge.stale()
    if not stale:
        return set(), {}
    refused = refusing(con, lake, edge.downstream.name, (min(stale), max(stale)))
    return stale - set(refused), {day: why for day, why in refused.items() if day in stale}
