"""The tables of a model that say how its candidates were judged."""

from ml_assets.lake.schema import DAY, ROWS, SECONDS, SHARE, Schema, StoredColumn
from ml_assets.training.target import Kind, Target

_CUTOFF = StoredColumn("cutoff", "DATE", "The candidate's cutoff, whose population is the holdout.", DAY)
_N = StoredColumn("n", "BIGINT", "Rows that are measured.", ROWS)
_NATS = "nats"
_OF_LABEL = "that of the label"

METRIC_COLUMNS: dict[Kind, tuple[StoredColumn, ...]] = {
    "binary": (
        _N,
        StoredColumn("positives", "BIGINT", "Rows with label 1.", ROWS),
        StoredColumn(
            "auc", "DOUBLE", "Area under the ROC curve: how often label 1 has the higher score.", SHARE
        ),
        StoredColumn("average_precision", "DOUBLE", "Precision averaged over the recall.", SHARE),
        StoredColumn("log_loss", "DOUBLE", "Mean negative log of the probability of what came.", _NATS),
        StoredColumn("brier", "DOUBLE", "Mean squared difference of score and label."),
        StoredColumn(
            "calibration_error",
            "DOUBLE",
            "Mean distance of score and label rate over bins of equal count.",
            SHARE,
        ),
        StoredColumn(
            "calibration_ratio", "DOUBLE", "Mean score / share of label 1; 1 promises as many as there are."
        ),
        StoredColumn("base_rate", "DOUBLE", "Rows with label 1.", SHARE),
    ),
    "regression": (
        _N,
        StoredColumn(
            "r2",
            "DOUBLE",
            "What is explained of the variance of the labels; at most 1, 0 for who says their mean.",
        ),
        StoredColumn("mae", "DOUBLE", "Mean absolute error.", _OF_LABEL),
        StoredColumn("rmse", "DOUBLE", "Root of the mean squared error.", _OF_LABEL),
        StoredColumn(
            "calibration_ratio", "DOUBLE", "Mean score / mean label; 1 promises as much as there is."
        ),
        StoredColumn("mean_label", "DOUBLE", "Mean label.", _OF_LABEL),
        StoredColumn("spearman", "DOUBLE", "Correlation of the ranks of scores and labels, -1 to 1."),
    ),
    "multiclass": (
        _N,
        StoredColumn("rarest", "BIGINT", "Rows of the rarest class.", ROWS),
        StoredColumn(
            "skill",
            "DOUBLE",
            "1 - log loss / log loss of who knows the shares of the classes alone; at most 1.",
        ),
        StoredColumn(
            "log_loss", "DOUBLE", "Mean negative log of the probability of the class that came.", _NATS
        ),
        StoredColumn("accuracy", "DOUBLE", "Rows whose most probable class came.", SHARE),
        StoredColumn(
            "calibration_ratio",
            "DOUBLE",
            "Mean probability / share of rows, of the class where it is furthest from 1.",
        ),
        StoredColumn(
            "calibration_error",
            "DOUBLE",
            "Mean distance of probability and share over bins of equal count, averaged over the classes.",
            SHARE,
        ),
    ),
}
"""The metrics of each kind of target, in the order in which they are shown."""

EVALUATION = Schema(
    "evaluation",
    "The metrics of the candidate, the champion of that time and the baseline on the same holdout, a row each.",
    asset="evaluation",
    partition_by=("cutoff",),
    columns=(
        _CUTOFF,
        StoredColumn("role", "VARCHAR", "candidate, champion or baseline."),
        StoredColumn("model_version", "BIGINT", "The version in that role; empty of the baseline."),
        StoredColumn(
            "low",
            "DOUBLE",
            "Lower end of the 95% bootstrap interval of the metric that models are compared by.",
        ),
        StoredColumn("high", "DOUBLE", "Its upper end."),
        StoredColumn(
            "seconds",
            "DOUBLE",
            "How long the evaluation took until it was written; of the candidate alone.",
            SECONDS,
        ),
    ),
)
DECISIONS = Schema(
    "decisions",
    "The decision records: what every gate said of the candidate of a cutoff. It passed if every gate says PASS or WARN.",
    asset="evaluation",
    partition_by=("cutoff",),
    columns=(
        _CUTOFF,
        StoredColumn("model_version", "BIGINT", "The candidate's version."),
        StoredColumn(
            "champion_version", "BIGINT", "The version it was compared with; empty if there was none."
        ),
        StoredColumn("gate", "VARCHAR", "Name of the gate."),
        StoredColumn("status", "VARCHAR", "PASS, WARN, FAIL or NOT EVALUATED."),
        StoredColumn("observed", "VARCHAR", "What the gate saw."),
        StoredColumn("required", "VARCHAR", "What it asks for."),
        StoredColumn("reason", "VARCHAR", "What follows, in a sentence."),
        StoredColumn(
            "holdout",
            "VARCHAR",
            "SHA-256 of the rows that were scored; if they change, the record holds no longer.",
        ),
        StoredColumn(
            "policy", "VARCHAR", "SHA-256 of everything in the YAML that decides whether a candidate passes."
        ),
    ),
)
SLICES = Schema(
    "slices",
    "How the roles do in each slice of the holdout, and how the candidate treats each group; a row per value of a "
    "column.",
    asset="evaluation",
    partition_by=("cutoff", "model_version"),
    columns=(
        _CUTOFF,
        StoredColumn("model_version", "BIGINT", "The candidate's version."),
        StoredColumn("kind", "VARCHAR", "slice or group."),
        StoredColumn("column", "VARCHAR", "The feature by which the holdout is split."),
        StoredColumn("value", "VARCHAR", "A value of it, a bin of numbers, or (none)."),
        StoredColumn("n", "BIGINT", "Rows with that value.", ROWS),
        StoredColumn("positives", "BIGINT", "Rows with label 1; empty where labels are not 0 or 1.", ROWS),
        StoredColumn("mean_label", "DOUBLE", "Mean label of a slice; empty of a group.", _OF_LABEL),
        StoredColumn("metric", "VARCHAR", "The metric that models are compared by; empty of a group."),
        StoredColumn("candidate", "DOUBLE", "The candidate's metric in a slice; empty of a group."),
        StoredColumn(
            "champion",
            "DOUBLE",
            "The champion's metric in a slice; empty without a champion, and of a group.",
        ),
        StoredColumn("baseline", "DOUBLE", "The baseline's metric in a slice; empty of a group."),
        StoredColumn(
            "selection_rate",
            "DOUBLE",
            "Rows of a group that the candidate's scores select; NaN where nobody is selected by a score, empty of a slice.",
            SHARE,
        ),
        StoredColumn(
            "true_positive_rate",
            "DOUBLE",
            "Rows of a group with label 1 that are selected; NaN where nobody is selected by a score, empty of a slice.",
            SHARE,
        ),
        StoredColumn("calibration_ratio", "DOUBLE", "The candidate's mean score / mean label."),
    ),
)


def evaluation_schema(target: Target) -> Schema:
    """``evaluation`` of a model that predicts such labels."""
    return EVALUATION.including(METRIC_COLUMNS[target.kind], after="model_version")
