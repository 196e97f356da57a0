"""Snapshots: all features of all entities at 00:00 UTC of a day, merged from tiles.

A snapshot takes the tiles with available day < as_of and as_of - window <= event day < as_of, so an event at or
after as_of, or one that was not yet known, never counts.
"""

from datetime import date

from ml_assets.features.aggregations.aggregation import Tally
from ml_assets.features.aggregations.distinct import Distinct
from ml_assets.features.feature_set import Aggregated, FeatureSet
from ml_assets.features.queries.layers import layers, merged_parts
from ml_assets.features.queries.tiles import carried_parts
from ml_assets.lake.sql import quote


def snapshot_query(features: FeatureSet, first: date, last: date) -> str:
    """The query that turns the relation ``tiles`` into snapshots for every day from ``first`` to ``last``.

    Columns: the entity, ``as_of`` (DATE, the moment is its 00:00 UTC), then the feature columns in the
    order of declaration. A row for every entity known before as_of. The relation ``tiles`` must hold all
    tiles with available day < ``last``; those before ``first`` - the longest window only carry state.
    """
    entity = features.entity
    steps = [
        f"as_ofs AS (SELECT CAST(UNNEST(GENERATE_SERIES(DATE '{first}', DATE '{last}', INTERVAL 1 DAY)) AS DATE) AS as_of)",
        *_running(features, first),
        *_windowed(features, first),
        *(step for column in features.tallied for step in _tallied(features, column, first, last)),
    ]
    joins = "".join(
        f" LEFT JOIN {relation} ON {entity.equal(relation, 'running')} AND {relation}.as_of = running.as_of"
        for relation in ("windowed", *(f"{column.name}__tallied" for column in features.tallied))
    )
    steps += layers(
        features,
        f"{entity.of('running')}, running.as_of",
        f"running{joins}",
        "CAST(running.as_of AS TIMESTAMPTZ)",
    )
    return (
        f"WITH {', '.join(steps)} SELECT {', '.join([str(entity), 'as_of', *map(quote, features.columns)])} "
        f"FROM layer_{len(features.ordered_sql)}"
    )


def _running(features: FeatureSet, first: date) -> list[str]:
    """Who is known at each as_of, with what is carried from day to day: parts without a window, and distinct counts."""
    entity, carried = features.entity, carried_parts(features)
    begins = _begins(first)
    daily = [
        f"{begins} AS as_of",
        *(f"{part.merged(column)} AS {column}" for column, part in carried.items()),
    ]
    running = [
        *(
            f"{part.merged(f'daily.{column}', 'OVER up_to_now')} AS {column}"
            for column, part in carried.items()
        ),
        *(
            f"CAST(SUM({column.name}__changes.__change) OVER up_to_now AS BIGINT) AS {quote(column.name)}"
            for column in features.distinct
        ),
    ]
    joins = "".join(
        f" LEFT JOIN {relation} ON {entity.equal(relation, 'everyone')} AND {relation}.as_of = everyone.as_of"
        for relation in ("daily", *(f"{column.name}__changes" for column in features.distinct))
    )
    return [
        f"daily AS (SELECT {', '.join([str(entity), *daily])} FROM tiles GROUP BY {entity}, {begins})",
        f"known AS (SELECT {entity}, MIN(as_of) AS __since FROM daily GROUP BY {entity})",
        f"everyone AS (SELECT {entity.of('known')}, as_ofs.as_of FROM known JOIN as_ofs ON as_ofs.as_of >= __since)",
        *(step for column in features.distinct for step in _distinct_changes(features, column, first)),
        f"running AS (SELECT {', '.join([entity.of('everyone'), 'everyone.as_of', *running])} FROM everyone{joins} "
        f"WINDOW up_to_now AS (PARTITION BY {entity.of('everyone')} ORDER BY everyone.as_of))",
    ]


def _windowed(features: FeatureSet, first: date) -> list[str]:
    """The parts that are folded over a window of tiles."""
    longest = features.longest_window
    merged = [
        f"{each} AS {name}"
        for column in features.folded
        if column.days is not None
        for name, each in merged_parts(column, f"event_date >= as_of - {column.days}").items()
    ]
    return [
        "recent AS (SELECT tiles.*, as_of FROM tiles JOIN as_ofs ON available_date < as_of AND event_date < as_of "
        f"AND event_date >= as_of - {longest} WHERE available_date >= DATE '{first}' - {longest})",
        f"windowed AS (SELECT {', '.join([str(features.entity), 'as_of', *merged])} FROM recent "
        f"GROUP BY {features.entity}, as_of)",
    ]


def _begins(first: date) -> str:
    """The first as_of, of those asked for, at which a tile is known."""
    return f"GREATEST(available_date + 1, DATE '{first}')"


def _entries(features: FeatureSet, column: Aggregated[Tally | Distinct], listed: str, first: date) -> str:
    """A query of what tiles list, a ``__entry`` each that counts at the as_ofs from ``__begins`` to ``__ends``."""
    return (
        f"SELECT {features.entity}, __entry, {_begins(first)} AS __begins, event_date + {column.days} AS __ends "
        f"FROM (SELECT {features.entity}, event_date, available_date, UNNEST({listed}) AS __entry FROM tiles "
        f"WHERE event_date >= DATE '{first}' - {column.days}) AS listed"
    )


def _distinct_changes(features: FeatureSet, column: Aggregated[Distinct], first: date) -> list[str]:
    """By how much a distinct count changes at each as_of.

    A tile's value counts from the day after it became available until the window has passed over it. Where
    spans of the same value overlap, only what a later one adds is kept, so that each value counts once.
    """
    entity, name = features.entity, column.name
    return [
        f"{name}__spans AS ({_entries(features, column, column.by.list, first)})",
        f"{name}__added AS (SELECT {entity}, __ends, GREATEST(__begins, COALESCE(MAX(__ends) OVER "
        f"(PARTITION BY {entity}, __entry ORDER BY __begins, __ends ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) + 1, "
        f"__begins)) AS __begins FROM {name}__spans)",
        f"{name}__changes AS (SELECT {entity}, as_of, SUM(__change) AS __change FROM ("
        f"SELECT {entity}, __begins AS as_of, 1 AS __change FROM {name}__added WHERE __begins <= __ends UNION ALL "
        f"SELECT {entity}, __ends + 1 AS as_of, -1 AS __change FROM {name}__added WHERE __begins <= __ends) AS both_ends "
        f"GROUP BY {entity}, as_of)",
    ]


def _tallied(features: FeatureSet, column: Aggregated[Tally], first: date, last: date) -> list[str]:
    """What is finished of how often each value counts at each as_of.

    That changes only where a tile enters or leaves the window; between two changes it stands, and only there is it
    spread over the as_ofs.
    """
    entity, name = features.entity, column.name
    counts = (
        f"(SELECT {entity}, as_of, __value, __n FROM {name}__levels "
        "JOIN as_ofs ON as_of >= __since AND as_of < __until WHERE __n > 0) AS counts"
    )
    return [
        f"{name}__entries AS (SELECT {entity}, __entry.value AS __value, __entry.n AS __n, __begins, __ends "
        f"FROM ({_entries(features, column, column.by.list, first)}) AS entries "
        "WHERE __begins <= __ends)",
        f"{name}__steps AS (SELECT {entity}, __value, __day, SUM(__change) AS __change FROM ("
        f"SELECT {entity}, __value, __begins AS __day, __n AS __change FROM {name}__entries UNION ALL "
        f"SELECT {entity}, __value, __ends + 1 AS __day, -__n AS __change FROM {name}__entries) "
        f"AS both_ends GROUP BY {entity}, __value, __day)",
        f"{name}__levels AS (SELECT {entity}, __value, __day AS __since, "
        f"LEAD(__day, 1, DATE '{last}' + 1) OVER in_order AS __until, SUM(__change) OVER in_order AS __n "
        f"FROM {name}__steps WINDOW in_order AS (PARTITION BY {entity}, __value ORDER BY __day))",
        f"{name}__tallied AS ({column.by.finish_counts(counts, f'{entity}, as_of', quote(name))})",
    ]
