"""The values of features, held against what their declarations expect."""

from dataclasses import dataclass

import duckdb

from ml_assets.features.spec import FeatureSet


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
    asked: list[tuple[str, str, str, str]] = []
    for feature in features.features:
        for column in feature.columns if feature.expect else ():
            assert feature.expect
            low, high, share = feature.expect.min, feature.expect.max, feature.expect.empty
            if low is not None:
                asked.append(
                    (
                        column,
                        f"at least {low:g}",
                        f"min({column})",
                        f"count(*) FILTER (WHERE {column} < {low!r})",
                    )
                )
            if high is not None:
                asked.append(
                    (
                        column,
                        f"at most {high:g}",
                        f"max({column})",
                        f"count(*) FILTER (WHERE {column} > {high!r})",
                    )
                )
            if share is not None:
                empty = f"count(*) - count({column})"
                beyond = f"CASE WHEN {empty} > {share!r} * count(*) THEN {empty} ELSE 0 END"
                asked.append(
                    (column, f"at most {share:.1%} empty", f"round(({empty}) / count(*), 4)", beyond)
                )
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
