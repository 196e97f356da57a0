"""The tables of a model that say what came of its population, what it learns from, and what was trained."""

from collections.abc import Iterable, Sequence

from ml_assets.lake.schema import DAY, MOMENT, ROWS, SECONDS, Schema, StoredColumn
from ml_assets.training.moments import MOMENT as MOMENT_COLUMN
from ml_assets.training.spec import Label, Train
from ml_assets.training.target import Target

LABELS = Schema(
    "labels",
    "What came of each member of the population at each cutoff. Written once the whole horizon has landed.",
    asset="labels",
    partition_by=("as_of",),
    columns=(
        StoredColumn(
            "as_of", "DATE", "The cutoff, 00:00 UTC of this day, from which the label looks ahead.", DAY
        ),
        StoredColumn("matures", "DATE", "The first day on which the whole horizon is known.", DAY),
    ),
)
TRAINING_SET = Schema(
    "training_set",
    "What the candidate of a cutoff may learn from: labels that have matured by then, each with the features of its "
    "own as_of.",
    asset="training_set",
    partition_by=("cutoff",),
    columns=(
        StoredColumn(
            "cutoff", "DATE", "The moment, 00:00 UTC, up to which the candidate may know anything.", DAY
        ),
        StoredColumn(
            "as_of",
            "DATE",
            "The moment, 00:00 UTC, of features and label; where there is a moment, the end of its week.",
            DAY,
        ),
        StoredColumn(
            "split", "VARCHAR", "train: what is fitted on; tune: the newest, which decide when to stop."
        ),
    ),
)
CANDIDATE = Schema(
    "candidate",
    "What was trained at each cutoff, a row for every version: how it was fitted, and what it is compared with. The "
    "newest version of a cutoff is its candidate.",
    asset="candidate",
    partition_by=("cutoff",),
    columns=(
        StoredColumn("cutoff", "DATE", "The moment, 00:00 UTC, up to which it knows anything.", DAY),
        StoredColumn("model_version", "BIGINT", "Its number in the registry."),
        StoredColumn("run_id", "VARCHAR", "The MLflow run that has its parameters, curves and files."),
        StoredColumn(
            "training_set",
            "VARCHAR",
            "Content hash of the rows of its training set, after the name of its scheme.",
        ),
        StoredColumn("rows", "BIGINT", "Rows of its training set, train and tune.", ROWS),
        StoredColumn(
            "rounds",
            "BIGINT",
            "How many rounds the model has; empty of one that isn't made in rounds.",
            "rounds",
        ),
        StoredColumn(
            "train_loss",
            "DOUBLE",
            "Mean loss on train: log loss in nats; of amounts, the RMSE in the unit of the label.",
        ),
        StoredColumn(
            "tune_loss",
            "DOUBLE",
            "Mean loss on tune: log loss in nats; of amounts, the RMSE in the unit of the label.",
        ),
        StoredColumn("baseline", "VARCHAR", "The baseline that was fitted on the same rows, as JSON."),
        StoredColumn(
            "checked_scores",
            "DOUBLE[]",
            "Scores of the first 50 rows of tune, which the version has to give again when it is read back.",
        ),
        StoredColumn("parameters", "VARCHAR", "Parameters of the estimator, as JSON."),
        StoredColumn(
            "importance", "VARCHAR", "Each feature's share of what the model uses, as JSON; they sum to 1."
        ),
        StoredColumn("trials", "BIGINT", "Trials of the search that ended; 0 without a search.", "trials"),
        StoredColumn("search_seconds", "DOUBLE", "How long the search took; 0 without a search.", SECONDS),
        StoredColumn("fit_seconds", "DOUBLE", "How long the fit took.", SECONDS),
    ),
)


def labels_schema(entity: Iterable[StoredColumn], label: StoredColumn) -> Schema:
    """``labels`` of a model, ``entity`` being the columns that name what it is about."""
    return LABELS.including(entity).including([label], after="as_of")


def training_set_schema(
    entity: Iterable[StoredColumn], label: StoredColumn, train: Train, features: Sequence[StoredColumn]
) -> Schema:
    """``training_set`` of a model, ``features`` being the columns it learns from."""
    keys = [*entity]
    if train.after_each:
        said = "The moment of features and label: right after an event; of tune, as_of."
        keys.append(StoredColumn(MOMENT_COLUMN, "TIMESTAMPTZ", said, MOMENT))
    weight = [StoredColumn("weight", "DOUBLE", "What the row weighs in the fit.")] if train.weight else []
    keyed = TRAINING_SET.including(keys, after="cutoff").including([label], after="as_of")
    return keyed.including([*weight, *features], after="split")


def label_column(label: Label, means: str) -> StoredColumn:
    """The column ``label``, whose meaning is said in words."""
    if label.target.kind == "multiclass":
        means += "; the number of the class, from 0"
    return StoredColumn("label", label_type(label.target), f"{means[0].upper()}{means[1:]}.")


def label_type(target: Target) -> str:
    """The DuckDB type of a label."""
    return "INTEGER" if target.is_classes else "DOUBLE"
