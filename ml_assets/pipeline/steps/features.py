"""What the assets of a feature group do: tiles from events, snapshots from tiles, and the catalogue of a snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from ml_assets.features.catalogue import catalogue
from ml_assets.features.store import write_snapshots, write_tiles
from ml_assets.features.tables import CATALOGUE
from ml_assets.lake import Between, Lake, Table, as_ranges, days, records
from ml_assets.lake.definition import ROWS
from ml_assets.pipeline.due.adoption import adopt
from ml_assets.pipeline.due.features import Edge, edges_to, waiting
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
    adopt(con, run, lake, group)
    events, table = group.events(lake), group.tiles(lake)
    made = run.made(*events.values()).following(group.tile_definitions)
    refused = _refused(con, group, lake, table, between)
    built = [day for day in days(*between) if day not in refused]
    if built:
        table.retype(con, group.schemas["tiles"].types, run.made())
    rows = sum(
        write_tiles(con, group.features, events, table, part, group.late_by, made, only)
        for only, wanted in _by_columns(built, edges_to(table, group, lake)).items()
        for part in as_ranges(wanted)
    )
    return Built(built, refused, rows)


def build_snapshots(
    con: duckdb.DuckDBPyConnection, run: Run, group: Group, lake: Lake, between: Between
) -> Built:
    """Build the snapshots of the as_ofs ``between``, where no day they read is withheld."""
    adopt(con, run, lake, group)
    tiles, table = group.tiles(lake), group.snapshot(lake)
    made = run.made(tiles).following(group.definitions)
    refused = _refused(con, group, lake, table, between)
    built = [day for day in days(*between) if day not in refused]
    if built:
        table.retype(con, group.schemas["snapshot"].types, run.made())
    rows = sum(
        write_snapshots(con, group.features, tiles, table, part, group.reach, made, only)
        for only, wanted in _by_columns(built, edges_to(table, group, lake)).items()
        for part in as_ranges(wanted)
    )
    return Built(built, refused, rows)


def _by_columns(days: Sequence[date], edges: Sequence[Edge]) -> dict[frozenset[str], set[date]]:
    """The days of a table by the columns that are due of them; none in particular where all are to be computed."""
    stale = set[date]().union(*(edge.stale() for edge in edges))
    redefined = [edge.redefined() for edge in edges]
    together: dict[frozenset[str], set[date]] = {}
    for day in days:
        names = frozenset[str]().union(*(found.get(day, frozenset()) for found in redefined))
        in_part = day not in stale and ROWS not in names
        together.setdefault(names if in_part else frozenset(), set()).add(day)
    return together


def _refused(
    con: duckdb.DuckDBPyConnection, group: Group, lake: Lake, table: Table, between: Between
) -> dict[date, str]:
    """The days ``between`` of a table that can't be built, or not yet, with the reasons."""
    refused = group.refused(con, lake, table.name, between) | waiting(group, lake, table, days(*between))
    return dict(sorted(refused.items()))


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
        if as_of in written
        and max(mark.changed or 0, *mark.parts.values(), 0) > written[as_of].read.get(snapshot.name, -1)
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
            definitions=group.definitions,
        )
        table.update(con, records(con, rows, CATALOGUE.types), between=(as_of, as_of), provenance=made)
    return Catalogued(newest, rows)
