"""The features of a spine, from the tables of a lake, a bounded number of rows at a time."""

from collections.abc import Mapping
from datetime import date, timedelta

import duckdb

from ml_assets.features.coverage import check_covered, days_of
from ml_assets.features.errors import FeatureError
from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.queries.schema import snapshot_schema
from ml_assets.features.queries.spine import ROW, spine_query
from ml_assets.features.queries.tiles import events_of
from ml_assets.features.spec import unknown
from ml_assets.lake import Table
from ml_assets.lake.sql import quote

CHUNK = 250_000
"""Rows of a spine that are worked on at a time."""
TURN = "__turn"
"""The column that numbers the rows by time, so that those worked on together read few days."""
MOMENTS = ("TIMESTAMP WITH TIME ZONE", "DATE")
DAY = timedelta(days=1)


def features_at(
    con: duckdb.DuckDBPyConnection,
    features: FeatureSet,
    spine: duckdb.DuckDBPyRelation,
    *,
    events: Mapping[str, Table],
    tiles: Table,
    reach: Mapping[str, int],
    versions: Mapping[str, int] | None = None,
) -> duckdb.DuckDBPyRelation:
    """The rows of ``spine``, in their order, each with the features of its entity at its ``as_of``.

    ``spine`` has the entity's columns and ``as_of``: a time stamp with a time zone, or a DATE, which is its
    00:00 UTC; other columns stay as they are. ``events`` is the table of each source, ``reach`` how many days can
    lie between its events and their availability, ``versions`` the version to read of a table by its name (default:
    the newest). Raises FeatureError where the spine lacks a column, has one that is named like a feature, has an
    as_of that is empty or without a time zone, or asks for days that are not in the tables.
    """
    _check_columns(spine, features)
    con.execute(f"CREATE OR REPLACE TEMP TABLE asked_spine AS {_numbered(spine)}")
    _check_rows(con, features)
    given = dict(versions or {})
    types = {column: kind for column, kind in snapshot_schema(features).items() if column in features.columns}
    declared = ", ".join([f"{ROW} BIGINT", *(f"{quote(column)} {kind}" for column, kind in types.items())])
    con.execute(f"CREATE OR REPLACE TEMP TABLE found_features ({declared})")
    query = spine_query(features)
    looks_back = any(not each.windowed for each in features.aggregations)
    covered: dict[str, set[date]] = {table.name: days_of(table, given) for table in (*events.values(), tiles)}
    keys = ", ".join(
        f"CAST({quote(name)} AS {kind}) AS {quote(name)}" for name, kind in features.entity_types.items()
    )
    for start in range(0, _count(con), CHUNK):
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE spine AS SELECT {ROW}, {keys}, "
            f"CAST(as_of AS TIMESTAMPTZ) AS as_of FROM asked_spine "
            f"WHERE {TURN} >= {start} AND {TURN} < {start + CHUNK}"
        )
        [(first, newest, at_midnight)] = con.execute(
            "SELECT CAST(min(as_of) AS DATE), CAST(max(as_of) AS DATE), max(as_of) = date_trunc('day', max(as_of)) "
            "FROM spine"
        ).fetchall()
        check_covered(tiles, covered[tiles.name], newest - DAY)
        for source, table in events.items():
            check_covered(table, covered[table.name], newest - DAY if at_midnight else newest)
            back = max(reach[source], features.longest_window) * DAY
            read = table.read(con, between=(first - back, newest), version=given.get(table.name))
            read.create_view(events_of(source), replace=True)
        earliest = date.min if looks_back else first - features.longest_window * DAY
        tiles.read(con, between=(earliest, newest - DAY), version=given.get(tiles.name)).create_view(
            "tiles", replace=True
        )
        con.execute(f"INSERT INTO found_features BY NAME {query}")
    kept = ", ".join(f"asked_spine.{quote(column)}" for column in spine.columns)
    named = ", ".join(f"found_features.{quote(column)}" for column in features.columns)
    return con.sql(
        f"SELECT {kept}, {named} FROM asked_spine JOIN found_features USING ({ROW}) ORDER BY {ROW}"
    )


def _numbered(spine: duckdb.DuckDBPyRelation) -> str:
    spine.create_view("given_spine", replace=True)
    rows = f"SELECT row_number() OVER () - 1 AS {ROW}, * FROM given_spine"
    return f"SELECT *, row_number() OVER (ORDER BY as_of, {ROW}) - 1 AS {TURN} FROM ({rows})"


def _count(con: duckdb.DuckDBPyConnection) -> int:
    [(rows,)] = con.execute("SELECT count(*) FROM asked_spine").fetchall()
    return int(rows)


def _check_columns(spine: duckdb.DuckDBPyRelation, features: FeatureSet) -> None:
    types = dict(zip(spine.columns, map(str, spine.types), strict=True))
    for column in (*features.entity, "as_of"):
        if column not in types:
            raise FeatureError(f"the spine has {unknown(column, types)}", column)
    for column in features.columns:
        if column in types:
            raise FeatureError(
                f"the spine has a column {column}, which is a feature: rename or drop it", column
            )
    if types["as_of"].startswith("TIMESTAMP") and types["as_of"] not in MOMENTS:
        raise FeatureError(
            "the spine's as_of has no time zone, so it names no moment. Say which it is, for example "
            "frame['as_of'].dt.tz_localize('Europe/London') in pandas, or as_of AT TIME ZONE 'UTC' in SQL",
            "as_of",
        )
    if types["as_of"] not in MOMENTS:
        raise FeatureError(
            f"the spine's as_of is a {types['as_of']}; expected a time stamp with a time zone, or a DATE for "
            "00:00 UTC of that day",
            "as_of",
        )


def _check_rows(con: duckdb.DuckDBPyConnection, features: FeatureSet) -> None:
    [(rows, empty)] = con.execute(
        "SELECT count(*), count(*) FILTER (WHERE as_of IS NULL) FROM asked_spine"
    ).fetchall()
    if empty:
        raise FeatureError(
            f"{empty} of {rows} rows of the spine have no as_of; give each its moment", "as_of"
        )
    for column, kind in features.entity_types.items():
        [(wrong, example)] = con.execute(
            f"SELECT count(*), min(CAST({quote(column)} AS VARCHAR)) FROM asked_spine "
            f"WHERE {quote(column)} IS NOT NULL AND TRY_CAST({quote(column)} AS {kind}) IS NULL"
        ).fetchall()
        if wrong:
            raise FeatureError(
                f"{wrong} of {rows} rows of the spine have a {column} that is no {kind}, for example {example!r}",
                column,
            )
