"""The columns and types of tiles and snapshots, by asking DuckDB on empty tables."""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from ml_assets.features.entity import Entity
from ml_assets.features.errors import FeatureError
from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.queries.snapshots import snapshot_query
from ml_assets.features.queries.tiles import events_of, tiles_query
from ml_assets.features.spec import Feature
from ml_assets.lake.engine import scratch
from ml_assets.lake.sql import quote

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@lru_cache(maxsize=32)
def _checked(
    entity: Entity,
    features: tuple[Feature, ...],
    sources: tuple[tuple[str, tuple[tuple[str, str], ...]], ...],
) -> tuple[dict[str, str], dict[str, str]]:
    """The types of tiles and of snapshots."""
    declared = FeatureSet(entity, features, {source: dict(columns) for source, columns in sources})
    with scratch() as con:
        for source, columns in declared.sources.items():
            _create(con, events_of(source), columns)
        _check_expressions(con, declared)
        tiles = _described(con, tiles_query(declared))
        _create(con, "tiles", tiles)
        types = _layered(con, declared)
    snapshot = {column: types[column] for column in (*entity, "as_of", *declared.columns)}
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
    return _checked(features.entity, features.features, sources)


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
    read, parts = [], []
    for feature in features.features:
        if not (aggregation := feature.aggregation):
            continue
        where = f"WHERE {feature.where}" if feature.where else ""
        events = quote(events_of(features.source_of(feature)))
        read.append((feature, f"SELECT {aggregation.read or '1'} AS x FROM {events} {where}"))
        of_events = [part.of_events for part in aggregation.parts.values() if part.of_events]
        parts += [(feature, f"SELECT {part} FROM {events}") for part in of_events]
    for (feature, _), sql_type in zip(read, _types(con, read), strict=True):
        if feature.aggregation and (why := feature.aggregation.why_not(sql_type)):
            raise FeatureError(f"feature {feature.name}: {why}", feature.name)
    _types(con, parts)


def _layered(con: "DuckDBPyConnection", features: FeatureSet) -> dict[str, str]:
    """Column -> type of the snapshot, the ``sql`` features last; asked layer by layer, to name the one refused."""
    day = date(2000, 1, 1)
    aggregated = tuple(feature for feature in features.features if feature.kind != "sql")
    types = _described(
        con, snapshot_query(FeatureSet(features.entity, aggregated, features.sources), day, day)
    )
    for number, layer in enumerate(features.ordered_sql):
        _create(con, f"layer_{number}", types)
        queries = [(each, f"SELECT ({each.expression}) AS x FROM layer_{number}") for each in layer]
        types |= dict(zip((each.name for each in layer), _types(con, queries), strict=True))
    return types


def _create(con: "DuckDBPyConnection", table: str, columns: Mapping[str, str]) -> None:
    listed = ", ".join(f"{quote(name)} {sql_type}" for name, sql_type in columns.items())
    con.execute(f"CREATE TEMP TABLE {quote(table)} ({listed})")


def _described(con: "DuckDBPyConnection", query: str) -> dict[str, str]:
    """Column -> type of a query."""
    return {name: sql_type for name, sql_type, *_ in con.execute(f"DESCRIBE {query}").fetchall()}


def _types(con: "DuckDBPyConnection", queries: Sequence[tuple[Feature, str]]) -> list[str]:
    """The type of the only column of each feature's query. Raises FeatureError naming the one that DuckDB refuses."""
    import duckdb

    if not queries:
        return []
    try:
        asked = ", ".join(f"({query}) AS column_{n}" for n, (_, query) in enumerate(queries))
        return list(_described(con, f"SELECT {asked}").values())
    except duckdb.Error:
        return [_type(con, feature, query) for feature, query in queries]


def _type(con: "DuckDBPyConnection", feature: Feature, query: str) -> str:
    import duckdb

    try:
        [sql_type] = _described(con, query).values()
    except duckdb.Error as error:
        raise FeatureError(f"feature {feature.name}: DuckDB refuses it: {error}", feature.name) from error
    return sql_type
