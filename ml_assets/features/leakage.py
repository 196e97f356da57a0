"""Proof that no feature knows the future: sampled rows computed again, by definition and with another future.

Three ways are compared for a few entities at an as_of: what the snapshot holds; what the naive definition
gives, straight from the events and without tiles; and what the compiled queries give once every event that
had not happened or was not known at as_of is removed, changed or joined by others. Any difference is a leak,
or a wrong feature.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from ml_assets.features.snapshots import snapshot_query
from ml_assets.features.spec import Feature, FeatureSet
from ml_assets.features.tiles import events_of, tiles_query
from ml_assets.lake import Table

ENTITIES = 50
"""Entities that are looked at at an as_of."""
CLOSE = 1e-9
"""The relative difference that the order of operations may make to a float."""

Rows = dict[tuple[object, ...], tuple[object, ...]]
"""The values of an entity's columns -> those of the features."""


@dataclass(frozen=True)
class Difference:
    """A feature of an entity that should be the same two ways and isn't."""

    column: str
    entity: str
    as_of: date
    found: object
    expected: object
    by: str

    def __str__(self) -> str:
        return (
            f"{self.column} of {self.entity} at {self.as_of} is {self.found}, but {self.expected} {self.by}"
        )


def find_leaks(
    con: duckdb.DuckDBPyConnection,
    features: FeatureSet,
    events: Mapping[str, Table],
    snapshot: Table,
    as_ofs: Sequence[date],
    current: Sequence[date],
) -> list[Difference]:
    """The differences at ``as_ofs``, for entities picked by a hash, the same ones every time.

    The snapshot's own rows are compared at the as_ofs that are ``current``: where events have been corrected
    since, they differ rightly.
    """
    found: list[Difference] = []
    for as_of in as_ofs:
        stored = snapshot.read(con, between=(as_of, as_of))
        chosen = stored.select(str(features.entity)).order(f"hash({features.entity}, DATE '{as_of}')")
        con.execute(f"CREATE OR REPLACE TEMP TABLE chosen AS {chosen.limit(ENTITIES).sql_query()}")
        horizon = as_of + timedelta(days=features.longest_window)
        for source, table in events.items():
            table.read(con, between=(date.min, horizon)).create_view("all_events", replace=True)
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE true_{source} AS "
                f"SELECT * FROM all_events SEMI JOIN chosen USING ({features.entity})"
            )
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE other_{source} AS {_another_future(features, source, as_of)}"
            )
        compiled = _compiled(con, features, "true", as_of)
        by_definition = _rows(con, features, naive_query(features, f"TIMESTAMPTZ '{as_of} 00:00:00+00'"))
        poisoned = _compiled(con, features, "other", as_of)
        found += _differences(features, as_of, compiled, by_definition, "by definition")
        found += _differences(features, as_of, poisoned, compiled, "with another future")
        if as_of in current:
            stored.create_view("stored_rows", replace=True)
            held = _rows(
                con, features, f"SELECT * FROM stored_rows SEMI JOIN chosen USING ({features.entity})"
            )
            found += _differences(features, as_of, held, by_definition, "by definition, in the snapshot")
    return found


def _compiled(con: duckdb.DuckDBPyConnection, features: FeatureSet, which: str, as_of: date) -> Rows:
    for source in features.sources:
        con.execute(f"CREATE OR REPLACE TEMP VIEW {events_of(source)} AS SELECT * FROM {which}_{source}")
    con.execute(f"CREATE OR REPLACE TEMP TABLE tiles AS {tiles_query(features)}")
    return _rows(con, features, snapshot_query(features, as_of, as_of))


def _rows(con: duckdb.DuckDBPyConnection, features: FeatureSet, query: str) -> Rows:
    columns, keys = ", ".join([*features.entity, *features.columns]), len(features.entity)
    rows = con.sql(f"SELECT {columns} FROM ({query})").fetchall()
    return {tuple(row[:keys]): tuple(row[keys:]) for row in rows}


def _differences(features: FeatureSet, as_of: date, found: Rows, expected: Rows, by: str) -> list[Difference]:
    nothing = (None,) * len(features.columns)
    return [
        Difference(column, ", ".join(map(str, entity)), as_of, mine, theirs, by)
        for entity in sorted(found.keys() | expected.keys(), key=str)
        for column, mine, theirs in zip(
            features.columns, found.get(entity, nothing), expected.get(entity, nothing), strict=True
        )
        if not _same(mine, theirs)
    ]


def _same(found: object, expected: object) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=CLOSE) or (math.isnan(found) and math.isnan(expected))
    return found == expected


def _another_future(features: FeatureSet, source: str, as_of: date) -> str:
    """The events known before ``as_of``, and a future that never was: fewer, changed, shifted and late events."""
    now, types = f"TIMESTAMPTZ '{as_of} 00:00:00+00'", features.sources[source]
    past = f"occurred_at < {now} AND available_at <= {now}"
    kept = ("occurred_at", "available_at", "event_date", *features.entity)
    changed = {name: _changed(name, kind) for name, kind in types.items() if name not in kept}
    days = f"(1 + CAST(date_diff('day', occurred_at, {now}) AS INTEGER))"
    shifted = changed | {
        "occurred_at": f"occurred_at + INTERVAL 1 DAY * {days}",
        "available_at": f"greatest(available_at, occurred_at) + INTERVAL 1 DAY * {days}",
        "event_date": f"event_date + {days}",
    }
    late = changed | {"available_at": f"greatest(available_at, {now}) + INTERVAL 1 MICROSECOND"}

    def select(columns: dict[str, str], where: str) -> str:
        listed = [f'{columns.get(name, name)} AS "{name}"' for name in types]
        return f"SELECT {', '.join(listed)} FROM true_{source} WHERE {where}"

    return " UNION ALL ".join(
        (
            select({}, past),
            select(changed, f"NOT ({past}) AND hash(occurred_at, available_at) % 2 = 0"),
            select(shifted, past),
            select(late, past),
        )
    )


def _changed(name: str, kind: str) -> str:
    """Another value of a column, where its type has an obvious one."""
    if kind == "VARCHAR":
        return f"{name} || '?'"
    if kind.startswith("DECIMAL") or kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE"):
        return f"coalesce(TRY(CAST({name} * 2 + 1 AS {kind})), CAST(0 AS {kind}))"
    return name


def naive_query(features: FeatureSet, now: str) -> str:
    """The features at the moment ``now``, an SQL expression, feature by feature straight from ``true_<source>``.

    A row for every entity with an event that had happened and was known.
    """
    entity = features.entity
    steps = [
        f"past_{source} AS (SELECT * FROM true_{source} WHERE occurred_at < {now} AND available_at <= {now} "
        f"AND {entity.is_named})"
        for source in features.sources
    ]
    anyone = " UNION ".join(f"SELECT {entity} FROM past_{source}" for source in features.sources)
    steps.append(f"anyone AS ({anyone})")
    tables = []
    for source in features.sources:
        columns = []
        for feature in features.of_source(source):
            for column, days in feature.columns.items():
                if feature.kind == "mode":
                    steps.append(_naive_mode(features, feature, column, days, now))
                    tables.append(f"{column}__mode")
                else:
                    columns.append(f"{_naive(feature, days, now)} AS {column}")
        steps.append(
            f"from_{source} AS (SELECT {', '.join([*entity, *columns])} FROM past_{source} GROUP BY {entity})"
        )
        tables.append(f"from_{source}")
    given = [
        f"COALESCE({column}, 0) AS {column}" if feature.kind in ("count", "count_distinct", "sum") else column
        for feature in features.features
        if feature.kind != "sql"
        for column in feature.columns
    ]
    joins = "".join(f" LEFT JOIN {table} ON {entity.equal(table, 'anyone')}" for table in tables)
    steps.append(f"layer_0 AS (SELECT {', '.join([entity.of('anyone'), *given])} FROM anyone{joins})")
    for depth, layer in enumerate(features.ordered_sql, start=1):
        added = ", ".join(f"({f.expression}) AS {f.name}" for f in layer)
        steps.append(f"layer_{depth} AS (SELECT *, {added} FROM layer_{depth - 1})")
    return f"WITH {', '.join(steps)} SELECT * FROM layer_{len(features.ordered_sql)}"


def _inside(feature: Feature, days: int | None, now: str, needs_value: bool = True) -> str:
    """The FILTER that leaves the events of a window which the feature counts."""
    conditions = [f"occurred_at >= {now} - INTERVAL {days} DAY"] if days is not None else []
    conditions += [f"({feature.where})"] if feature.where else []
    conditions += [f"({feature.expression}) IS NOT NULL"] if needs_value else []
    return f" FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""


def _naive(feature: Feature, days: int | None, now: str) -> str:
    x, having = feature.expression, _inside(feature, days, now)
    match feature.kind:
        case "count" if x == "*":
            return f"count(*){_inside(feature, days, now, needs_value=False)}"
        case "count":
            return f"count({x}){having}"
        case "count_distinct":
            return f"count(DISTINCT {x}){having}"
        case "sum":
            return f"CAST(sum({x}){having} AS DECIMAL(38, 6))"
        case "mean":
            return f"CAST(CAST(sum({x}){having} AS DECIMAL(38, 6)) AS DOUBLE) / nullif(count({x}){having}, 0)"
        case "stddev":
            return f"stddev_samp(CAST({x} AS DECIMAL(18, 6))){having}"
        case "min" | "max":
            return f"{feature.kind}({x}){having}"
        case "last":
            return f"first({x} ORDER BY occurred_at DESC, {x} DESC){having}"
        case "attribute":
            everything = _inside(feature, days, now, needs_value=False)
            return f"first({x} ORDER BY occurred_at DESC, ({x}) IS NULL, {x} DESC){everything}"
        case "time_since_last" | "time_since_first":
            moment = f"{'max' if feature.kind == 'time_since_last' else 'min'}(occurred_at)"
            seen = f"{moment}{_inside(feature, None, now, needs_value=False)}"
            return f"date_diff('microsecond', {seen}, {now}) / 86400000000"
    raise AssertionError(feature.kind)


def _naive_mode(features: FeatureSet, feature: Feature, column: str, days: int | None, now: str) -> str:
    entity, value = features.entity, f"CAST({feature.expression} AS VARCHAR)"
    past = f"past_{features.source_of(feature)}"
    inside = _inside(feature, days, now).removeprefix(" FILTER (").removesuffix(")")
    return (
        f"{column}__mode AS (SELECT {entity}, first(value ORDER BY n DESC, value) AS {column} FROM ("
        f"SELECT {entity}, {value} AS value, count(*) AS n FROM {past} {inside} GROUP BY {entity}, value) AS counted "
        f"GROUP BY {entity})"
    )
