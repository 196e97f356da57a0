"""Snapshots: all features of all entities at 00:00 UTC of a day, summed from tiles.

A snapshot takes the tiles with available day < as_of and as_of - window <= event day < as_of, so an event at or
after as_of, or one that was not yet known, never counts.
"""

from datetime import date

from ml_assets.features.queries.tiles import over, partials, sql_layers
from ml_assets.features.spec import UNWINDOWED, Feature, FeatureSet


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
    joins = " ".join(
        f"LEFT JOIN {relation} ON {entity.equal(relation, 'state')} AND {relation}.as_of = state.as_of"
        for relation in ("windowed", *(f"{column}__mode" for _, column, _ in modes))
    )
    aggregated = [
        f"COALESCE({column}, 0) AS {column}" if f.kind in ("count", "count_distinct", "sum") else column
        for f in features.features
        if f.kind != "sql"
        for column in f.columns
    ]
    keys = f"{entity.of('state')}, state.as_of"
    steps.append(f"layer_0 AS (SELECT {', '.join([keys, *aggregated])} FROM state {joins})")
    steps += sql_layers(features)
    return (
        f"WITH {', '.join(steps)} SELECT {', '.join([*entity, 'as_of', *features.columns])} "
        f"FROM layer_{len(features.ordered_sql)}"
    )


def _state(features: FeatureSet, first: date) -> list[str]:
    """Who is known at each as_of, with what is carried from day to day: last and first, and distinct counts."""
    entity = features.entity
    carried = [f for f in features.features if f.kind in UNWINDOWED]
    part = {f.name: next(iter(partials(f))) for f in carried}
    pick = {f.name: "MIN" if f.kind == "time_since_first" else "MAX" for f in carried}
    distinct = [
        (f, column, days)
        for f in features.features
        if f.kind == "count_distinct"
        for column, days in f.columns.items()
    ]
    daily_as_of = f"GREATEST(available_date + 1, DATE '{first}')"
    daily = [f"{daily_as_of} AS as_of"] + [
        f"{pick[f.name]}({part[f.name]}) AS {part[f.name]}" for f in carried
    ]
    running = [f"{pick[f.name]}(daily.{part[f.name]}) OVER up_to_now AS {part[f.name]}" for f in carried] + [
        f"CAST(SUM({column}__changes.change) OVER up_to_now AS BIGINT) AS {column}"
        for _, column, _ in distinct
    ]
    values = [
        f"{part[f.name]}.value AS {f.name}"
        if f.kind in ("last", "attribute")
        else f"DATE_DIFF('microsecond', {part[f.name]}, CAST(as_of AS TIMESTAMPTZ)) / 86400000000 AS {f.name}"
        for f in carried
    ] + [column for _, column, _ in distinct]
    changes = "".join(
        f" LEFT JOIN {c}__changes ON {entity.equal(f'{c}__changes', 'everyone')} AND {c}__changes.as_of = everyone.as_of"
        for _, c, _ in distinct
    )
    return [
        f"daily AS (SELECT {', '.join([*entity, *daily])} FROM tiles GROUP BY {entity}, {daily_as_of})",
        f"known AS (SELECT {entity}, MIN(as_of) AS since FROM daily GROUP BY {entity})",
        f"everyone AS (SELECT {entity.of('known')}, as_ofs.as_of FROM known JOIN as_ofs ON as_ofs.as_of >= since)",
        *(
            step
            for f, column, days in distinct
            for step in _distinct_changes(features, f, column, days, first)
        ),
        f"running AS (SELECT {', '.join([entity.of('everyone'), 'everyone.as_of', *running])} FROM everyone "
        f"LEFT JOIN daily ON {entity.equal('daily', 'everyone')} AND daily.as_of = everyone.as_of{changes} "
        f"WINDOW up_to_now AS (PARTITION BY {entity.of('everyone')} ORDER BY everyone.as_of))",
        f"state AS (SELECT {', '.join([*entity, 'as_of', *values])} FROM running)",
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
        f"{over(feature, f'event_date >= as_of - {days}')} AS {column}"
        for feature in features.features
        for column, days in feature.columns.items()
        if days is not None and feature.kind not in ("mode", "count_distinct")
    ]
    return (
        f"windowed AS (SELECT {', '.join([*features.entity, 'as_of', *columns])} FROM recent "
        f"GROUP BY {features.entity}, as_of)"
    )


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
