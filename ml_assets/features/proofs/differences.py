"""Two ways to the same features: a sample of entities, their values, and where these differ."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import duckdb

from ml_assets.features.feature_set import FeatureSet
from ml_assets.lake import Table
from ml_assets.lake.sql import quote

CLOSE = 1e-9
"""The relative difference that the order of operations may make to a float."""

Rows = dict[tuple[object, ...], tuple[object, ...]]
"""The values of an entity's columns -> those of the features."""


@dataclass(frozen=True)
class Disparity:
    """A feature of an entity that should be the same two ways and isn't."""

    column: str
    entity: str
    as_of: date | datetime
    found: object
    expected: object
    by: str

    def __str__(self) -> str:
        return (
            f"{self.column} of {self.entity} at {self.as_of} is {self.found}, but {self.expected} {self.by}"
        )


def hold_sample(
    con: duckdb.DuckDBPyConnection,
    features: FeatureSet,
    events: Mapping[str, Table],
    snapshot: Table,
    as_of: date,
    most: int,
) -> duckdb.DuckDBPyRelation:
    """Pick at most so many entities of a snapshot by a hash, the same ones every time; return their rows.

    They are left in the table ``chosen``, and their events, with those after as_of as far as a window is long, in
    ``true_<source>``.
    """
    stored = snapshot.read(con, between=(as_of, as_of))
    chosen = stored.select(str(features.entity)).order(f"hash({features.entity}, DATE '{as_of}')")
    con.execute(f"CREATE OR REPLACE TEMP TABLE chosen AS {chosen.limit(most).sql_query()}")
    horizon = as_of + timedelta(days=features.longest_window)
    for source, table in events.items():
        table.read(con, between=(date.min, horizon)).create_view("all_events", replace=True)
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE true_{source} AS "
            f"SELECT * FROM all_events SEMI JOIN chosen USING ({features.entity})"
        )
    stored.create_view("stored_rows", replace=True)
    return con.sql(f"SELECT * FROM stored_rows SEMI JOIN chosen USING ({features.entity})")


def values_of(con: duckdb.DuckDBPyConnection, features: FeatureSet, query: str) -> Rows:
    """The entities of a query's rows, each with its features."""
    columns, keys = ", ".join([str(features.entity), *map(quote, features.columns)]), len(features.entity)
    rows = con.sql(f"SELECT {columns} FROM ({query})").fetchall()
    return {tuple(row[:keys]): tuple(row[keys:]) for row in rows}


def differences(
    features: FeatureSet, as_of: date | datetime, found: Rows, expected: Rows, by: str
) -> list[Disparity]:
    """Where two ways give other values, floats up to the order of their operations; an entity left out has none."""
    nothing = (None,) * len(features.columns)
    return [
        Disparity(column, ", ".join(map(str, entity)), as_of, mine, theirs, by)
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
