"""The features of a spine, from the tables of a lake, a bounded number of rows at a time."""

from collections.abc import Mapping
from datetime import date, timedelta

import duckdb

from ml_assets.features.coverage import check_covered, days_of
from ml_assets.features.errors import FeatureError
from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.queries.schema import snapshot_types
from ml_assets.features.queries.spine import ROW, spine_query
from ml_assets.features.queries.tiles import events_of
from ml_assets.features.spec import unknown
from ml_assets.lake import Between, Table, confined, create_like, hand_over, seal
from ml_assets.lake.sql import quote

CHUNK = 250_000
"""Rows of a spine that are worked on at a time."""
TURN = "__turn"
"""The column that numbers the rows by time, so that those worked on together read few days."""
NANOSECONDS = "TIMESTAMPTZ_NS"
MOMENTS = ("TIMESTAMP WITH TIME ZONE", NANOSECONDS, "DATE")
NUMBERS = ("DOUBLE", "FLOAT", "DECIMAL")
"""What the names of the types begin with that write a whole number otherwise than a text does."""
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
    _check_rows(con, spine, features)
    read = _Reading(features, events, tiles, reach, dict(versions or {}))
    types = snapshot_types(features)
    columns = [f"{ROW} BIGINT", *(f"{quote(column)} {types[column]}" for column in features.columns)]
    con.execute(f"CREATE OR REPLACE TEMP TABLE found_features ({', '.join(columns)})")
    query = spine_query(features)
    for start in range(0, _count(con), CHUNK):
        with confined() as apart:
            _take_turn(con, apart, features, start)
            read.what_the_spine_needs(apart)
            seal(apart)
            hand_over(apart.sql(query), con, "found_features")
    kept = ", ".join(f"asked_spine.{quote(column)}" for column in spine.columns)
    named = ", ".join(f"found_features.{quote(column)}" for column in features.columns)
    return con.sql(
        f"SELECT {kept}, {named} FROM asked_spine JOIN found_features USING ({ROW}) ORDER BY {ROW}"
    )


def _take_turn(
    con: duckdb.DuckDBPyConnection, apart: duckdb.DuckDBPyConnection, features: FeatureSet, start: int
) -> None:
    """Put the rows whose turn it is into the table ``spine`` of another connection."""
    keys = ", ".join(
        f"CAST({quote(name)} AS {kind}) AS {quote(name)}" for name, kind in features.entity_types.items()
    )
    rows = con.sql(
        f"SELECT {ROW}, {keys}, CAST(as_of AS TIMESTAMPTZ) AS as_of FROM asked_spine "
        f"WHERE {TURN} >= {start} AND {TURN} < {start + CHUNK}"
    )
    create_like(apart, "spine", rows)
    hand_over(rows, apart, "spine")


class _Reading:
    """The tables of a group, as far as the rows of a spine need them."""

    def __init__(
        self,
        features: FeatureSet,
        events: Mapping[str, Table],
        tiles: Table,
        reach: Mapping[str, int],
        versions: Mapping[str, int],
    ) -> None:
        self.features, self.events, self.tiles = features, events, tiles
        self.reach, self.versions = reach, versions
        self.covered = {table.name: days_of(table, versions) for table in (*events.values(), tiles)}
        self.looks_back = any(not each.windowed for each in features.aggregations)

    def what_the_spine_needs(self, con: duckdb.DuckDBPyConnection) -> None:
        """The views ``tiles`` and ``<source>_events`` beside a table ``spine``.

        Raises FeatureError where days are not in the tables.
        """
        [(first, newest, at_midnight)] = con.execute(
            "SELECT CAST(min(as_of) AS DATE), CAST(max(as_of) AS DATE), max(as_of) = date_trunc('day', max(as_of)) "
            "FROM spine"
        ).fetchall()
        window, before = self.features.longest_window * DAY, newest - DAY
        check_covered(self.tiles, self.covered[self.tiles.name], before)
        for source, table in self.events.items():
            check_covered(table, self.covered[table.name], before if at_midnight else newest)
            back = max(self.reach[source] * DAY, window)
            self._view(con, events_of(source), table, (first - back, newest))
        self._view(con, "tiles", self.tiles, (date.min if self.looks_back else first - window, before))

    def _view(self, con: duckdb.DuckDBPyConnection, name: str, table: Table, between: Between) -> None:
        read = table.read(con, between=between, version=self.versions.get(table.name))
        read.create_view(name, replace=True)


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
    lower = {name.lower() for name in types}
    for column in lower & {ROW, TURN}:
        raise FeatureError(
            f"the spine has a column {column}, which is a name of ours: rename or drop it", column
        )
    for column in features.columns:
        if column in lower:
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


def _check_rows(con: duckdb.DuckDBPyConnection, spine: duckdb.DuckDBPyRelation, features: FeatureSet) -> None:
    [(rows, empty)] = con.execute(
        "SELECT count(*), count(*) FILTER (WHERE as_of IS NULL) FROM asked_spine"
    ).fetchall()
    if empty:
        raise FeatureError(
            f"{empty} of {rows} rows of the spine have no as_of; give each its moment", "as_of"
        )
    types = dict(zip(spine.columns, map(str, spine.types), strict=True))
    if types["as_of"] == NANOSECONDS:
        _check_exact(con, "as_of", "TIMESTAMP WITH TIME ZONE", types["as_of"])
    for column, kind in features.entity_types.items():
        given = types[column]
        if kind == "VARCHAR" and given.startswith(NUMBERS):
            raise FeatureError(
                f"the spine's {column} is a {given}, and the entity is a text, which 17850.0 isn't when 17850 is meant. "
                f"Give the texts; in pandas a gap makes floats of whole numbers: frame[{column!r}].astype('Int64')",
                column,
            )
        _check_exact(con, column, kind, given)


def _check_exact(con: duckdb.DuckDBPyConnection, column: str, kind: str, given: str) -> None:
    """Refuse values of a spine that a type can't hold as they are: they would be those of somebody else."""
    value = quote(column)
    [(rows, wrong, first, example)] = con.execute(
        f"WITH held AS (SELECT *, CAST(TRY_CAST({value} AS {kind}) AS {given}) IS DISTINCT FROM {value} AS __other "
        f"FROM asked_spine WHERE {value} IS NOT NULL) SELECT (SELECT count(*) FROM asked_spine), "
        f"count(*), min({ROW}), CAST(arg_min({value}, {ROW}) AS VARCHAR) FROM held WHERE __other"
    ).fetchall()
    if wrong:
        raise FeatureError(
            f"{wrong} of {rows} rows of the spine have a {column} that is not exactly a {kind}; the first is row {first}, "
            f"counted from 0: {example!r}. Give it as it stands in the events",
            column,
        )
