"""Tiles: partial aggregates of one entity over one day of events, keyed by the day they happened and became available.

Queries are DuckDB SQL that sqlglot can carry to other engines: no ASOF joins, no function without an equal there.
"""

from collections.abc import Sequence

from ml_assets.features.aggregations.aggregation import Part, Tally
from ml_assets.features.feature_set import FeatureSet
from ml_assets.lake.sql import quote

AVAILABLE_DATE = "GREATEST(event_date, CAST(available_at - INTERVAL 1 MICROSECOND AS DATE))"
"""The last day at whose beginning an event was not known: known at 00:00 belongs to the day before."""
AVAILABLE = "__available_date"
"""That day, beside the columns of the source."""


def tiles_query(features: FeatureSet) -> str:
    """The query that turns the events of every source, relations ``<source>_events``, into tiles.

    Columns: the entity, ``event_date``, ``available_date`` (both UTC days) and the parts of the aggregations,
    named ``<feature>__<part>``. A tile holds the events of one source; the parts of other sources are NULL in it.
    Events without an entity don't make tiles.
    """
    keys = [str(features.entity), "event_date", AVAILABLE]
    steps, tiles = [], []
    for source in features.sources:
        steps += [
            known_events(features, source),
            *parts_of_events(features, source, f"known_{source}", keys),
        ]
        listed = ", ".join(
            [*keys[:-1], f"{AVAILABLE} AS available_date", *columns_of_source(features, source)]
        )
        tiles.append(f"SELECT {listed} FROM known_{source}_parts")
    return f"WITH {', '.join(steps)} {' UNION ALL '.join(tiles)}"


def events_of(source: str) -> str:
    """The relation that holds a source's events."""
    return f"{source}_events"


def known_events(features: FeatureSet, source: str) -> str:
    """The common table expression ``known_<source>``: the events that have an entity, with ``__available_date``."""
    return (
        f"known_{source} AS (SELECT *, {AVAILABLE_DATE} AS {AVAILABLE} FROM {quote(events_of(source))} "
        f"WHERE {features.entity.is_named})"
    )


def part_columns(features: FeatureSet) -> dict[str, Part]:
    """The parts of a tile by their columns, in the order of declaration."""
    return {column: part for each in features.aggregations for column, part in each.columns.items()}


def carried_parts(features: FeatureSet) -> dict[str, Part]:
    """The parts by their columns that look back without a limit."""
    carried = [each for each in features.aggregations if not each.windowed]
    return {column: part for each in carried for column, part in each.columns.items()}


def columns_of_source(features: FeatureSet, source: str) -> list[str]:
    """The columns of all parts, in the order of declaration, as a tile of this source has them: of others NULL."""
    own = {column for each in features.of_source(source) for column in each.columns}
    return [column if column in own else f"NULL AS {column}" for column in part_columns(features)]


def parts_of_events(features: FeatureSet, source: str, relation: str, by: Sequence[str]) -> list[str]:
    """Common table expressions, the last ``<relation>_parts``: the keys ``by``, then the parts of the source."""
    keys, own = ", ".join(by), features.of_source(source)
    tallies = [each for each in own if isinstance(each, Tally)]
    columns = {column: part for each in own for column, part in each.columns.items()}
    aggregates = [f"{part.of_events} AS {column}" for column, part in columns.items() if part.of_events]
    joins = "".join(f" LEFT JOIN {relation}__{tally.name} USING ({keys})" for tally in tallies)
    return [
        f"{relation}_any AS (SELECT {', '.join([keys, *aggregates])} FROM {relation} GROUP BY {keys})",
        *(_counts(tally, relation, keys) for tally in tallies),
        f"{relation}_parts AS (SELECT {', '.join([keys, *columns])} FROM {relation}_any{joins})",
    ]


def _counts(tally: Tally, relation: str, keys: str) -> str:
    """A common table expression with how often each value occurs in each part."""
    return (
        f"{relation}__{tally.name} AS (SELECT {keys}, "
        f"LIST(STRUCT_PACK(value := __value, n := __n) ORDER BY __value) AS {tally.list} "
        f"FROM (SELECT {keys}, {tally.value} AS __value, COUNT(*) AS __n "
        f"FROM {relation} WHERE {' AND '.join(tally.conditions())} GROUP BY {keys}, __value) AS counted "
        f"GROUP BY {keys})"
    )
