"""The table of a model's predictions."""

from collections.abc import Iterable

from ml_assets.lake.schema import DAY, Schema, StoredColumn
from ml_assets.training.target import Target

PREDICTIONS = Schema(
    "predictions",
    "The champion's score of every member of the population at each as_of. Scores of an earlier champion stay beside "
    "those of a later one.",
    asset="predictions",
    partition_by=("as_of", "model_version"),
    columns=(
        StoredColumn(
            "prediction_id",
            "VARCHAR",
            "MD5 of model, version, entity and as_of: the same prediction has the same.",
        ),
        StoredColumn("as_of", "DATE", "The moment of the features, 00:00 UTC of this day.", DAY),
        StoredColumn("model_version", "BIGINT", "The version that scored."),
        StoredColumn(
            "known_until",
            "DATE",
            "The version's cutoff: what happened before it may have been learnt from.",
            DAY,
        ),
        StoredColumn("features_hash", "VARCHAR", "MD5 of the feature values: the same inputs have the same."),
        StoredColumn(
            "score",
            "DOUBLE",
            "The expected label: the probability of label 1, the expected amount, or the mean number of the class.",
        ),
    ),
)


def predictions_schema(entity: Iterable[StoredColumn], target: Target) -> Schema:
    """``predictions`` of a model, ``entity`` being the columns that name what it is about."""
    keyed = PREDICTIONS.including(entity, after="prediction_id")
    if target.kind != "multiclass":
        return keyed
    said = f"Probability of each class, in their order: {', '.join(target.classes)}."
    return keyed.including([StoredColumn("probabilities", "DOUBLE[]", said)], after="score")
