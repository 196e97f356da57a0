"""Every table of a source, a feature group and a model, with its columns and partitions as they are declared.

A schema stands in the room that writes the table; here they are all named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml_assets.contracts import Contract
from ml_assets.evaluation.tables import DECISIONS, EVALUATION, SLICES, evaluation_schema
from ml_assets.features import FeatureSet
from ml_assets.features.tables import CATALOGUE, feature_columns, snapshot_schema, tiles_schema
from ml_assets.lake import Lake, Table
from ml_assets.lake.schema import Schema, StoredColumn
from ml_assets.landing.tables import (
    FILES,
    QUARANTINE,
    REFUSED_FILES,
    WAIVERS,
    WITHHELD,
    events_schema,
    raw_schema,
)
from ml_assets.monitoring.tables import (
    ACTIONS,
    DRIFT,
    DRIFT_DAYS,
    EVIDENCE,
    PERFORMANCE,
    PROFILES,
    REFERENCES,
    performance_schema,
)
from ml_assets.registry.declared import label_in_words
from ml_assets.registry.tables import PROMOTIONS
from ml_assets.serving.tables import PREDICTIONS, predictions_schema
from ml_assets.training.spec import Label, Train
from ml_assets.training.tables import (
    CANDIDATE,
    LABELS,
    TRAINING_SET,
    label_column,
    labels_schema,
    training_set_schema,
)

Schemas = Mapping[str, Schema]
"""The tables of one source, feature group or model, by their names below its own, in the order they are filled."""


@dataclass(frozen=True)
class ModelTables:
    """The tables of one model."""

    labels: Table
    training_set: Table
    candidate: Table
    profiles: Table
    evaluation: Table
    decisions: Table
    slices: Table
    references: Table
    promotions: Table
    predictions: Table
    performance: Table
    drift: Table
    drift_days: Table
    evidence: Table
    actions: Table

    @classmethod
    def of(cls, lake: Lake, model: str) -> "ModelTables":
        """The tables of the model of that name."""
        return cls(
            labels=LABELS.table(lake, model),
            training_set=TRAINING_SET.table(lake, model),
            candidate=CANDIDATE.table(lake, model),
            profiles=PROFILES.table(lake, model),
            evaluation=EVALUATION.table(lake, model),
            decisions=DECISIONS.table(lake, model),
            slices=SLICES.table(lake, model),
            references=REFERENCES.table(lake, model),
            promotions=PROMOTIONS.table(lake, model),
            predictions=PREDICTIONS.table(lake, model),
            performance=PERFORMANCE.table(lake, model),
            drift=DRIFT.table(lake, model),
            drift_days=DRIFT_DAYS.table(lake, model),
            evidence=EVIDENCE.table(lake, model),
            actions=ACTIONS.table(lake, model),
        )


def source_schemas(contract: Contract) -> Schemas:
    """The tables of a source under its contract."""
    return _named(
        raw_schema(contract), FILES, REFUSED_FILES, events_schema(contract), QUARANTINE, WITHHELD, WAIVERS
    )


def group_schemas(features: FeatureSet, entity: Sequence[StoredColumn]) -> Schemas:
    """The tables of a feature group, ``entity`` being the columns that name what it is about."""
    return _named(tiles_schema(features, entity), snapshot_schema(features, entity), CATALOGUE)


def model_schemas(
    features: FeatureSet, entity: Sequence[StoredColumn], label: Label, train: Train
) -> Schemas:
    """The tables of a model over a group's features, which learns such labels."""
    target, labelled = label.target, label_column(label, label_in_words(label))
    return _named(
        labels_schema(entity, labelled),
        training_set_schema(entity, labelled, train, feature_columns(features)),
        CANDIDATE,
        PROFILES,
        evaluation_schema(target),
        DECISIONS,
        SLICES,
        REFERENCES,
        PROMOTIONS,
        predictions_schema(entity, target),
        performance_schema(target),
        DRIFT,
        DRIFT_DAYS,
        EVIDENCE,
        ACTIONS,
    )


def _named(*schemas: Schema) -> Schemas:
    return {schema.name: schema for schema in schemas}
