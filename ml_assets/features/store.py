"""Write tiles and snapshots of a range of days to the lake."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

import duckdb

from ml_assets.features.entity import Entity
from ml_assets.features.errors import FeatureError
from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.queries.snapshots import snapshot_query
from ml_assets.features.queries.tiles import AVAILABLE_DATE, events_of, part_columns, tiles_query
from ml_assets.instance.progress import advance
from ml_assets.lake import Between, Provenance, Table, confined, count, seal
from ml_assets.lake.errors import Damaged, Overtaken
from ml_assets.lake.sql import quote

DAY = timedelta(days=1)
ROWS = 2_000_000
"""Rows of a snapshot that are worked on at a time."""


def write_tiles(
    con: duckdb.DuckDBPyConnection,
    features: FeatureSet,
    events: Mapping[str, Table],
    tiles: Table,
    between: Between,
    reach: Mapping[str, int],
    provenance: Provenance,
    only: Collection[str] = (),
) -> int:
    """Build the tiles that became available on the days ``between``; return their number.

    Days whose tiles are as before are left untouched, so that no snapshot is built again for them. Where only some
    columns are due, ``only`` names them: the others are copied from what is stored.

    ``events`` is the table of each source, ``reach`` how many days can lie between its events and their
    availability; one that lies further back raises FeatureError, as its tile would be lost.
    """
    first, last = between

    def read(apart: duckdb.DuckDBPyConnection) -> None:
        for source, table in events.items():
            rows = table.read(apart, between=(first - timedelta(days=reach[source]), last))
            rows.create_view(events_of(source))
            _check_late(apart, source, last, reach[source])

    def compute(apart: duckdb.DuckDBPyConnection, wanted: FeatureSet) -> None:
        apart.execute(
            f"CREATE TEMP TABLE new_rows AS SELECT * FROM ({tiles_query(wanted)}) "
            f"WHERE available_date BETWEEN DATE '{first}' AND DATE '{last}'"
        )

    keys = [*features.entity, "event_date", "available_date"]
    build = _Build(con, tiles, between, keys, list(part_columns(features)), provenance, read, compute)
    # Tiles of several sources can have the same keys, so that they can't be told apart.
    if only and len(features.sources) == 1:
        due = [
            each
            for each in features.features
            if each.aggregation and set(only) & set(each.aggregation.columns)
        ]
        wanted = features.only({column for feature in due for column in feature.columns})
        written = build.write_only(wanted, list(part_columns(wanted)))
        if written is not None:
            return written
    return build.write(features)


def _check_late(con: duckdb.DuckDBPyConnection, source: str, last: date, reach: int) -> None:
    """Raise FeatureError where an event, available by the day ``last``, came later than ``reach`` days."""
    ((late,),) = con.execute(
        f"SELECT max({AVAILABLE_DATE} - event_date) FROM {quote(events_of(source))} WHERE {AVAILABLE_DATE} <= ?",
        [last],
    ).fetchall()
    if late is not None and late > reach:
        raise FeatureError(
            f"An event of {source} became available {late} days after it happened, but {reach} days are declared. "
            "Raise landing.late_days in the source's defs.yaml."
        )


def write_snapshots(
    con: duckdb.DuckDBPyConnection,
    features: FeatureSet,
    tiles: Table,
    snapshot: Table,
    between: Between,
    reach: tuple[int, int],
    provenance: Provenance,
    only: Collection[str] = (),
) -> int:
    """Build the snapshots of the days ``between``; those that are as before stay untouched; return their rows.

    So many days, and of one day so many entities, are worked on at a time as make about ``ROWS`` rows. A commit
    holds whole days. Where only some columns are due, ``only`` names them: the others are copied from what is stored.
    """
    first, last = between
    back, ahead = (timedelta(days=days) for days in reach)
    earliest = date.fromordinal(max(1, (first.toordinal() + back.days)))
    needed, keys = (earliest, last + ahead), [*features.entity, "as_of"]
    found = tiles.read(con, between=needed).aggregate(f"approx_count_distinct(hash({features.entity}))")
    [(entities,)] = found.fetchall()
    days, parts = timedelta(days=max(1, ROWS // max(1, entities))), -(-entities // ROWS) or 1
    rows, asked = 0, (last - first).days + 1

    def read(apart: duckdb.DuckDBPyConnection) -> None:
        tiles.read(apart, between=needed).create_view("all_tiles")

    while first <= last:
        advance("days", asked - (last - first).days - 1, asked)
        part = (first, min(last, first + days - DAY))
        compute = partial(_compute, between=part, newest=part[1] + ahead, parts=parts)
        build = _Build(con, snapshot, part, keys, features.columns, provenance, read, compute)
        written = build.write_only(features.only(only), only) if only else None
        rows += build.write(features) if written is None else written
        first = part[1] + DAY
    return rows


def _compute(
    con: duckdb.DuckDBPyConnection, features: FeatureSet, between: Between, newest: date, parts: int
) -> None:
    """The snapshots of the days ``between`` as the table ``new_rows``, from tiles up to ``newest``."""
    query = snapshot_query(features, *between)
    for part in range(parts):
        own = f"available_date <= DATE '{newest}'" + (
            f" AND hash({features.entity}) % {parts} = {part}" if parts > 1 else ""
        )
        con.sql(f"SELECT * FROM all_tiles WHERE {own}").create_view("tiles", replace=True)
        into = "INSERT INTO new_rows" if part else "CREATE TEMP TABLE new_rows AS"
        con.execute(f"{into} {query}")


@dataclass(frozen=True)
class _Build:
    """Some days of a table, computed in a connection of their own and written in one commit; ``con`` reads the table.

    ``read`` gives that connection what the features need, ``compute`` makes the table ``new_rows`` of it.
    """

    con: duckdb.DuckDBPyConnection
    table: Table
    days: Between
    keys: Collection[str]
    columns: Collection[str]
    provenance: Provenance
    read: Callable[[duckdb.DuckDBPyConnection], None]
    compute: Callable[[duckdb.DuckDBPyConnection, FeatureSet], None]

    def write(self, features: FeatureSet) -> int:
        """Compute and write every column; return the number of rows."""
        with confined() as apart:
            self.read(apart)
            seal(apart)
            self.compute(apart, features)
            rows = apart.table("new_rows")
            self.table.update(self.con, rows, between=self.days, provenance=self.provenance)
            return count(rows)

    def write_only(self, features: FeatureSet, only: Collection[str]) -> int | None:
        """Compute the columns ``only`` and write them beside the others as they are; None where that doesn't fit.

        It doesn't where there are other rows now, a file can't be read, or somebody has written the table meanwhile.
        Returns the number of rows.
        """
        version = self.table.version
        others = [column for column in self.columns if column not in only]
        try:
            with confined() as apart:
                self.read(apart)
                stored = self.table.read(
                    apart, columns=[*self.keys, *others], between=self.days, version=version
                )
                stored.create_view("stored_rows")
                seal(apart)
                self.compute(apart, features)
                rows = self._copied(apart, only)
                if rows is None:
                    return None
                self.table.update(
                    self.con, rows, between=self.days, provenance=self.provenance, after=version
                )
                return count(rows)
        except (Damaged, Overtaken, duckdb.Error):
            return None

    def _copied(
        self, con: duckdb.DuckDBPyConnection, only: Collection[str]
    ) -> duckdb.DuckDBPyRelation | None:
        """The new rows with all columns but ``only`` as they are stored; None where other rows are."""
        listed = [f"new_rows.{quote(column)}" for column in self.keys]
        listed += [
            f"{'new_rows' if column in only else 'stored_rows'}.{quote(column)}" for column in self.columns
        ]
        con.execute(
            f"CREATE TEMP TABLE copied_rows AS SELECT {', '.join(listed)}, "
            f"stored_rows.{quote(self.table.partition_by[0])} IS NOT NULL AS __is_stored "
            f"FROM new_rows LEFT JOIN stored_rows ON {Entity(*self.keys).equal('new_rows', 'stored_rows')}"
        )
        [(fits,)] = con.execute(
            "SELECT coalesce(bool_and(__is_stored), TRUE) AND count(*) = (SELECT count(*) FROM stored_rows) "
            "FROM copied_rows"
        ).fetchall()
        return con.sql("SELECT * EXCLUDE (__is_stored) FROM copied_rows") if fits else None
