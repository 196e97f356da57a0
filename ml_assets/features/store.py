"""Write tiles and snapshots of a range of days to the lake."""

from collections.abc import Collection, Mapping
from datetime import date, timedelta

import duckdb

from ml_assets.features.entity import Entity
from ml_assets.features.errors import FeatureError
from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.queries.snapshots import snapshot_query
from ml_assets.features.queries.tiles import AVAILABLE_DATE, events_of, part_columns, tiles_query
from ml_assets.instance.progress import advance
from ml_assets.lake import Between, Provenance, Table, count
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
    for source, table in events.items():
        read = table.read(con, between=(first - timedelta(days=reach[source]), last))
        read.create_view(events_of(source), replace=True)
        ((late,),) = con.execute(
            f"SELECT max({AVAILABLE_DATE} - event_date) FROM {quote(events_of(source))} WHERE {AVAILABLE_DATE} <= ?",
            [last],
        ).fetchall()
        if late is not None and late > reach[source]:
            raise FeatureError(
                f"An event of {source} became available {late} days after it happened, but {reach[source]} days are "
                "declared. Raise landing.late_days in the source's defs.yaml."
            )
    if not _tiles_in_part(con, features, only, tiles, between, provenance):
        _compute_tiles(con, features, between)
        tiles.update(con, con.table("new_tiles"), between=between, provenance=provenance)
    return count(con.table("new_tiles"))


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
    tiles.read(con, between=(earliest, last + ahead)).create_view("all_tiles", replace=True)
    [(entities,)] = con.execute(
        f"SELECT approx_count_distinct(hash({features.entity})) FROM all_tiles"
    ).fetchall()
    days, parts = timedelta(days=max(1, ROWS // max(1, entities))), -(-entities // ROWS) or 1
    rows, asked = 0, (last - first).days + 1
    while first <= last:
        advance("days", asked - (last - first).days - 1, asked)
        until = min(last, first + days - DAY)
        part = (first, until)
        if not (
            only and _snapshots_in_part(con, features, only, snapshot, part, until + ahead, parts, provenance)
        ):
            _compute(con, features, part, until + ahead, parts)
            snapshot.update(con, con.table("new_snapshot"), between=part, provenance=provenance)
        rows += count(con.table("new_snapshot"))
        first = until + DAY
    return rows


def _snapshots_in_part(
    con: duckdb.DuckDBPyConnection,
    features: FeatureSet,
    only: Collection[str],
    snapshot: Table,
    between: Between,
    newest: date,
    parts: int,
    provenance: Provenance,
) -> bool:
    """Compute and write the columns ``only`` of snapshots; False where all are to be computed."""
    version, keys = snapshot.version, [*features.entity, "as_of"]
    _compute(con, features.only(only), between, newest, parts)
    return _write_only(
        con, "new_snapshot", keys, features.columns, only, snapshot, between, provenance, version
    )


def _tiles_in_part(
    con: duckdb.DuckDBPyConnection,
    features: FeatureSet,
    only: Collection[str],
    tiles: Table,
    between: Between,
    provenance: Provenance,
) -> bool:
    """Compute and write the columns ``only`` of tiles; False where all are to be computed.

    Tiles of several sources can have the same keys, so that they can't be told apart.
    """
    if not only or len(features.sources) > 1:
        return False
    version, keys = tiles.version, [*features.entity, "event_date", "available_date"]
    due = [
        each for each in features.features if each.aggregation and set(only) & set(each.aggregation.columns)
    ]
    wanted = features.only({column for feature in due for column in feature.columns})
    _compute_tiles(con, wanted, between)
    written = list(part_columns(wanted))
    return _write_only(
        con, "new_tiles", keys, list(part_columns(features)), written, tiles, between, provenance, version
    )


def _compute_tiles(con: duckdb.DuckDBPyConnection, features: FeatureSet, between: Between) -> None:
    """The tiles of the days ``between`` as the table ``new_tiles``."""
    first, last = between
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE new_tiles AS SELECT * FROM ({tiles_query(features)}) "
        f"WHERE available_date BETWEEN DATE '{first}' AND DATE '{last}'"
    )


def _write_only(
    con: duckdb.DuckDBPyConnection,
    new: str,
    keys: Collection[str],
    columns: Collection[str],
    only: Collection[str],
    table: Table,
    between: Between,
    provenance: Provenance,
    version: int | None,
) -> bool:
    """Write the columns ``only`` of the relation ``new`` beside the others as ``version`` has them; False if it doesn't fit.

    It doesn't where there are other rows now, a file can't be read, or somebody has written the table meanwhile.
    """
    others = [column for column in columns if column not in only]
    try:
        stored = table.read(con, columns=[*keys, *others], between=between, version=version)
        stored.create_view("stored_rows", replace=True)
        listed = [f"{new}.{quote(column)}" for column in keys]
        listed += [f"{new if column in only else 'stored_rows'}.{quote(column)}" for column in columns]
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE copied_rows AS SELECT {', '.join(listed)}, "
            f"stored_rows.{quote(table.partition_by[0])} IS NOT NULL AS __is_stored "
            f"FROM {new} LEFT JOIN stored_rows ON {Entity(*keys).equal(new, 'stored_rows')}"
        )
        [(fits,)] = con.execute(
            "SELECT coalesce(bool_and(__is_stored), TRUE) AND count(*) = (SELECT count(*) FROM stored_rows) "
            "FROM copied_rows"
        ).fetchall()
        if not fits:
            return False
        rows = con.sql("SELECT * EXCLUDE (__is_stored) FROM copied_rows")
        table.update(con, rows, between=between, provenance=provenance, after=version)
    except (Damaged, Overtaken, duckdb.Error):
        return False
    return True


def _compute(
    con: duckdb.DuckDBPyConnection, features: FeatureSet, between: Between, newest: date, parts: int
) -> None:
    """The snapshots of the days ``between`` as the table ``new_snapshot``, from tiles up to ``newest``."""
    query = snapshot_query(features, *between)
    for part in range(parts):
        own = f"available_date <= DATE '{newest}'" + (
            f" AND hash({features.entity}) % {parts} = {part}" if parts > 1 else ""
        )
        con.sql(f"SELECT * FROM all_tiles WHERE {own}").create_view("tiles", replace=True)
        into = "INSERT INTO new_snapshot" if part else "CREATE OR REPLACE TEMP TABLE new_snapshot AS"
        con.execute(f"{into} {query}")
