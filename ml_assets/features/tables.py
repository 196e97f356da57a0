"""The tables of a feature group: tiles, snapshots, and the catalogue of what the features are."""

from collections.abc import Iterable

from ml_assets.features.catalogue import computed, meaning
from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.queries.schema import snapshot_types, tile_types
from ml_assets.lake.schema import DAY, ROWS, SHARE, Schema, StoredColumn, short

TILES = Schema(
    "tiles",
    "Partial aggregates of one entity over one day of events of one source, from which every window is put together. "
    "Partitioned by the day the events became available, so that late events only add.",
    asset="tiles",
    partition_by=("available_date",),
    columns=(
        StoredColumn("event_date", "DATE", "The day on which the events happened.", DAY),
        StoredColumn(
            "available_date",
            "DATE",
            "The day on which they became available: the last at whose beginning they were not known.",
            DAY,
        ),
    ),
)
SNAPSHOT = Schema(
    "snapshot",
    "All features of every entity known by then, at 00:00 UTC of each as_of, from events that happened before it and "
    "were known by then.",
    asset="snapshot",
    partition_by=("as_of",),
    columns=(StoredColumn("as_of", "DATE", "The moment of the features: 00:00 UTC of this day.", DAY),),
)
CATALOGUE = Schema(
    "catalogue",
    "What every feature means, what it is made of, and how its values lie at the newest as_of; a row a feature column.",
    asset="catalogue",
    partition_by=("as_of",),
    columns=(
        StoredColumn("as_of", "DATE", "The as_of of the values.", DAY),
        StoredColumn("name", "VARCHAR", "The feature column."),
        StoredColumn("type", "VARCHAR", "Its DuckDB type."),
        StoredColumn("means", "VARCHAR", "What it says, as declared; empty where nothing is."),
        StoredColumn(
            "description",
            "VARCHAR",
            "What an engineer should know of it, as declared; empty where nothing is.",
        ),
        StoredColumn("owner", "VARCHAR", "Who answers for it: its own owner, or those of the group."),
        StoredColumn("computed", "VARCHAR", "The aggregation, its expression and its condition."),
        StoredColumn(
            "version",
            "VARCHAR",
            "The hash of its definition and of what it reads, shortened: another one, other values.",
        ),
        StoredColumn(
            "reads", "VARCHAR[]", "The columns of events that it is computed from, each as source.column."
        ),
        StoredColumn("models", "VARCHAR[]", "The models over the group."),
        StoredColumn("rows", "BIGINT", "Entities in the snapshot.", ROWS),
        StoredColumn("empty", "DOUBLE", "Entities without a value.", SHARE),
        StoredColumn("smallest", "VARCHAR", "The smallest value, as text; empty for text."),
        StoredColumn("median", "DOUBLE", "The median; empty for what is not a number."),
        StoredColumn("largest", "VARCHAR", "The largest value, as text; empty for text."),
        StoredColumn(
            "most_frequent",
            "VARCHAR",
            "Of text, the up to 3 most frequent values; empty otherwise.",
        ),
    ),
)
_MERGED = {
    "SUM": "days are added up",
    "MIN": "the least of several days counts",
    "MAX": "the greatest of several days counts",
    "COUNTS": "values in order, each with how often it occurs; the counts of days are added up",
    "UNION": "the different values in order; the sets of days are united",
}


def tiles_schema(features: FeatureSet, entity: Iterable[StoredColumn]) -> Schema:
    """``tiles`` of a group, ``entity`` being the columns that name what it is about."""
    types = tile_types(features)
    parts = [
        StoredColumn(
            f"{feature.name}__{name}",
            short(types[f"{feature.name}__{name}"]),
            f"Part {name} of {feature.name} ({computed(feature)}): {_MERGED[part.merge]}.",
        )
        for feature in features.features
        if (aggregation := feature.aggregation)
        for name, part in aggregation.parts.items()
    ]
    return TILES.including(entity).including(parts, after="available_date")


def snapshot_schema(features: FeatureSet, entity: Iterable[StoredColumn]) -> Schema:
    """``snapshot`` of a group, ``entity`` being the columns that name what it is about."""
    return SNAPSHOT.including(entity).including(feature_columns(features), after="as_of")


def feature_columns(features: FeatureSet) -> tuple[StoredColumn, ...]:
    """The features as they stand in a snapshot and a training set."""
    types = snapshot_types(features)
    return tuple(
        StoredColumn(
            column,
            short(types[column]),
            meaning(feature) + (f", over the last {days} days" if days else ""),
            feature.aggregation.unit if feature.aggregation else None,
        )
        for feature in features.features
        for column, days in feature.columns.items()
    )
