"""Tiles: partial aggregates of one entity over one day of events, keyed by the day they happened and became available.

Queries are DuckDB SQL that sqlglot can carry to other engines: no ASOF joins, no function without an equal there.
"""

from collections.abc import Sequence

from ml_assets.features.spec import Feature, FeatureSet

AVAILABLE_DATE = "GREATEST(event_date, CAST(available_at - INTERVAL 1 MICROSECOND AS DATE))"
"""The last day at whose beginning an event was not known: known at 00:00 belongs to the day before."""

SUMS = (("sum", 6), ("squares", 12))
"""The exact sums behind a standard deviation, with their decimals; their difference is exact too."""


def tiles_query(features: FeatureSet) -> str:
    """The query that turns the events of every source, relations ``<source>_events``, into tiles.

    Columns: the entity, ``event_date``, ``available_date`` (both UTC days) and the partial aggregates,
    named ``<feature>__<part>``. A tile holds the events of one source; the parts of other sources are NULL in it.
    Events without an entity don't make tiles.
    """
    keys = [*features.entity, "event_date", "available_date"]
    steps, tiles = [], []
    for source in features.sources:
        steps += [
            known_events(features, source),
            *partial_aggregates(features, source, f"known_{source}", keys),
        ]
        listed = ", ".join([*keys, *parts_of(features, source)])
        tiles.append(f"SELECT {listed} FROM known_{source}_parts")
    return f"WITH {', '.join(steps)} {' UNION ALL '.join(tiles)}"


def events_of(source: str) -> str:
    """The relation that holds a source's events."""
    return f"{source}_events"


def known_events(features: FeatureSet, source: str) -> str:
    """The common table expression ``known_<source>``: the events that have an entity, with their available day."""
    return (
        f"known_{source} AS (SELECT *, {AVAILABLE_DATE} AS available_date FROM {events_of(source)} "
        f"WHERE {features.entity.is_named})"
    )


def parts_of(features: FeatureSet, source: str) -> list[str]:
    """All partial aggregates in the order of declaration, as a tile of this source has them: of others NULL."""
    own = {column for feature in features.of_source(source) for column in partials(feature)}
    return [column if column in own else f"NULL AS {column}" for column in part_columns(features)]


def partial_aggregates(features: FeatureSet, source: str, relation: str, by: Sequence[str]) -> list[str]:
    """Common table expressions, the last ``<relation>_parts``: the keys ``by``, then the source's partial aggregates."""
    keys, own = ", ".join(by), features.of_source(source)
    aggregates = [f"{sql} AS {column}" for f in own for column, sql in partials(f).items() if sql]
    modes = [f for f in own if f.kind == "mode"]
    columns = [column for feature in own for column in partials(feature)]
    joins = "".join(f" LEFT JOIN {relation}__{f.name} USING ({keys})" for f in modes)
    return [
        f"{relation}_any AS (SELECT {', '.join([keys, *aggregates])} FROM {relation} GROUP BY {keys})",
        *(_counts(f, relation, keys) for f in modes),
        f"{relation}_parts AS (SELECT {', '.join([keys, *columns])} FROM {relation}_any{joins})",
    ]


def part_columns(features: FeatureSet) -> list[str]:
    """The names of all partial aggregates, in the order of declaration."""
    return [column for feature in features.features for column in partials(feature)]


def carried_parts(features: FeatureSet) -> dict[str, str]:
    """The parts that look back without a limit, each with the SQL aggregate that takes two of them together."""
    return {
        part: "MIN" if feature.kind == "time_since_first" else "MAX"
        for feature in features.features
        if feature.is_carried
        for part in partials(feature)
    }


def partials(feature: Feature) -> dict[str, str | None]:
    """The columns of a tile that a feature needs, each with the SQL aggregate of events; None for one counted apart."""
    name, x = feature.name, feature.expression
    match feature.kind:
        case "count" if x == "*":
            return {f"{name}__n": f"COUNT(*){_filter(feature, needs_value=False)}"}
        case "count":
            return {f"{name}__n": f"COUNT({x}){_filter(feature)}"}
        case "count_distinct":
            return {f"{name}__values": f"LIST_SORT(LIST(DISTINCT {x}){_filter(feature)})"}
        case "sum":
            return {f"{name}__sum": _exact_sum(feature)}
        case "mean":
            return {f"{name}__sum": _exact_sum(feature), f"{name}__n": f"COUNT({x}){_filter(feature)}"}
        case "stddev":
            value = f"CAST({x} AS DECIMAL(18, 6))"
            return {
                f"{name}__n": f"COUNT({x}){_filter(feature)}",
                f"{name}__sum": f"SUM({value}){_filter(feature)}",
                f"{name}__squares": f"CAST(SUM({value} * {value}){_filter(feature)} AS DECIMAL(38, 12))",
            }
        case "min" | "max":
            return {f"{name}__{feature.kind}": f"{feature.kind}({x}){_filter(feature)}"}
        case "mode":
            return {f"{name}__counts": None}
        case "last":
            return {f"{name}__last": f"MAX(STRUCT_PACK(at := occurred_at, value := {x})){_filter(feature)}"}
        case "attribute":
            given = f"STRUCT_PACK(at := occurred_at, given := ({x}) IS NOT NULL, value := {x})"
            return {f"{name}__last": f"MAX({given}){_filter(feature, needs_value=False)}"}
        case "time_since_last":
            return {f"{name}__at": f"MAX(occurred_at){_filter(feature, needs_value=False)}"}
        case "time_since_first":
            return {f"{name}__at": f"MIN(occurred_at){_filter(feature, needs_value=False)}"}
        case "sql":
            return {}
    raise AssertionError(feature.kind)


def _filter(feature: Feature, needs_value: bool = True) -> str:
    conditions = [f"({feature.where})"] if feature.where else []
    if needs_value:
        conditions.append(f"({feature.expression}) IS NOT NULL")
    return f" FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""


def _exact_sum(feature: Feature) -> str:
    return f"CAST(SUM({feature.expression}){_filter(feature)} AS DECIMAL(38, 6))"


def _counts(feature: Feature, relation: str, keys: str) -> str:
    """A common table expression with how often each value occurs in each part."""
    where = f"({feature.expression}) IS NOT NULL" + (f" AND ({feature.where})" if feature.where else "")
    return (
        f"{relation}__{feature.name} AS (SELECT {keys}, "
        f"LIST(STRUCT_PACK(value := value, n := n) ORDER BY value) AS {feature.name}__counts "
        f"FROM (SELECT {keys}, CAST({feature.expression} AS TEXT) AS value, COUNT(*) AS n "
        f"FROM {relation} WHERE {where} GROUP BY {keys}, value) AS counted GROUP BY {keys})"
    )


def sql_layers(features: FeatureSet) -> list[str]:
    """Common table expressions that add the ``sql`` features to ``layer_0``; the last is ``layer_<how many>``."""
    return [
        f"layer_{depth} AS (SELECT *, {', '.join(f'({f.expression}) AS {f.name}' for f in layer)} "
        f"FROM layer_{depth - 1})"
        for depth, layer in enumerate(features.ordered_sql, start=1)
    ]


def over(feature: Feature, condition: str) -> str:
    """What is summed, counted or compared over the tiles for which a condition is true."""
    name, inside = feature.name, f"FILTER (WHERE {condition})"
    match feature.kind:
        case "count":
            return f"CAST(SUM({name}__n) {inside} AS BIGINT)"
        case "sum":
            return f"SUM({name}__sum) {inside}"
        case "mean":
            return f"CAST(SUM({name}__sum) {inside} AS DOUBLE) / NULLIF(SUM({name}__n) {inside}, 0)"
        case "stddev":
            n = f"CAST(SUM({name}__n) {inside} AS BIGINT)"
            total, squares = (
                f"CAST(SUM({name}__{part}) {inside} AS DECIMAL(38, {scale}))" for part, scale in SUMS
            )
            return f"SQRT(CAST({n} * {squares} - {total} * {total} AS DOUBLE) / NULLIF({n} * ({n} - 1), 0))"
        case "min" | "max":
            return f"{feature.kind}({name}__{feature.kind}) {inside}"
    raise AssertionError(feature.kind)
