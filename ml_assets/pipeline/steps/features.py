"""What the assets of a feature group do: tiles from events, snapshots from tiles, and the catalogue of a snapshot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from ml_assets.features.catalogue import catalogue
from ml_assets.features.store import write_snapshots, write_tiles
from ml_assets.features.tables import CATALOGUE
from ml_assets.lake import Between, Lake, as_ranges, days, records
from ml_assets.pipeline.run import CannotRun, Run
from ml_assets.project.group import Group


@dataclass(frozen=True)
class Built:
    """What became of the days of a range."""

    days: Sequence[date]
    """The days that were built, in order."""
    refused: Mapping[date, str]
    """The days that can't be built yet, with the reasons."""
    rows: int


def build_tiles(
    con: duckdb.DuckDBPyConnection, run: Run, group: Group, lake: Lake, between: Between
) -> Built:
    """Build the tiles that became available on the days ``between``, where no day they read is withheld."""
    events, table = group.events(lake), group.tiles(lake)
    made = run.made(*events.values())

    def build(part: Between) -> int:
        return write_tiles(con, group.features, events, table, part, group.late_by, made)

    return _build(group.refused(con, lake, table.name, between), between, build)


def build_snapshots(
    con: duckdb.DuckDBPyConnection, run: Run, group: Group, lake: Lake, between: Between
) -> Built:
    """Build the snapshots of the as_ofs ``between``, where no day they read is withheld."""
    tiles, table = group.tiles(lake), group.snapshot(lake)
    made = run.made(tiles)

    def build(part: Between) -> int:
        return write_snapshots(con, group.features, tiles, table, part, group.reach, made)

    return _build(group.refused(con, lake, table.name, between), between, build)


def _build(refused: Mapping[date, str], between: Between, build: Callable[[Between], int]) -> Built:
    built = [day for day in days(*between) if day not in refused]
    rows = sum(build(part) for part in as_ranges(set(built)))
    return Built(built, refused, rows)


@dataclass(frozen=True)
class Catalogued:
    """The catalogue of the newest as_of."""

    as_of: date
    rows: list[dict[str, Any]]


def build_catalogue(con: duckdb.DuckDBPyConnection, run: Run, group: Group, lake: Lake) -> Catalogued:
    """Write what every feature means and how its values lie at the newest as_of. Raises CannotRun without a snapshot.

    And at the as_ofs that were the newest once, where their snapshots have changed since.
    """
    snapshot, table = group.snapshot(lake), group.catalogue(lake)
    made = run.made(snapshot)
    newest = None
    if snapshot.exists:
        [(newest,)] = snapshot.read(con, columns=["as_of"]).aggregate("max(as_of)").fetchall()
    if newest is None:
        raise CannotRun(f"{snapshot.name} has no rows yet. Materialize a partition of it first.")
    now, written = snapshot.marks(), table.marks()
    changed = {
        as_of
        for as_of, mark in now.items()
        if as_of in written and (mark.changed or 0) > written[as_of].read.get(snapshot.name, -1)
    }
    rows: list[dict[str, Any]] = []
    for as_of in sorted({*changed, newest}):
        rows = catalogue(
            con,
            group.features,
            group.feature_types,
            snapshot.read(con, between=(as_of, as_of)),
            as_of,
            owners=group.owners,
            models=group.models,
        )
        table.update(con, records(con, rows, CATALOGUE.types), between=(as_of, as_of), provenance=made)
    return Catalogued(newest, rows)
