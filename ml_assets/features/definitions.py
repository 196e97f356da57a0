"""The hashes of features: what each says of itself, and of the columns and features that it reads.

``read`` is what the contracts say of how the columns of events are read: source -> column -> hash.
"""

from collections.abc import Mapping
from typing import Any

from ml_assets.features.aggregations.aggregation import Aggregation
from ml_assets.features.entity import Entity
from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.spec import Feature
from ml_assets.lake.definition import ROWS, Definitions, changed, hash_of, syntax

TIMES = ("occurred_at", "available_at")

Readings = Mapping[str, Definitions]


def tile_definitions(features: FeatureSet, read: Readings) -> dict[str, str]:
    """Of every column of parts, by its name; and of which rows there are, ``*``."""
    parts = {
        column: _aggregation(features, feature, read)
        for feature in features.features
        if feature.aggregation
        for column in feature.aggregation.columns
    }
    return {ROWS: _rows(features, read), **parts}


def snapshot_definitions(features: FeatureSet, read: Readings) -> dict[str, str]:
    """Of every column of features, by its name, also of what it reads; and of which rows there are, ``*``."""
    found: dict[str, str] = {}
    for feature in features.features:
        if feature.aggregation:
            aggregated = _aggregation(features, feature, read)
            for column, days in feature.columns.items():
                found[column] = hash_of({"of": aggregated, "days": days})
    for layer in features.ordered_sql:
        for feature in layer:
            reads = {column: found[column] for column in feature.reads}
            found[feature.name] = hash_of({"sql": syntax(feature.expression), "reads": reads})
    return {ROWS: _rows(features, read), **{column: found[column] for column in features.columns}}


def _aggregation(features: FeatureSet, feature: Feature, read: Readings) -> str:
    by, source = feature.aggregation, features.source_of(feature)
    assert by is not None
    return hash_of({**_own(by), "source": source, "reads": _reads(features.entity, feature, read[source])})


def _own(by: Aggregation) -> dict[str, Any]:
    """What an aggregation says of itself, apart from its name."""
    given = {name: value for name, value in changed(by).items() if name in by.parameters()}
    return {
        **given,
        "by": by.key,
        "expression": "*" if by.expression == "*" else syntax(by.expression),
        "where": syntax(by.where),
        "version": by.version if by.version > 1 else None,
    }


def _reads(entity: Entity, feature: Feature, read: Definitions) -> dict[str, str]:
    """How the columns are read that a feature names, and those that every feature needs."""
    return {column: read[column] for column in (*entity, *TIMES, *feature.reads) if column in read}


def _rows(features: FeatureSet, read: Readings) -> str:
    """Which entities there are: whoever has an event in any of the sources."""
    needed = (*features.entity, *TIMES)
    sources = {name: {column: read[name][column] for column in needed} for name in features.sources}
    return hash_of({"entity": features.entity, "sources": sources})
