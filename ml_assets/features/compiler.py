"""The feature compiler: from declared features to the SQL of tiles and snapshots.

A tile holds partial aggregates of one entity over one day of events, keyed by the day they happened and
the day they became available. A snapshot sums tiles: at ``as_of`` (00:00 UTC of a day) it takes the tiles
with available day < as_of and as_of - window <= event day < as_of, so an event at or after as_of, or one
that was not yet known, never counts. Queries are DuckDB SQL that sqlglot can carry to other engines: no
ASOF joins, no function without an equal there.
"""

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from ml_assets.features.errors import FeatureError
from ml_assets.features.spec import UNWINDOWED, Feature, FeatureSet

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def tiles_query(features: FeatureSet) -> str:
    """The query that turns the relation ``events`` into tiles.

    Columns: the entity, ``event_date``, ``available_date`` (both UTC days) and the partial aggregates,
    named ``<feature>__<part>``. Events without an entity don't make tiles.
    """
    keys = f"{features.entity}, event_date, available_date"
    modes = [f for f in features.features if f.kind == "mode"]
    partials = [
        partial for f in features.features if f.kind not in ("mode", "sql") for partial in _partials(f)
    ]
    counts = "".join(f", {_counts(f, keys)}" for f in modes)
    joins = "".join(f" LEFT JOIN {f.name}__tile USING ({keys})" for f in modes)
    columns = ", ".join(["any_tile.*", *(f"{f.name}__counts" for f in modes)])
    return (
        f"WITH known AS (SELECT *, CAST(available_at AS DATE) AS available_date FROM events "
        f"WHERE {features.entity} IS NOT NULL), "
        f"any_tile AS (SELECT {', '.join([keys, *partials])} FROM known GROUP BY {keys}){counts} "
        f"SELECT {columns} FROM any_tile{joins}"
    )


def _filter(feature: Feature, needs_value: bool = True) -> str:
    conditions = [f"({feature.where})"] if feature.where else []
    if needs_value:
        conditions.append(f"({feature.expression}) IS NOT NULL")
    return f" FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""


def _partials(feature: Feature) -> list[str]:
    name, x = feature.name, feature.expression
    match feature.kind:
        case "count" if x == "*":
            return [f"COUNT(*){_filter(feature, needs_value=False)} AS {name}__n"]
        case "count":
            return [f"COUNT({x}){_filter(feature)} AS {name}__n"]
        case "count_distinct":
            return [f"LIST_SORT(LIST(DISTINCT {x}){_filter(feature)}) AS {name}__values"]
        case "sum":
            return [f"{_exact_sum(feature)} AS {name}__sum"]
        case "mean":
            return [
                f"{_exact_sum(feature)} AS {name}__sum",
                f"COUNT({x}){_filter(feature)} AS {name}__n",
            ]
        case "min" | "max":
            return [f"{feature.kind}({x}){_filter(feature)} AS {name}__{feature.kind}"]
        case "last":
            return [f"MAX(STRUCT_PACK(at := occurred_at, value := {x})){_filter(feature)} AS {name}__last"]
        case "time_since_last":
            return [f"MAX(occurred_at){_filter(feature, needs_value=False)} AS {name}__at"]
        case "time_since_first":
            return [f"MIN(occurred_at){_filter(feature, needs_value=False)} AS {name}__at"]
    raise AssertionError(feature.kind)


def _exact_sum(feature: Feature) -> str:
    return f"CAST(SUM({feature.expression}){_filter(feature)} AS DECIMAL(38, 6))"


def _counts(feature: Feature, keys: str) -> str:
    """A common table expression with how often each value occurs in each tile."""
    where = f"({feature.expression}) IS NOT NULL" + (f" AND ({feature.where})" if feature.where else "")
    return (
        f"{feature.name}__tile AS (SELECT {keys}, "
        f"LIST(STRUCT_PACK(value := value, n := n) ORDER BY value) AS {feature.name}__counts "
        f"FROM (SELECT {keys}, CAST({feature.expression} AS TEXT) AS value, COUNT(*) AS n "
        f"FROM known WHERE {where} GROUP BY {keys}, value) AS counted GROUP BY {keys})"
    )


def snapshot_query(features: FeatureSet, first: date, last: date) -> str:
    """The query that turns the relation ``tiles`` into snapshots for every day from ``first`` to ``last``.

    Columns: the entity, ``as_of`` (DATE, the moment is its 00:00 UTC), then the feature columns in the
    order of declaration. A row for every entity known before as_of. The relation ``tiles`` must hold all
    tiles with available day < ``last``; those before ``first`` - the longest window only carry state.
    """
    entity = features.entity
    modes = [
        (f, column, days) for f in features.features if f.kind == "mode" for column, days in f.columns.items()
    ]
    steps = [
        f"as_ofs AS (SELECT CAST(UNNEST(GENERATE_SERIES(DATE '{first}', DATE '{last}', INTERVAL 1 DAY)) AS DATE) AS as_of)",
        f"recent AS (SELECT tiles.*, as_of FROM tiles JOIN as_ofs ON available_date < as_of AND event_date < as_of "
        f"AND event_date >= as_of - {features.longest_window} "
        f"WHERE available_date >= DATE '{first}' - {features.longest_window})",
        *_state(features, first),
        _windowed(features),
        *(step for f, c, days in modes for step in _most_frequent(features, f, c, days, first, last)),
    ]
    joins = (
        f"LEFT JOIN windowed ON windowed_entity = state.{entity} AND windowed_as_of = state.as_of"
        + "".join(f" LEFT JOIN {column}__mode USING ({entity}, as_of)" for _, column, _ in modes)
    )
    aggregated = [
        f"COALESCE({column}, 0) AS {column}" if f.kind in ("count", "count_distinct", "sum") else column
        for f in features.features
        if f.kind != "sql"
        for column in f.columns
    ]
    steps.append(f"layer_0 AS (SELECT {', '.join([entity, 'as_of', *aggregated])} FROM state {joins})")
    for depth, layer in enumerate(features.ordered_sql, start=1):
        added = ", ".join(f"({f.expression}) AS {f.name}" for f in layer)
        steps.append(f"layer_{depth} AS (SELECT *, {added} FROM layer_{depth - 1})")
    return (
        f"WITH {', '.join(steps)} SELECT {', '.join([entity, 'as_of', *features.columns])} "
        f"FROM layer_{len(features.ordered_sql)}"
    )


def _state(features: FeatureSet, first: date) -> list[str]:
    """Who is known at each as_of, with what is carried from day to day: last and first, and distinct counts."""
    entity = features.entity
    carried = [f for f in features.features if f.kind in UNWINDOWED]
    part = {f.name: f"{f.name}__{'last' if f.kind == 'last' else 'at'}" for f in carried}
    pick = {f.name: "MIN" if f.kind == "time_since_first" else "MAX" for f in carried}
    distinct = [
        (f, column, days)
        for f in features.features
        if f.kind == "count_distinct"
        for column, days in f.columns.items()
    ]
    daily = [f"GREATEST(available_date + 1, DATE '{first}') AS as_of"] + [
        f"{pick[f.name]}({part[f.name]}) AS {part[f.name]}" for f in carried
    ]
    running = [f"{pick[f.name]}(daily.{part[f.name]}) OVER up_to_now AS {part[f.name]}" for f in carried] + [
        f"CAST(SUM({column}__changes.change) OVER up_to_now AS BIGINT) AS {column}"
        for _, column, _ in distinct
    ]
    values = [
        f"{part[f.name]}.value AS {f.name}"
        if f.kind == "last"
        else f"DATE_DIFF('microsecond', {part[f.name]}, CAST(as_of AS TIMESTAMPTZ)) / 86400000000 AS {f.name}"
        for f in carried
    ] + [column for _, column, _ in distinct]
    changes = "".join(
        f" LEFT JOIN {c}__changes ON {c}__changes.{entity} = everyone.{entity} AND {c}__changes.as_of = everyone.as_of"
        for _, c, _ in distinct
    )
    return [
        f"daily AS (SELECT {', '.join([entity, *daily])} FROM tiles GROUP BY 1, 2)",
        f"known AS (SELECT {entity}, MIN(as_of) AS since FROM daily GROUP BY {entity})",
        f"everyone AS (SELECT known.{entity}, as_ofs.as_of FROM known JOIN as_ofs ON as_ofs.as_of >= since)",
        *(
            step
            for f, column, days in distinct
            for step in _distinct_changes(features, f, column, days, first)
        ),
        f"running AS (SELECT {', '.join([f'everyone.{entity}', 'everyone.as_of', *running])} FROM everyone "
        f"LEFT JOIN daily ON daily.{entity} = everyone.{entity} AND daily.as_of = everyone.as_of{changes} "
        f"WINDOW up_to_now AS (PARTITION BY everyone.{entity} ORDER BY everyone.as_of))",
        f"state AS (SELECT {', '.join([entity, 'as_of', *values])} FROM running)",
    ]


def _distinct_changes(
    features: FeatureSet, feature: Feature, column: str, days: int | None, first: date
) -> list[str]:
    """By how much a distinct count changes at each as_of.

    A tile's value counts from the day after it became available until ``days`` after it happened. Where
    spans of the same value overlap, only what a later one adds is kept, so that each value counts once.
    """
    entity = features.entity
    return [
        f"{column}__spans AS (SELECT {entity}, value, GREATEST(available_date + 1, DATE '{first}') AS begins, "
        f"event_date + {days} AS ends FROM (SELECT {entity}, event_date, available_date, "
        f"UNNEST({feature.name}__values) AS value FROM tiles "
        f"WHERE event_date >= DATE '{first}' - {days}) AS appearances)",
        f"{column}__added AS (SELECT {entity}, ends, GREATEST(begins, COALESCE(MAX(ends) OVER "
        f"(PARTITION BY {entity}, value ORDER BY begins, ends ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) + 1, "
        f"begins)) AS begins FROM {column}__spans)",
        f"{column}__changes AS (SELECT {entity}, as_of, SUM(change) AS change FROM ("
        f"SELECT {entity}, begins AS as_of, 1 AS change FROM {column}__added WHERE begins <= ends UNION ALL "
        f"SELECT {entity}, ends + 1 AS as_of, -1 AS change FROM {column}__added WHERE begins <= ends) AS both_ends "
        f"GROUP BY {entity}, as_of)",
    ]


def _windowed(features: FeatureSet) -> str:
    """What is summed, counted or compared over a window of tiles."""
    columns = [
        f"{_over(feature, days)} AS {column}"
        for feature in features.features
        for column, days in feature.columns.items()
        if days is not None and feature.kind not in ("mode", "count_distinct")
    ]
    keys = [f"{features.entity} AS windowed_entity", "as_of AS windowed_as_of"]
    return (
        f"windowed AS (SELECT {', '.join([*keys, *columns])} FROM recent GROUP BY {features.entity}, as_of)"
    )


def _over(feature: Feature, days: int) -> str:
    name = feature.name
    inside = f"FILTER (WHERE event_date >= as_of - {days})"
    match feature.kind:
        case "count":
            return f"CAST(SUM({name}__n) {inside} AS BIGINT)"
        case "sum":
            return f"SUM({name}__sum) {inside}"
        case "mean":
            return f"CAST(SUM({name}__sum) {inside} AS DOUBLE) / NULLIF(SUM({name}__n) {inside}, 0)"
        case "min" | "max":
            return f"{feature.kind}({name}__{feature.kind}) {inside}"
    raise AssertionError(feature.kind)


def _most_frequent(
    features: FeatureSet, feature: Feature, column: str, days: int | None, first: date, last: date
) -> list[str]:
    """The most frequent value at each as_of, the first in the alphabet among equals.

    How often a value counts changes only where a tile enters or leaves the window; between two changes it
    stands, and only there is it spread over the as_ofs.
    """
    entity = features.entity
    return [
        f"{column}__entries AS (SELECT {entity}, entry.value AS value, entry.n AS n, "
        f"GREATEST(available_date + 1, DATE '{first}') AS begins, event_date + {days} AS ends "
        f"FROM (SELECT {entity}, event_date, available_date, UNNEST({feature.name}__counts) AS entry FROM tiles "
        f"WHERE event_date >= DATE '{first}' - {days}) AS unnested)",
        f"{column}__steps AS (SELECT {entity}, value, day, SUM(change) AS change FROM ("
        f"SELECT {entity}, value, begins AS day, n AS change FROM {column}__entries WHERE begins <= ends UNION ALL "
        f"SELECT {entity}, value, ends + 1 AS day, -n AS change FROM {column}__entries WHERE begins <= ends) "
        f"AS both_ends GROUP BY {entity}, value, day)",
        f"{column}__levels AS (SELECT {entity}, value, day AS since, "
        f"LEAD(day, 1, DATE '{last}' + 1) OVER in_order AS until, SUM(change) OVER in_order AS n "
        f"FROM {column}__steps WINDOW in_order AS (PARTITION BY {entity}, value ORDER BY day))",
        f"{column}__mode AS (SELECT {entity}, as_of, MIN(STRUCT_PACK(fewer := -n, value := value)).value AS {column} "
        f"FROM {column}__levels JOIN as_ofs ON as_of >= since AND as_of < until WHERE n > 0 "
        f"GROUP BY {entity}, as_of)",
    ]


@lru_cache(maxsize=32)
def _schema(
    entity: str, features: tuple[Feature, ...], source: tuple[tuple[str, str], ...]
) -> dict[str, str]:
    import duckdb

    declared = FeatureSet(entity, features, dict(source))
    day = date(2000, 1, 1)
    with duckdb.connect(":memory:") as con:
        columns = ", ".join(f'NULL::{sql_type} AS "{name}"' for name, sql_type in source)
        con.execute(f"CREATE TABLE events AS SELECT {columns} LIMIT 0")
        _check_expressions(con, declared)
        con.execute(f"CREATE TABLE tiles AS {tiles_query(declared)}")
        _check_sql(con, declared)
        rows = con.execute(f"DESCRIBE {snapshot_query(declared, day, day)}").fetchall()
    return {row[0]: row[1] for row in rows}


def snapshot_schema(features: FeatureSet) -> dict[str, str]:
    """Column -> DuckDB type of the snapshot; checks every expression by asking DuckDB on empty tables.

    Raises FeatureError naming the feature whose expression DuckDB refuses, or whose sum isn't exact.
    """
    return _schema(features.entity, features.features, tuple(features.source_columns.items()))


def _check_expressions(con: "DuckDBPyConnection", features: FeatureSet) -> None:
    for feature in features.features:
        if feature.kind == "sql":
            continue
        unread = feature.kind.startswith("time_since") or feature.expression == "*"
        expression = "1" if unread else feature.expression
        where = f"WHERE {feature.where}" if feature.where else ""
        sql_type = _type_of(con, feature, f"SELECT {expression} AS x FROM events {where}")
        if feature.kind in ("sum", "mean") and sql_type in ("DOUBLE", "FLOAT"):
            raise FeatureError(
                f"feature {feature.name}: {expression} is a {sql_type}, whose sums differ from run to run. "
                "Declare the column as DECIMAL in the contract, or cast the expression: "
                f"CAST({expression} AS DECIMAL(18, 4))",
                feature.name,
            )
        if feature.kind != "mode":
            for partial in _partials(feature):
                _type_of(con, feature, f"SELECT {partial} FROM events")


def _check_sql(con: "DuckDBPyConnection", features: FeatureSet) -> None:
    """Ask DuckDB about the ``sql`` features one by one, on an empty table of the columns they may read."""
    day = date(2000, 1, 1)
    aggregated = tuple(f for f in features.features if f.kind != "sql")
    rest = snapshot_query(FeatureSet(features.entity, aggregated, features.source_columns), day, day)
    con.execute(f"CREATE TABLE layers AS {rest}")
    for layer in features.ordered_sql:
        for feature in layer:
            sql_type = _type_of(con, feature, f"SELECT ({feature.expression}) AS x FROM layers")
            con.execute(f"ALTER TABLE layers ADD COLUMN {feature.name} {sql_type}")


def _type_of(con: "DuckDBPyConnection", feature: Feature, query: str) -> str:
    """The type of a query's only column. Raises FeatureError naming the feature where DuckDB refuses it."""
    import duckdb

    try:
        ((_, sql_type, *_),) = con.execute(f"DESCRIBE {query}").fetchall()
    except duckdb.Error as error:
        raise FeatureError(f"feature {feature.name}: DuckDB refuses it: {error}", feature.name) from error
    return str(sql_type)
