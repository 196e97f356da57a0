"""Features at arbitrary moments: the rows of a spine, each an entity and a time stamp.

For a row at ``as_of`` an event counts over a window if as_of - window <= occurred_at < as_of and available_at
<= as_of. Whole days that were known before the day of as_of come from tiles; what became known on that day,
and the day on which the window begins, come from the events themselves, aggregated into the same parts as
tiles. So no feature is defined a second time, and a busy entity costs a tile a day.

Queries are DuckDB SQL that sqlglot can carry to other engines: no ASOF joins, no function without an equal there.
"""

from ml_assets.features.aggregations.aggregation import Tally
from ml_assets.features.aggregations.distinct import Distinct
from ml_assets.features.feature_set import Aggregated, FeatureSet
from ml_assets.features.queries.layers import layers, merged_parts
from ml_assets.features.queries.tiles import (
    AVAILABLE,
    carried_parts,
    columns_of_source,
    known_events,
    part_columns,
    parts_of_events,
)
from ml_assets.lake.sql import quote

ROW = "__row"
"""The column that numbers the rows of a spine. Names that begin so are never a source's."""
AS_OF = "__as_of"
"""The moment of a row, beside the columns of a source."""


def spine_query(features: FeatureSet) -> str:
    """The query that gives every row of the relation ``spine`` its features.

    ``spine`` has ``__row`` (a number of its own for each row), the entity and ``as_of`` (TIMESTAMPTZ). The
    relation ``tiles`` holds the tiles with an available day before the day of the last as_of, ``<source>_events``
    the events that happened or became available on a day of an as_of, or on a day a window begins on. Columns:
    ``__row``, then the features in the order of declaration. A row whose entity has no events counts and
    sums 0 and has NULL otherwise.
    """
    windows = sorted({column.days for column in features.aggregated if column.days is not None})
    listed = [*features.distinct, *features.tallied]
    joins = "".join(f" LEFT JOIN {column.name}__listed USING ({ROW})" for column in listed)
    steps = [
        f"asked AS (SELECT {ROW}, {features.entity}, as_of AS {AS_OF}, CAST(as_of AS DATE) AS __day FROM spine)",
        *(step for source in features.sources for step in _touched(features, source, windows)),
        *(_carried(features) if carried_parts(features) else []),
        _pieces(features, windows),
        _folded(features),
        *(_distinct(column) for column in features.distinct),
        *(_tallied(column) for column in features.tallied),
        *layers(features, ROW, f"asked LEFT JOIN folded USING ({ROW}){joins}", AS_OF),
    ]
    return (
        f"WITH {', '.join(steps)} SELECT {', '.join([ROW, *map(quote, features.columns)])} "
        f"FROM layer_{len(features.ordered_sql)}"
    )


def _within(days: int) -> str:
    """The column that says whether a piece lies in a window."""
    return f"__within_{days}"


def _touched(features: FeatureSet, source: str, windows: list[int]) -> list[str]:
    """The events of which a tile would tell too little, aggregated: known only on as_of's day, or on a window's first."""
    known = f"known_{source}"
    same = features.entity.equal(known, "asked")
    begins = {days: f"occurred_at >= {AS_OF} - INTERVAL '{days}' DAY" for days in windows}
    flags = [f"{begins[days]} AS {_within(days)}" for days in windows]
    branches = [
        f"SELECT {', '.join([ROW, f'{known}.*', *flags])} FROM asked JOIN {known} ON {same} "
        f"AND {AVAILABLE} = __day WHERE occurred_at < {AS_OF} AND available_at <= {AS_OF}"
    ]
    for days in windows:
        flags = [f"{days == other} AS {_within(other)}" for other in windows]
        branches.append(
            f"SELECT {', '.join([ROW, f'{known}.*', *flags])} FROM asked JOIN {known} ON {same} "
            f"AND event_date = __day - {days} WHERE {AVAILABLE} < __day AND {begins[days]}"
        )
    touched = f"touched_{source}"
    return [
        known_events(features, source),
        f"{touched} AS ({' UNION ALL '.join(branches)})",
        *parts_of_events(features, source, touched, [ROW, *map(_within, windows)]),
    ]


def _carried(features: FeatureSet) -> list[str]:
    """What looks back without a limit, as it stood after each day on which something became available."""
    entity = features.entity
    parts = carried_parts(features).items()
    daily = [f"{part.merged(column)} AS {column}" for column, part in parts]
    running = [f"{part.merged(column, 'OVER up_to_now')} AS {column}" for column, part in parts]
    return [
        f"daily AS (SELECT {', '.join([str(entity), 'available_date', *daily])} FROM tiles "
        f"JOIN (SELECT DISTINCT {entity} FROM asked) AS whom USING ({entity}) GROUP BY {entity}, available_date)",
        f"carried AS (SELECT {entity}, available_date AS __after, "
        f"LEAD(available_date) OVER (PARTITION BY {entity} ORDER BY available_date) AS __until, {', '.join(running)} "
        f"FROM daily WINDOW up_to_now AS (PARTITION BY {entity} ORDER BY available_date))",
    ]


def _pieces(features: FeatureSet, windows: list[int]) -> str:
    """All parts a row is made of, each with the windows it lies in."""
    entity, columns = features.entity, part_columns(features)
    within = list(map(_within, windows))
    branches = [
        f"SELECT {', '.join([ROW, *within, *columns_of_source(features, source)])} FROM touched_{source}_parts"
        for source in features.sources
    ]
    if windows:
        flags = [f"event_date > __day - {days} AS {_within(days)}" for days in windows]
        branches.append(
            f"SELECT {', '.join([ROW, *flags, *columns])} FROM asked JOIN tiles ON {entity.equal('tiles', 'asked')} "
            f"AND available_date < __day AND event_date > __day - {windows[-1]}"
        )
    if parts := carried_parts(features):
        flags = [f"FALSE AS {_within(days)}" for days in windows]
        held = [column if column in parts else f"NULL AS {column}" for column in columns]
        branches.append(
            f"SELECT {', '.join([ROW, *flags, *held])} FROM asked JOIN carried ON {entity.equal('carried', 'asked')} "
            "AND __after < __day AND (__until IS NULL OR __until >= __day)"
        )
    return f"pieces AS ({' UNION ALL '.join(branches)})"


def _folded(features: FeatureSet) -> str:
    """The merged parts of what is folded, ``<column>__<part>``."""
    merged = {column: part.merged(column) for column, part in carried_parts(features).items()}
    for column in features.folded:
        if column.days is not None:
            merged |= merged_parts(column, _within(column.days))
    columns = [f"{each} AS {name}" for name, each in merged.items()]
    return f"folded AS (SELECT {', '.join([ROW, *columns])} FROM pieces GROUP BY {ROW})"


def _distinct(column: Aggregated[Distinct]) -> str:
    """A distinct count, which needs the values themselves."""
    assert column.days is not None
    return (
        f"{column.name}__listed AS (SELECT {ROW}, COUNT(DISTINCT __value) AS {quote(column.name)} FROM ("
        f"SELECT {ROW}, UNNEST({column.by.list}) AS __value FROM pieces WHERE {_within(column.days)}) AS listed "
        f"GROUP BY {ROW})"
    )


def _tallied(column: Aggregated[Tally]) -> str:
    """What is finished of how often each value occurs."""
    assert column.days is not None
    counts = (
        f"(SELECT {ROW}, __entry.value AS __value, SUM(__entry.n) AS __n FROM ("
        f"SELECT {ROW}, UNNEST({column.by.list}) AS __entry FROM pieces WHERE {_within(column.days)}) AS listed "
        f"GROUP BY {ROW}, __entry.value) AS counts"
    )
    return f"{column.name}__listed AS ({column.by.finish_counts(counts, ROW, quote(column.name))})"
