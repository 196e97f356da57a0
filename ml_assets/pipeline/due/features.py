"""Which days of tiles and snapshots are due: those whose events or whose definitions have changed since."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import duckdb

from ml_assets.lake import Lake, Mark, Table, redefined_slots, stale_days
from ml_assets.lake.definition import Definitions, redefined
from ml_assets.pipeline.due.landing import redefined_events
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
    definitions: Definitions
    """What is declared of the downstream table."""
    readers: Mapping[str, Collection[str]]
    """The downstream columns that read an upstream column, by its name; where columns are read one by one."""
    above: Callable[[], Collection[date]]
    """The upstream days that are due themselves for another definition."""

    def stale(self) -> set[date]:
        """The downstream days whose upstream days have changed since, or that are missing."""
        return stale_days(
            self.upstream.marks(),
            self.downstream.marks(),
            self.upstream.name,
            self.reach,
            self.calendar,
        )

    def redefined(self) -> dict[date, frozenset[str]]:
        """The downstream days of which some columns are due, with their names.

        They were built by other definitions, or what they read was: of a definition that comes back, the values may
        be others than those that were read when it went. Days that read upstream days which were deleted for their
        age can't be built again, and stay as they are.
        """
        gone = max((day for day, mark in self.upstream.marks().items() if mark.gone), default=None)
        found = redefined_slots(self.downstream.marks(), partial(redefined, declared=self.definitions))
        for columns, days in self._parts():
            for day in days & set(self.downstream.marks()):
                found[day] = found.get(day, frozenset()).union(columns)
        return {
            day: names
            for day, names in found.items()
            if self.calendar.has(day) and (gone is None or (day - gone).days + self.reach[0] > 0)
        }

    def _parts(self) -> Iterator[tuple[Collection[str], set[date]]]:
        """The downstream columns that read an upstream column which changed alone since, with the days."""
        name, built = self.upstream.name, self.downstream.marks()
        oldest = min((mark.read.get(name, -1) for mark in built.values()), default=-1)
        upstream = self.upstream.marks()
        columns = {
            column
            for mark in upstream.values()
            for column, version in mark.parts.items()
            if version > oldest and column in self.readers
        }
        for column in columns:
            changed = {day: Mark(mark.parts.get(column, -1), {}) for day, mark in upstream.items()}
            yield self.readers[column], stale_days(changed, built, name, self.reach, self.calendar)

    def due(self) -> set[date]:
        """The downstream days that are due, for whichever reason."""
        return self.stale() | set(self.redefined())

    def waiting(self, days: Collection[date]) -> dict[date, str]:
        """Those of ``days`` that read upstream days which are due for another definition, with the reasons."""
        above = sorted(day.toordinal() for day in self.above())
        found = {}
        for day in days:
            first = bisect_left(above, day.toordinal() + self.reach[0])
            if first < len(above) and above[first] <= day.toordinal() + self.reach[1]:
                read = date.fromordinal(above[first])
                found[day] = (
                    f"it reads {self.upstream.name} of {read}, which follows another definition than what is declared "
                    "now; `ml-assets materialize` builds both"
                )
        return found


def edges(group: Group, lake: Lake) -> list[Edge]:
    """What is built from what, in order: tiles from events, snapshots from tiles."""
    tiles, snapshot, late_by = group.tiles(lake), group.snapshot(lake), group.late_by
    to_tiles = [
        Edge(
            events,
            tiles,
            (-late_by[name], 0),
            group.days,
            (tiles.name,),
            group.tile_definitions,
            {},
            partial(redefined_events, group.sources[name], lake),
        )
        for name, events in group.events(lake).items()
    ]
    to_snapshot = Edge(
        tiles,
        snapshot,
        group.reach,
        group.as_ofs,
        (snapshot.name, group.catalogue(lake).name),
        group.definitions,
        group.features.readers,
        lambda: {day for edge in to_tiles for day in edge.redefined()},
    )
    return [*to_tiles, to_snapshot]


def edges_to(table: Table, group: Group, lake: Lake) -> list[Edge]:
    """The edges that lead to a table."""
    return [edge for edge in edges(group, lake) if edge.downstream.name == table.name]


def waiting(group: Group, lake: Lake, table: Table, days: Collection[date]) -> dict[date, str]:
    """Those of ``days`` of a table that read what is due for another definition, with the reasons."""
    found: dict[date, str] = {}
    for edge in edges_to(table, group, lake):
        found |= edge.waiting(days)
    return found


def buildable_days(
    con: duckdb.DuckDBPyConnection, lake: Lake, group: Group, edge: Edge
) -> tuple[set[date], dict[date, str]]:
    """The days of a table that are due and can be built now, and those that can't, with the reasons."""
    due = edge.due()
    if not due:
        return set(), {}
    refused = group.refused(con, lake, edge.downstream.name, (min(due), max(due)))
    refused |= waiting(group, lake, edge.downstream, due)
    return due - set(refused), {day: why for day, why in refused.items() if day in due}


def current(group: Group, lake: Lake, as_ofs: Sequence[date]) -> list[date]:
    """Those of ``as_ofs`` that read no events which have changed since, and follow what is declared."""
    *to_tiles, to_snapshots = (edge.due() for edge in edges(group, lake))
    tiles = set[date]().union(*to_tiles)
    return [day for day in as_ofs if day not in to_snapshots and not any(tile < day for tile in tiles)]
