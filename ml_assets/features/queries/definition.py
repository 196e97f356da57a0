"""The definition of every feature as plain SQL over events, feature by feature and without tiles.

What the compiled queries are held against: slow, and easy to read beside the declaration.
"""

from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.queries.layers import sql_layers
from ml_assets.features.spec import Feature
from ml_assets.lake.sql import quote


def definition_query(features: FeatureSet, now: str) -> str:
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
        for feature in features.features:
            if feature.kind == "sql" or features.source_of(feature) != source:
                continue
            for column, days in feature.columns.items():
                if feature.kind == "mode":
                    steps.append(_mode(features, feature, column, days, now))
                    tables.append(f"{column}__mode")
                else:
                    columns.append(f"{_aggregate(feature, days, now)} AS {quote(column)}")
                    if feature.kind == "sum":
                        columns.append(f"{_no_sum(feature, days, now)} AS {quote(f'__no_sum_{column}')}")
        steps.append(
            f"from_{source} AS (SELECT {', '.join([str(entity), *columns])} FROM past_{source} GROUP BY {entity})"
        )
        tables.append(f"from_{source}")
    given = [
        f"CASE WHEN {quote(f'__no_sum_{column}')} THEN NULL ELSE COALESCE({quote(column)}, 0) END AS {quote(column)}"
        if feature.kind == "sum"
        else f"COALESCE({quote(column)}, 0) AS {quote(column)}"
        if feature.kind in ("count", "count_distinct")
        else quote(column)
        for feature in features.features
        if feature.kind != "sql"
        for column in feature.columns
    ]
    joins = "".join(f" LEFT JOIN {table} ON {entity.equal(table, 'anyone')}" for table in tables)
    steps.append(f"layer_0 AS (SELECT {', '.join([entity.of('anyone'), *given])} FROM anyone{joins})")
    steps += sql_layers(features)
    return f"WITH {', '.join(steps)} SELECT * FROM layer_{len(features.ordered_sql)}"


def _inside(feature: Feature, days: int | None, now: str, needs_value: bool = True) -> str:
    """The FILTER that leaves the events of a window which the feature counts."""
    conditions = [f"occurred_at >= {now} - INTERVAL {days} DAY"] if days is not None else []
    conditions += [f"({feature.where})"] if feature.where else []
    conditions += [f"({feature.expression}) IS NOT NULL"] if needs_value else []
    return f" FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""


def _small_sum(feature: Feature, days: int | None, now: str) -> str:
    """The sum of the values below 1e18."""
    value = f"TRY([{feature.expression}])[1]"
    small = f"CASE WHEN abs(CAST({value} AS DOUBLE)) < 1e18 THEN {value} END"
    return f"sum({small}){_inside(feature, days, now, needs_value=False)}"


def _no_sum(feature: Feature, days: int | None, now: str) -> str:
    """Whether a value is 1e18 or more, or overflows, or all add up to more than a sum holds."""
    tried, rows = f"TRY([{feature.expression}])", _inside(feature, days, now, needs_value=False)
    large = f"{tried} IS NULL OR coalesce(abs(CAST({tried}[1] AS DOUBLE)) >= 1e18, false)"
    return f"(coalesce(bool_or({large}){rows}, false) OR coalesce(abs({_small_sum(feature, days, now)}) >= 5e23, false))"


def _aggregate(feature: Feature, days: int | None, now: str) -> str:
    x, having = feature.expression, _inside(feature, days, now)
    match feature.kind:
        case "count" if x == "*":
            return f"count(*){_inside(feature, days, now, needs_value=False)}"
        case "count":
            return f"count({x}){having}"
        case "count_distinct":
            return f"count(DISTINCT {x}){having}"
        case "sum":
            return f"{_small_sum(feature, days, now)} + CAST(0 AS DECIMAL(7, 6))"
        case "mean":
            rows = _inside(feature, days, now, needs_value=False)
            mean = f"CAST({_small_sum(feature, days, now)} AS DOUBLE) / nullif(count(TRY([{x}])[1]){rows}, 0)"
            return f"CASE WHEN {_no_sum(feature, days, now)} THEN NULL ELSE {mean} END"
        case "stddev":
            rows, value = (
                _inside(feature, days, now, needs_value=False),
                f"TRY_CAST(TRY([{x}])[1] AS DECIMAL(19, 6))",
            )
            is_none = f"TRY([{x}]) IS NOT NULL AND TRY([{x}])[1] IS NULL"
            is_small = f"bool_and(({is_none}) OR coalesce(abs({value}) < 100000000, false)){rows}"
            return f"CASE WHEN {is_small} THEN stddev_samp({value}){rows} END"
        case "min" | "max":
            return f"{feature.kind}({x}){having}"
        case "quantile":
            return f"quantile_disc({x}, {feature.q or 0.5:f}){having}"
        case "first":
            return f"first({x} ORDER BY occurred_at, {x} DESC){having}"
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


def _mode(features: FeatureSet, feature: Feature, column: str, days: int | None, now: str) -> str:
    entity, value = features.entity, f"CAST({feature.expression} AS VARCHAR)"
    past = f"past_{features.source_of(feature)}"
    inside = _inside(feature, days, now).removeprefix(" FILTER (").removesuffix(")")
    return (
        f"{column}__mode AS (SELECT {entity}, first(__value ORDER BY __n DESC, __value) AS {quote(column)} FROM ("
        f"SELECT {entity}, {value} AS __value, count(*) AS __n FROM {past} {inside} GROUP BY {entity}, __value) AS counted "
        f"GROUP BY {entity})"
    )
