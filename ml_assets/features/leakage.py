"""Proof that no feature knows the future: sampled rows computed again, by definition and with another future.

Three ways are compared for a few entities at an as_of: what the snapshot holds; what the naive definition
gives, straight from the events and without tiles; and what the compiled queries give once every event that
had not happened or was not known at as_of is removed, changed or joined by others. Any difference is a leak,
or a wrong feature.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from ml_assets.features.snapshots import snapshot_query
from ml_assets.features.spec import Feature, FeatureSet
from ml_assets.features.tiles import tiles_query
from ml_assets.lake import Table

NOW = "TIMESTAMPTZ '{as_of} 00:00:00+00'"
ENTITIES = 50
"""Entities that are looked at at an as_of."""
CLOSE = 1e-9
"""The relative difference that the order of operations may make to a float."""

Rows = dict[object, tuple[object, ...]]


@dataclass(frozen=True)
class Difference:
    """A feature of an entity that should be the same two ways and isn't."""

    column: str
    entity: object
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
    events: Table,
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
        chosen = stored.select(f'"{features.entity}"').order(f"hash(\"{features.entity}\", DATE '{as_of}')")
        con.execute(f"CREATE OR REPLACE TEMP TABLE chosen AS {chosen.limit(ENTITIES).sql_query()}")
        horizon = as_of + timedelta(days=features.longest_window)
        events.read(con, between=(date.min, horizon)).create_view("all_events", replace=True)
        con.execute(
            "CREATE OR REPLACE TEMP TABLE true_events AS "
            f"SELECT * FROM all_events SEMI JOIN chosen USING ({features.entity})"
        )
        con.execute(f"CREATE OR REPLACE TEMP TABLE other_events AS {_another_future(features, as_of)}")
        compiled = _compiled(con, features, "true_events", as_of)
        by_definition = _rows(con, features, naive_query(features, as_of))
        poisoned = _compiled(con, features, "other_events", as_of)
        found += _differences(features, as_of, compiled, by_definition, "by definition")
        found += _differences(features, as_of, poisoned, compiled, "with another future")
        if as_of in current:
            stored.create_view("stored_rows", replace=True)
            held = _rows(
                con, features, f"SELECT * FROM stored_rows SEMI JOIN chosen USING ({features.entity})"
            )
            found += _differences(features, as_of, held, by_definition, "by definition, in the snapshot")
    return found


def _compiled(con: duckdb.DuckDBPyConnection, features: FeatureSet, relation: str, as_of: date) -> Rows:
    con.execute(f"CREATE OR REPLACE TEMP VIEW events AS SELECT * FROM {relation}")
    con.execute(f"CREATE OR REPLACE TEMP TABLE tiles AS {tiles_query(features)}")
    return _rows(con, features, snapshot_query(features, as_of, as_of))


def _rows(con: duckdb.DuckDBPyConnection, features: FeatureSet, query: str) -> Rows:
    columns = ", ".join(f'"{column}"' for column in [features.entity, *features.columns])
    return {
        entity: tuple(values) for entity, *values in con.sql(f"SELECT {columns} FROM ({query})").fetchall()
    }


def _differences(features: FeatureSet, as_of: date, found: Rows, expected: Rows, by: str) -> list[Difference]:
    nothing = (None,) * len(features.columns)
    return [
        Difference(column, entity, as_of, mine, theirs, by)
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


def _another_future(features: FeatureSet, as_of: date) -> str:
    """The events known before ``as_of``, and a future that never was: fewer, changed, shifted and late events."""
    now = NOW.format(as_of=as_of)
    past = f"occurred_at < {now} AND available_at <= {now}"
    kept = ("occurred_at", "available_at", "event_date", features.entity)
    changed = {
        name: _changed(name, kind) for name, kind in features.source_columns.items() if name not in kept
    }
    days = f"(1 + CAST(date_diff('day', occurred_at, {now}) AS INTEGER))"
    shifted = changed | {
        "occurred_at": f"occurred_at + INTERVAL 1 DAY * {days}",
        "available_at": f"greatest(available_at, occurred_at) + INTERVAL 1 DAY * {days}",
        "event_date": f"event_date + {days}",
    }
    late = changed | {"available_at": f"greatest(available_at, {now}) + INTERVAL 1 MICROSECOND"}

    def select(columns: dict[str, str], where: str) -> str:
        listed = [f'{columns.get(name, name)} AS "{name}"' for name in features.source_columns]
        return f"SELECT {', '.join(listed)} FROM true_events WHERE {where}"

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


def naive_query(features: FeatureSet, as_of: date) -> str:
    """The features of the entities in ``chosen`` at ``as_of``, from ``true_events``, feature by feature."""
    now, entity = NOW.format(as_of=as_of), features.entity
    columns, steps = [], []
    for feature in features.features:
        for column, days in feature.columns.items():
            if feature.kind == "mode":
                steps.append(_naive_mode(features, feature, column, days, now))
                columns.append(f"any_value({column}__mode.{column}) AS {column}")
            elif feature.kind != "sql":
                columns.append(f"{_naive(feature, days, now)} AS {column}")
    joins = "".join(
        f" LEFT JOIN {column}__mode USING ({entity})"
        for feature in features.features
        if feature.kind == "mode"
        for column in feature.columns
    )
    steps.append(
        f"layer_0 AS (SELECT {entity}, {', '.join(columns)} FROM past{joins} GROUP BY {entity})"
        if columns
        else f"layer_0 AS (SELECT DISTINCT {entity} FROM past)"
    )
    for depth, layer in enumerate(features.ordered_sql, start=1):
        added = ", ".join(f"({f.expression}) AS {f.name}" for f in layer)
        steps.append(f"layer_{depth} AS (SELECT *, {added} FROM layer_{depth - 1})")
    past = (
        f"past AS (SELECT true_events.* FROM true_events WHERE occurred_at < {now} AND available_at <= {now})"
    )
    return f"WITH {', '.join([past, *steps])} SELECT * FROM layer_{len(features.ordered_sql)}"


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
            return f"coalesce(CAST(sum({x}){having} AS DECIMAL(38, 6)), 0)"
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
    inside = _inside(feature, days, now).removeprefix(" FILTER (").removesuffix(")")
    return (
        f"{column}__mode AS (SELECT {entity}, first(value ORDER BY n DESC, value) AS {column} FROM ("
        f"SELECT {entity}, {value} AS value, count(*) AS n FROM past {inside} GROUP BY {entity}, value) AS counted "
        f"GROUP BY {entity})"
    )
