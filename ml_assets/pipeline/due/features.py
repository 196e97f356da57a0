"""Which days of tiles and snapshots are due: those whose events have changed since, as far as they can be built."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import duckdb

from ml_assets.lake import Lake, Table, stale_days
from ml_assets.project.calendar import Calendar
from ml_assets.project.group import Group


@dataclass(frozen=True)
class Edge:
    """A table that is built from another: downstream day D reads upstream days D + reach[0] to D + reach[1]."""

    upstream: Table
    downstream: Table
    reach: tuple[int, int]
    calendar: Calendar
    assets: tuple[str, ...]
    """What a run for this edge materializes: ``folder/asset``."""

    def stale(self) -> set[date]:
        """The downstream days whose upstream days have changed since, or that are missing."""
        return stale_days(
            self.upstream.marks(),
            self.downstream.marks(),
            self.upstream.name,
            self.reach,
            self.calendar,
        )


def edges(group: Group, lake: Lake) -> list[Edge]:
    """What is built from what, in order: tiles from events, snapshots from tiles."""
    tiles, snapshot, late_by = group.tiles(lake), group.snapshot(lake), group.late_by
    return [
        *(
            Edge(events, tiles, (-late_by[name], 0), group.days, (tiles.name,))
            for name, events in group.events(lake).items()
        ),
        Edge(tiles, snapshot, group.reach, group.as_ofs, (snapshot.name, group.catalogue(lake).name)),
    ]


def buildable_days(
    con: duckdb.DuckDBPyConnection, lake: Lake, group: Group, edge: Edge
) -> tuple[set[date], dict[date, str]]:
    """The stale days of a table that can be built now, and those that can't, with the reasons."""
    stale = edge.stale()
    if not stale:
        return set(), {}
    refused = group.refused(con, lake, edge.downstream.name, (min(stale), max(stale)))
    return stale - set(refused), {day: why for day, why in refused.items() if day in stale}


def current(group: Group, lake: Lake, as_ofs: Sequence[date]) -> list[date]:
    """Those of ``as_ofs`` that read no events which have changed since."""
    *to_tiles, to_snapshots = (edge.stale() for edge in edges(group, lake))
    tiles = set[date]().union(*to_tiles)
    return [day for day in as_ofs if day not in to_snapshots and not any(tile < day for tile in tiles)]
