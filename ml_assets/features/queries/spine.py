"""Features at arbitrary moments: the rows of a spine, each an entity and a time stamp.

For a row at ``as_of`` an event counts over a window if as_of - window <= occurred_at < as_of and available_at
<= as_of. Whole days that were known before the day of as_of come from tiles; what became known on that day,
and the day on which the window begins, come from the events themselves, aggregated into the same parts as
tiles. So no feature is defined a second time, and a busy entity costs a tile a day.

Queries are DuckDB SQL that sqlglot can carry to other engines: no ASOF joins, no function without an equal there.
"""

from ml_assets.features.queries.tiles import (
    carried_parts,
    known_events,
    over,
    part_columns,
    partial_aggregates,
    parts_of,
    sql_layers,
)
from ml_assets.features.spec import Feature, FeatureSet

ROW = "__row"
"""The column that numbers the rows of a spine. Names that begin so are never a source's."""


def spine_query(features: FeatureSet) -> str:
    """The query that gives every row of the relation ``spine`` its features.

    ``spine`` has ``__row`` (a number of its own for each row), the entity and ``as_of`` (TIMESTAMPTZ). The
    relation ``tiles`` holds the tiles with an available day before the day of the last as_of, ``<source>_events``
    the events that happened or became available on a day of an as_of, or on a day a window begins on. Columns:
    ``__row``, then the features in the order of declaration. A row whose entity has no events counts and
    sums 0 and has NULL otherwise.
    """
    windows = sorted({days for f in features.features for days in f.columns.values() if days is not None})
    counted = [
        (feature, column, days)
        for feature in features.features
        for column, days in feature.columns.items()
        if feature.kind in ("mode", "count_distinct") and days is not None
    ]
    steps = [
        f"asked AS (SELECT {ROW}, {features.entity}, as_of, CAST(as_of AS DATE) AS as_of_day FROM spine)",
        *(step for source in features.sources for step in _touched(features, source, windows)),
        *(_carried(features) if any(f.is_carried for f in features.features) else []),
        _pieces(features, windows),
        _aggregated(features),
        *(_counted(feature, column, days) for feature, column, days in counted),
        _together(features, [column for _, column, _ in counted]),
    ]
    steps += sql_layers(features)
    listed = ", ".join([ROW, *features.columns])
    return f"WITH {', '.join(steps)} SELECT {listed} FROM layer_{len(features.ordered_sql)}"


def _within(days: int) -> str:
    """The column that says whether a piece lies in a window."""
    return f"__within_{days}"


def _touched(features: FeatureSet, source: str, windows: list[int]) -> list[str]:
    """The events of which a tile would tell too little, aggregated: known only on as_of's day, or on a window's first."""
    known = f"known_{source}"
    same = features.entity.equal(known, "asked")
    begins = {days: f"occurred_at >= as_of - INTERVAL '{days}' DAY" for days in windows}
    flags = [f"{begins[days]} AS {_within(days)}" for days in windows]
    branches = [
        f"SELECT {', '.join([ROW, f'{known}.*', *flags])} FROM asked JOIN {known} ON {same} "
        "AND available_date = as_of_day WHERE occurred_at < as_of AND available_at <= as_of"
    ]
    for days in windows:
        flags = [f"{days == other} AS {_within(other)}" for other in windows]
        branches.append(
            f"SELECT {', '.join([ROW, f'{known}.*', *flags])} FROM asked JOIN {known} ON {same} "
            f"AND event_date = as_of_day - {days} WHERE available_date < as_of_day AND {begins[days]}"
        )
    touched = f"touched_{source}"
    return [
        known_events(features, source),
        f"{touched} AS ({' UNION ALL '.join(branches)})",
        *partial_aggregates(features, source, touched, [ROW, *map(_within, windows)]),
    ]


def _carried(features: FeatureSet) -> list[str]:
    """What looks back without a limit, as it stood after each day on which something became available."""
    entity = features.entity
    picked = [f"{together}({part}) {{over}}AS {part}" for part, together in carried_parts(features).items()]
    daily = [each.format(over="") for each in picked]
    running = [each.format(over="OVER up_to_now ") for each in picked]
    return [
        f"daily AS (SELECT {', '.join([*entity, 'available_date', *daily])} FROM tiles "
        f"JOIN (SELECT DISTINCT {entity} FROM asked) AS whom USING ({entity}) GROUP BY {entity}, available_date)",
        f"carried AS (SELECT {entity}, available_date AS after, "
        f"LEAD(available_date) OVER (PARTITION BY {entity} ORDER BY available_date) AS until, {', '.join(running)} "
        f"FROM daily WINDOW up_to_now AS (PARTITION BY {entity} ORDER BY available_date))",
    ]


def _pieces(features: FeatureSet, windows: list[int]) -> str:
    """All parts a row is made of, each with the windows it lies in."""
    entity, columns = features.entity, part_columns(features)
    branches = [
        f"SELECT {', '.join([ROW, *map(_within, windows), *parts_of(features, source)])} FROM touched_{source}_parts"
        for source in features.sources
    ]
    if windows:
        flags = [f"event_date > as_of_day - {days} AS {_within(days)}" for days in windows]
        branches.append(
            f"SELECT {', '.join([ROW, *flags, *columns])} FROM asked JOIN tiles ON {entity.equal('tiles', 'asked')} "
            f"AND available_date < as_of_day AND event_date > as_of_day - {windows[-1]}"
        )
    if parts := carried_parts(features):
        flags = [f"FALSE AS {_within(days)}" for days in windows]
        held = [column if column in parts else f"NULL AS {column}" for column in columns]
        branches.append(
            f"SELECT {', '.join([ROW, *flags, *held])} FROM asked JOIN carried ON {entity.equal('carried', 'asked')} "
            "AND after < as_of_day AND (until IS NULL OR until >= as_of_day)"
        )
    return f"pieces AS ({' UNION ALL '.join(branches)})"


def _aggregated(features: FeatureSet) -> str:
    columns = [f"{together}({part}) AS {part}" for part, together in carried_parts(features).items()]
    for feature in features.features:
        if not feature.is_carried and feature.kind not in ("mode", "count_distinct", "sql"):
            columns += [
                f"{over(feature, _within(days))} AS {column}"
                for column, days in feature.columns.items()
                if days
            ]
    return f"aggregated AS (SELECT {', '.join([ROW, *columns])} FROM pieces GROUP BY {ROW})"


def _counted(feature: Feature, column: str, days: int) -> str:
    """Distinct counts and most frequent values, which need the values themselves."""
    if feature.kind == "count_distinct":
        return (
            f"{column}__counted AS (SELECT {ROW}, COUNT(DISTINCT value) AS {column} FROM ("
            f"SELECT {ROW}, UNNEST({feature.name}__values) AS value FROM pieces WHERE {_within(days)}) AS listed "
            f"GROUP BY {ROW})"
        )
    return (
        f"{column}__counted AS (SELECT {ROW}, MIN(STRUCT_PACK(fewer := -n, value := value)).value AS {column} FROM ("
        f"SELECT {ROW}, entry.value AS value, SUM(entry.n) AS n FROM ("
        f"SELECT {ROW}, UNNEST({feature.name}__counts) AS entry FROM pieces WHERE {_within(days)}) AS listed "
        f"GROUP BY {ROW}, entry.value) AS summed GROUP BY {ROW})"
    )


def _together(features: FeatureSet, counted: list[str]) -> str:
    columns = []
    for feature in features.features:
        for column in feature.columns:
            if feature.kind in ("count", "count_distinct", "sum"):
                columns.append(f"COALESCE({column}, 0) AS {column}")
            elif feature.kind in ("last", "attribute"):
                columns.append(f"{feature.name}__last.value AS {column}")
            elif feature.is_carried:
                columns.append(
                    f"DATE_DIFF('microsecond', {feature.name}__at, as_of) / 86400000000 AS {column}"
                )
            elif feature.kind != "sql":
                columns.append(column)
    joins = "".join(f" LEFT JOIN {column}__counted USING ({ROW})" for column in counted)
    return f"layer_0 AS (SELECT {', '.join([ROW, *columns])} FROM asked LEFT JOIN aggregated USING ({ROW}){joins})"
