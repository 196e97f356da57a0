"""The values of features, held against what their declarations expect."""

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.spec import Expectation
from ml_assets.lake.sql import quote, text


@dataclass(frozen=True)
class Unexpected:
    """What a column should be, and for how many of its rows it isn't."""

    column: str
    expected: str
    found: str
    rows: int

    def __str__(self) -> str:
        return f"{self.column}: {self.expected} expected, {self.found} found, {self.rows} rows"


def find_unexpected(
    con: duckdb.DuckDBPyConnection, features: FeatureSet, rows: duckdb.DuckDBPyRelation
) -> list[Unexpected]:
    """What in the snapshot rows isn't as declared, in one pass; NaN is no number to expect."""
    asked = [
        each for f in features.features if f.expect for c in f.columns for each in _questions(c, f.expect)
    ]
    if not asked:
        return []
    rows.create_view("judged_features", replace=True)
    columns = ", ".join(f"CAST({found} AS VARCHAR), {number}" for _, _, found, number in asked)
    values = con.sql(f"SELECT {columns} FROM judged_features").fetchall()[0]
    return [
        Unexpected(column, expected, str(found), number)
        for (column, expected, _, _), found, number in zip(asked, values[::2], values[1::2], strict=True)
        if number
    ]


def _questions(column: str, expect: Expectation) -> Iterator[tuple[str, str, str, str]]:
    """Of each thing to expect of a column: column, words, SQL of what is found, SQL of how many rows are beyond."""
    low, high, share, named = expect.min, expect.max, expect.empty, quote(column)
    if low is not None:
        yield column, f"at least {low:g}", f"min({named})", f"count(*) FILTER (WHERE {named} < {low!r})"
    if high is not None:
        yield column, f"at most {high:g}", f"max({named})", f"count(*) FILTER (WHERE {named} > {high!r})"
    if share is not None:
        empty = f"count(*) - count({named})"
        beyond = f"CASE WHEN {empty} > {share!r} * count(*) THEN {empty} ELSE 0 END"
        yield column, f"at most {share:.1%} empty", f"round(({empty}) / count(*), 4)", beyond
    if expect.median is not None:
        low, high = expect.median
        median = f"median({named})"
        beyond = f"CASE WHEN {median} NOT BETWEEN {low!r} AND {high!r} THEN count({named}) ELSE 0 END"
        yield column, f"a median from {low:g} to {high:g}", median, beyond
    if expect.values is not None:
        listed = ", ".join(map(text, expect.values))
        strange = f"FILTER (WHERE CAST({named} AS VARCHAR) NOT IN ({listed}))"
        yield column, f"one of {', '.join(expect.values)}", f"min({named}) {strange}", f"count(*) {strange}"
