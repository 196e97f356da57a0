"""The columns and types of tiles and snapshots, by asking DuckDB on empty tables."""

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from ml_assets.features.entity import Entity
from ml_assets.features.errors import FeatureError
from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.queries.snapshots import snapshot_query
from ml_assets.features.queries.tiles import events_of, tiles_query
from ml_assets.features.spec import Feature
from ml_assets.lake.sql import quote

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@lru_cache(maxsize=32)
def _types(
    entity: Entity,
    features: tuple[Feature, ...],
    sources: tuple[tuple[str, tuple[tuple[str, str], ...]], ...],
) -> tuple[dict[str, str], dict[str, str]]:
    """The types of tiles and of snapshots."""
    import duckdb

    declared = FeatureSet(entity, features, {source: dict(columns) for source, columns in sources})
    day = date(2000, 1, 1)
    with duckdb.connect(":memory:") as con:
        for source, columns in sources:
            listed = ", ".join(f"NULL::{sql_type} AS {quote(name)}" for name, sql_type in columns)
            con.execute(f"CREATE TABLE {events_of(source)} AS SELECT {listed} LIMIT 0")
        _check_expressions(con, declared)
        con.execute(f"CREATE TABLE tiles AS {tiles_query(declared)}")
        _check_sql(con, declared)
        tiles, snapshot = (
            {row[0]: row[1] for row in con.execute(f"DESCRIBE {described}").fetchall()}
            for described in ("tiles", snapshot_query(declared, day, day))
        )
    _check_expected(declared, snapshot)
    return tiles, snapshot


def snapshot_types(features: FeatureSet) -> dict[str, str]:
    """Column -> DuckDB type of the snapshot; checks every expression by asking DuckDB on empty tables.

    Raises FeatureError naming the feature whose expression DuckDB refuses, or whose sum isn't exact.
    """
    return _asked(features)[1]


def tile_types(features: FeatureSet) -> dict[str, str]:
    """Column -> DuckDB type of the tiles; raises as ``snapshot_types`` does."""
    return _asked(features)[0]


def _asked(features: FeatureSet) -> tuple[dict[str, str], dict[str, str]]:
    sources = tuple((source, tuple(columns.items())) for source, columns in features.sources.items())
    return _types(features.entity, features.features, sources)


def _check_expected(features: FeatureSet, types: dict[str, str]) -> None:
    for feature in features.features:
        kind = types[next(iter(feature.columns))]
        expect = feature.expect
        bounds = (expect.min, expect.max, expect.median) if expect else ()
        is_number = kind.startswith(("DECIMAL", "DOUBLE", "FLOAT")) or "INT" in kind
        if any(bound is not None for bound in bounds) and not is_number:
            raise FeatureError(
                f"feature {feature.name}: expect.min, max and median are for numbers, and it is a {kind}; "
                "expect.empty and expect.values fit any",
                feature.name,
            )


def _check_expressions(con: "DuckDBPyConnection", features: FeatureSet) -> None:
    for feature in features.features:
        if not (aggregation := feature.aggregation):
            continue
        where = f"WHERE {feature.where}" if feature.where else ""
        events = events_of(features.source_of(feature))
        sql_type = _type_of(con, feature, f"SELECT {aggregation.read or '1'} AS x FROM {events} {where}")
        if why := aggregation.why_not(sql_type):
            raise FeatureError(f"feature {feature.name}: {why}", feature.name)
        for part in aggregation.parts.values():
            if part.of_events:
                _type_of(con, feature, f"SELECT {part.of_events} FROM {events}")


def _check_sql(con: "DuckDBPyConnection", features: FeatureSet) -> None:
    """Ask DuckDB about the ``sql`` features one by one, on an empty table of the columns they may read."""
    day = date(2000, 1, 1)
    aggregated = tuple(f for f in features.features if f.kind != "sql")
    rest = snapshot_query(FeatureSet(features.entity, aggregated, features.sources), day, day)
    con.execute(f"CREATE TABLE layers AS {rest}")
    for layer in features.ordered_sql:
        for feature in layer:
            sql_type = _type_of(con, feature, f"SELECT ({feature.expression}) AS x FROM layers")
            con.execute(f"ALTER TABLE layers ADD COLUMN {quote(feature.name)} {sql_type}")


def _type_of(con: "DuckDBPyConnection", feature: Feature, query: str) -> str:
    """The type of a query's only column. Raises FeatureError naming the feature where DuckDB refuses it."""
    import duckdb

    try:
        ((_, sql_type, *_),) = con.execute(f"DESCRIBE {query}").fetchall()
    except duckdb.Error as error:
        raise FeatureError(f"feature {feature.name}: DuckDB refuses it: {error}", feature.name) from error
    return str(sql_type)
