"""How every plan ends: merged parts become values, and ``sql`` features are computed of them, layer by layer."""

from ml_assets.features.aggregations.aggregation import Folded
from ml_assets.features.feature_set import Aggregated, FeatureSet
from ml_assets.lake.sql import quote


def merged_parts(column: Aggregated[Folded], condition: str) -> dict[str, str]:
    """The merged parts of a column, ``<column>__<part>``: SQL aggregates over the tiles for which a condition is true."""
    among = f"FILTER (WHERE {condition})"
    return {
        f"{column.name}__{name}": part.merged(f"{column.by.name}__{name}", among)
        for name, part in column.by.parts.items()
    }


def layers(features: FeatureSet, keys: str, rows: str, as_of: str) -> list[str]:
    """Common table expressions: ``layer_0`` with every aggregated column, then a layer for each of ``sql`` features.

    ``rows`` is what the first selects from, ``keys`` the columns it keeps, ``as_of`` the moment as an SQL expression.
    Of a folded aggregation ``rows`` have the merged parts, ``<column>__<part>``, of any other the column.
    """
    values = [keys]
    for column in features.aggregated:
        value = quote(column.name)
        if isinstance(column.by, Folded):
            value = column.by.finish({part: f"{column.name}__{part}" for part in column.by.parts}, as_of)
        values.append(f"{column.by.or_empty(value)} AS {quote(column.name)}")
    return [f"layer_0 AS (SELECT {', '.join(values)} FROM {rows})", *sql_layers(features)]


def sql_layers(features: FeatureSet) -> list[str]:
    """Common table expressions that add the ``sql`` features to ``layer_0``; the last is ``layer_<how many>``."""
    return [
        f"layer_{depth} AS (SELECT *, {', '.join(f'({f.expression}) AS {quote(f.name)}' for f in layer)} "
        f"FROM layer_{depth - 1})"
        for depth, layer in enumerate(features.ordered_sql, start=1)
    ]
