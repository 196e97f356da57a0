"""Sensors: new landing files, stale features, new days to score, drift evidence, failed runs.

Each compares what is recorded in the lake with what there is, so a lost cursor costs time, never a run
too many or too few. All start running with the code location; stop one in the UI to take over by hand.
"""

import json
from collections.abc import Callable, Sequence
from datetime import date, timedelta

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ml_assets.components.partitions import as_ranges, days
from ml_assets.components.requests import UNFINISHED, answer, ask, request_key, stale_days
from ml_assets.components.resources import LakeResource, connection
from ml_assets.lake import Between, Lake
from ml_assets.landing import LandingFolder, NoLandingFiles, content_hash
from ml_assets.landing.raw import SourceTables, seen_files

BRIDGED = timedelta(days=7)
"""Ranges with at most this much between them become one run: a closed day is no reason for two."""


def landing_sensor(
    source: str, folder: LandingFolder, partitions: dg.DailyPartitionsDefinition, late_days: int
) -> dg.SensorDefinition:
    """New or changed landing files -> raw, events and quarantine of the days they touch."""
    assets = [dg.AssetKey([source, name]) for name in ("raw", "events", "quarantine")]

    @dg.sensor(
        name=f"{source}_landing",
        description=f"Asks for the days that new or changed landing files of {source} touch.",
        target=dg.AssetSelection.assets(*assets),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def landing(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            files = folder.files()
        except NoLandingFiles as error:
            return dg.SkipReason(str(error))
        known = json.loads(context.cursor) if context.cursor else {}
        prints = {str(day): f"{file.size}:{file.mtime_ns}" for day, file in files.items()}
        looked_at = [day for day in files if known.get(str(day)) != prints[str(day)]]
        tables = SourceTables.of(lake.lake, source)
        with connection(duckdb) as con:
            seen = seen_files(con, tables.files) if looked_at else {}
        hashes = {day: content_hash(files[day].path) for day in looked_at}
        new = {day for day in looked_at if day not in seen or seen[day].last != hashes[day]}
        context.update_cursor(
            json.dumps({d: p for d, p in prints.items() if date.fromisoformat(d) not in new})
        )
        outside = {day for day in new if not partitions.has_partition_key(day.isoformat())}
        is_running = _in_flight(context.instance, assets[1])
        left = set() if is_running else unread_days(tables, late_days, partitions)
        facts = {day: [day, hashes[day], seen[day].versions if day in seen else 0] for day in new}
        facts |= {day: [day, tables.raw.version, tables.events.version] for day in left - new}
        outcomes = [
            ask(
                context.instance,
                request_key(f"{source}/landing", [facts[d] for d in sorted(facts) if first <= d <= last]),
                between=(max(first - timedelta(days=late_days), partitions.start.date()), last),
                assets=assets,
            )
            for first, last in as_ranges((new - outside) | left, BRIDGED)
        ]
        names = ", ".join(files[day].path.name for day in sorted(outside)[:5])
        more = f" and {len(outside) - 5} more" if len(outside) > 5 else ""
        strange = f"; of days outside the source's partitions: {names}{more}" if outside else ""
        return answer(outcomes, f"no new or changed file among {len(files)} in {folder.path}{strange}")

    return landing


def unread_days(tables: SourceTables, late_days: int, partitions: dg.DailyPartitionsDefinition) -> set[date]:
    """The landing days whose rows in raw events has not read: a run that ended between the two leaves them."""
    raw, events = tables.raw.history(), tables.events.history()
    landed = {day for commit in raw if commit.between for day in days(*commit.between)}
    return landed & {
        day + timedelta(days=n)
        for n in range(late_days + 1)
        for day in stale_days(raw, events, tables.raw.name, (n, n), partitions)
    }


def _in_flight(instance: dg.DagsterInstance, asset: dg.AssetKey) -> bool:
    """Whether an unfinished run was started for the asset."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return any(asset in (run.asset_selection or ()) for run in runs)


Withheld = Callable[[duckdb.DuckDBPyConnection, Lake, Between], dict[date, str]]
"""Which days of a range break a blocking rule of the contract, and how."""


def refresh_sensor(
    group: str,
    edges: Sequence[tuple[str, str, tuple[int, int]]],
    tables: dict[str, str],
    partitions: dict[str, dg.DailyPartitionsDefinition],
    withheld: Withheld,
) -> dg.SensorDefinition:
    """Changed upstream tables -> the tiles, then the snapshots, of the days that read them.

    ``edges`` are (upstream table, downstream table, reach) from first to last, ``tables`` the partition
    column of each table, ``partitions`` the days of each downstream one. Days that are ``withheld`` make no
    tiles until they are mended.
    """
    jobs = {
        downstream: dg.define_asset_job(
            downstream.replace("/", "_"),
            selection=dg.AssetSelection.assets(dg.AssetKey(downstream.split("/"))),
        )
        for _, downstream, _ in edges
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
        for upstream, downstream, reach in edges:
            above, below = (lake.lake.table(name, tables[name]) for name in (upstream, downstream))
            stale = stale_days(above.history(), below.history(), upstream, reach, partitions[downstream])
            if stale and upstream == edges[0][0]:
                with connection(duckdb) as con:
                    broken = withheld(con, lake.lake, (min(stale), max(stale)))
                reasons = {day: why for day, why in broken.items() if day in stale}
                stale -= set(reasons)
            if stale:
                outcomes = [
                    ask(
                        context.instance,
                        request_key(downstream, [first, last, above.version, below.version]),
                        between=(first, last),
                        job=jobs[downstream].name,
                    )
                    for first, last in as_ranges(stale)
                ]
                return answer(outcomes, "")
        if reasons:
            named = "; ".join(f"{day}: {why}" for day, why in sorted(reasons.items())[:3])
            return dg.SkipReason(f"{len(reasons)} days break their contract and make no tiles: {named}")
        return dg.SkipReason("tiles and snapshots are as new as their events")

    return refresh
