"""The catalogue of a group: what every feature column means, what it is made of, and how its values lie."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import duckdb

from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.spec import Feature
from ml_assets.lake.definition import Definitions, short
from ml_assets.lake.sql import quote

NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DECIMAL", "FLOAT", "DOUBLE", "U")
"""What DuckDB's names of numbers begin with."""


def computed(feature: Feature) -> str:
    """The aggregation and its expression, as one line."""
    where = f" where {feature.where}" if feature.where else ""
    by = feature.aggregation
    given = {name: getattr(feature, name) for name in sorted(by.parameters() if by else ())}
    said = "".join(f", {name} {value}" for name, value in given.items() if value is not None)
    return f"{feature.kind}: {feature.expression}{said}{where}"


def meaning(feature: Feature) -> str:
    """What a feature says, in the words of its declaration, else in those of its aggregation."""
    by = feature.aggregation
    return feature.means or (f"{by.means} {computed(feature)}" if by else computed(feature))


def catalogue(
    con: duckdb.DuckDBPyConnection,
    features: FeatureSet,
    types: Mapping[str, str],
    snapshot: duckdb.DuckDBPyRelation,
    as_of: date,
    *,
    owners: Sequence[str],
    models: Sequence[str],
    definitions: Definitions,
) -> list[dict[str, Any]]:
    """A row for every feature column, with the distribution of its values in the rows of ``snapshot``.

    ``types`` maps columns to DuckDB types, ``owners`` answer for features that name none of their own, ``models``
    use the group, ``definitions`` are the hashes of the columns. The median is that of numbers, the most frequent
    values are those of text.
    """
    lying = _distributions(con, features, types, snapshot)
    return [
        {
            "as_of": as_of,
            "name": column,
            "type": types[column],
            "means": feature.means,
            "description": feature.description,
            "owner": feature.owner or ", ".join(owners),
            "computed": computed(feature),
            "version": short(definitions[column]),
            "reads": [f"{source}.{name}" for source, name in sorted(features.lineage(feature))],
            "models": list(models),
            **lying[column],
        }
        for feature in features.features
        for column in feature.columns
    ]


def shown(row: Mapping[str, Any]) -> dict[str, object]:
    """A row of the catalogue as a person reads it."""
    if row["most_frequent"] is not None:
        values = f"most often {row['most_frequent']}"
    else:
        low, median, high = (_short(row[name]) for name in ("smallest", "median", "largest"))
        values = f"{low} to {high}" + (f", median {median}" if median else "")
    return {
        "feature": row["name"],
        "means": " ".join(filter(None, (row["means"], row["description"]))),
        "computed": f"`{row['computed']}`",
        "version": row["version"],
        "reads": ", ".join(row["reads"]),
        "used by": ", ".join(row["models"]) or "no model",
        "values": values,
        "empty": f"{row['empty']:.1%}",
    }


def _short(value: object) -> str:
    """A number to four digits, anything else as it is; nothing for None."""
    try:
        return f"{float(str(value)):.4g}"
    except ValueError:
        return "" if value is None else str(value)


def _distributions(
    con: duckdb.DuckDBPyConnection,
    features: FeatureSet,
    types: Mapping[str, str],
    rows: duckdb.DuckDBPyRelation,
) -> dict[str, dict[str, Any]]:
    """Exact, so that the same rows have the same in whatever order they lie."""
    rows.create_view("catalogued_rows", replace=True)
    asked = ["count(*)"]
    for column in features.columns:
        name, number = quote(column), types[column].startswith(NUMBERS)
        median = f"median({name}::DOUBLE)" if number else "NULL"
        asked += [f"count({name})", f"min({name})::VARCHAR", f"max({name})::VARCHAR", median]
    [(count, *found)] = con.execute(f"SELECT {', '.join(asked)} FROM catalogued_rows").fetchall()
    each = zip(*(iter(found),) * 4, strict=True)
    return {
        column: {
            "rows": count,
            "empty": 1 - present / count if count else 0.0,
            "smallest": None if types[column] == "VARCHAR" else low,
            "median": median,
            "largest": None if types[column] == "VARCHAR" else high,
            "most_frequent": _most_frequent(con, column) if types[column] == "VARCHAR" else None,
        }
        for column, (present, low, high, median) in zip(features.columns, each, strict=True)
    }


def _most_frequent(con: duckdb.DuckDBPyConnection, column: str) -> str:
    """The up to three values that most rows have, the most frequent first; equally frequent ones by the alphabet."""
    name = quote(column)
    found = con.execute(
        f"SELECT {name} FROM catalogued_rows WHERE {name} IS NOT NULL GROUP BY {name} "
        f"ORDER BY count(*) DESC, {name} LIMIT 3"
    ).fetchall()
    return ", ".join(value for (value,) in found)
