"""The tables of a model that say what is watched, what was found, and what was done about it."""

from ml_assets.evaluation.tables import METRIC_COLUMNS
from ml_assets.lake.schema import DAY, LOSS, MOMENT, ROWS, SHARE, Schema, StoredColumn
from ml_assets.training.target import Target

_DEVIATIONS = "training deviations"
_WATCHED = StoredColumn("as_of", "DATE", "The day that was watched.", DAY)
_WATCHED_VERSION = StoredColumn(
    "model_version", "BIGINT", "The champion of then, whose training profile the day is held against."
)
_BREACHED_DAY = "Whether the features that moved carry as much of the model's weight as the limit, or more."

PROFILES = Schema(
    "profiles",
    "The training profile of each version: what every feature, the score and the number of rows looked like in the rows "
    "it learnt from, and from which distance a day is unlike them.",
    asset="candidate",
    partition_by=("cutoff",),
    columns=(
        StoredColumn("model_version", "BIGINT", "The version."),
        StoredColumn("feature", "VARCHAR", "A feature column, score, or rows: how many a day has."),
        StoredColumn("kind", "VARCHAR", "numeric, categorical, or volume (of rows)."),
        StoredColumn(
            "edges", "DOUBLE[]", "Of numbers, the inner edges of up to 56 bins; a bin has its upper edge."
        ),
        StoredColumn("categories", "VARCHAR[]", "Of categories, the up to 20 most frequent, each a bin."),
        StoredColumn(
            "seen",
            "BLOB",
            "Of more categories than bins, a bit for each by its MD5; empty if there were no more.",
        ),
        StoredColumn(
            "novel_share",
            "DOUBLE",
            "The most values of an as_of that no other as_of had, where there is a bit for each.",
            SHARE,
        ),
        StoredColumn(
            "shares", "DOUBLE[]", "Of the values, by bin; the last of categories is all others.", SHARE
        ),
        StoredColumn("null_share", "DOUBLE", "Rows without a value.", SHARE),
        StoredColumn("rows", "BIGINT", "Training rows.", ROWS),
        StoredColumn("lowest", "DOUBLE", "The least value; of the volume, the fewest rows of an as_of."),
        StoredColumn("highest", "DOUBLE", "The greatest value; of the volume, the most rows of an as_of."),
        StoredColumn("mean", "DOUBLE", "The mean value; of the volume, the mean rows of an as_of."),
        StoredColumn(
            "deviation", "DOUBLE", "Standard deviation of the values; of the volume, of the rows of an as_of."
        ),
        StoredColumn(
            "weight", "DOUBLE", "The feature's part of what the model uses; 0 of score and volume.", SHARE
        ),
        StoredColumn("psi_threshold", "DOUBLE", "The PSI above which a day is unlike training."),
        StoredColumn(
            "shift_threshold", "DOUBLE", "The shift above which it is; empty of categories.", _DEVIATIONS
        ),
        StoredColumn("null_threshold", "DOUBLE", "The share of nulls above which it is.", SHARE),
        StoredColumn("cutoff", "DATE", "The cutoff of the version.", DAY),
    ),
)
REFERENCES = Schema(
    "references",
    "The reference of each version: what it lost on the holdout that judged it, and what came of its scores there.",
    asset="evaluation",
    partition_by=("cutoff", "model_version"),
    columns=(
        StoredColumn("cutoff", "DATE", "The cutoff whose population is the holdout.", DAY),
        StoredColumn("model_version", "BIGINT", "The version."),
        StoredColumn("rows", "BIGINT", "Rows of the holdout.", ROWS),
        StoredColumn("rarest", "BIGINT", "Rows of the rarest class; empty of amounts.", ROWS),
        StoredColumn(
            "loss",
            "DOUBLE",
            "Its loss against that of who knows the label rates alone; empty if undefined.",
            LOSS,
        ),
        StoredColumn("loss_deviation", "DOUBLE", "Standard error of the loss."),
        StoredColumn("undefined", "VARCHAR", "Why the holdout defines no loss, in words; empty if it does."),
        StoredColumn("expected", "DOUBLE", "What the curves say the loss should have been.", LOSS),
        StoredColumn("expected_deviation", "DOUBLE", "Standard error of what was expected."),
        StoredColumn("edges", "DOUBLE[]", "The inner edges of up to 20 bins of the score."),
        StoredColumn("shares", "DOUBLE[]", "Rows by bin of the score.", SHARE),
        StoredColumn("lowest", "DOUBLE", "The least score."),
        StoredColumn("highest", "DOUBLE", "The greatest score."),
        StoredColumn("curves", "VARCHAR", "What came of such scores, by bin and class, as JSON."),
    ),
)
PERFORMANCE = Schema(
    "performance",
    "How the predictions of each cutoff and version turned out once their labels were mature; a row a cohort.",
    asset="performance",
    partition_by=("as_of",),
    columns=(
        StoredColumn("as_of", "DATE", "The cutoff of the predictions.", DAY),
        StoredColumn("model_version", "BIGINT", "The version that scored."),
        StoredColumn("loss", "DOUBLE", "The loss of the cohort; empty where it is not defined.", LOSS),
        StoredColumn("loss_deviation", "DOUBLE", "Standard error of the loss."),
        StoredColumn(
            "expected_loss",
            "DOUBLE",
            "What the scores alone let expect; empty where that is not known.",
            LOSS,
        ),
        StoredColumn("reference_loss", "DOUBLE", "The loss of the version on its holdout.", LOSS),
        StoredColumn(
            "worse",
            "BOOLEAN",
            "Whether the loss is above that of the holdout, by more than may be and beyond chance; empty if not judged.",
        ),
        StoredColumn(
            "unexpected",
            "BOOLEAN",
            "Whether it is likewise above what the scores let expect: the model is wrong about the world.",
        ),
        StoredColumn(
            "diagnosis",
            "VARCHAR",
            "stable, data drift, concept drift or data drift with loss; empty if not watched or not judged.",
        ),
        StoredColumn("reason", "VARCHAR", "All that in words."),
    ),
)
DRIFT = Schema(
    "drift",
    "How far each feature, the score and the number of rows of a day are from the champion's training profile.",
    asset="drift",
    partition_by=("as_of",),
    columns=(
        _WATCHED,
        _WATCHED_VERSION,
        StoredColumn("feature", "VARCHAR", "A feature column, score, or rows: how many there were."),
        StoredColumn("kind", "VARCHAR", "numeric, categorical, or volume (of rows)."),
        StoredColumn(
            "psi", "DOUBLE", "Population stability index over up to 10 groups of values, or over categories."
        ),
        StoredColumn(
            "psi_threshold",
            "DOUBLE",
            "Above it, psi has moved: that of the profile, or what chance reaches if more.",
        ),
        StoredColumn("shift", "DOUBLE", "Wasserstein distance of a number's values.", _DEVIATIONS),
        StoredColumn(
            "shift_threshold",
            "DOUBLE",
            "Above it, shift has moved: that of the profile, or what chance reaches if more.",
            _DEVIATIONS,
        ),
        StoredColumn("ks", "DOUBLE", "Kolmogorov-Smirnov statistic of a number's values, 0 to 1."),
        StoredColumn("ks_p", "DOUBLE", "Its p-value, if rows were independent; decides nothing."),
        StoredColumn("jensen_shannon", "DOUBLE", "Jensen-Shannon distance, by the natural logarithm."),
        StoredColumn("chi_square", "DOUBLE", "Chi-square statistic of two samples of categories."),
        StoredColumn("chi_square_freedom", "BIGINT", "Its degrees of freedom."),
        StoredColumn("chi_square_p", "DOUBLE", "Its p-value, if rows were independent; decides nothing."),
        StoredColumn("null_share", "DOUBLE", "Rows without a value.", SHARE),
        StoredColumn("null_threshold", "DOUBLE", "Above it, the data is broken.", SHARE),
        StoredColumn(
            "unseen_share",
            "DOUBLE",
            "Values in categories that training rarely or never saw, beyond its own.",
            SHARE,
        ),
        StoredColumn("low", "DOUBLE", "The least value of a number."),
        StoredColumn("high", "DOUBLE", "The greatest value of a number."),
        StoredColumn("mean", "DOUBLE", "The mean of a number; of the volume, the rows."),
        StoredColumn("mean_shift", "DOUBLE", "How far the mean has moved.", _DEVIATIONS),
        StoredColumn("breached", "BOOLEAN", "Moved or broken."),
        StoredColumn("broken", "BOOLEAN", "The data, rather than the world, seems to have changed."),
        StoredColumn("reason", "VARCHAR", "Why it is breached, in words; empty if it isn't."),
        StoredColumn(
            "weight", "DOUBLE", "The feature's part of what the model uses; 0 of score and volume.", SHARE
        ),
        StoredColumn("rows", "BIGINT", "Rows of the day.", ROWS),
    ),
)
DRIFT_DAYS = Schema(
    "drift_days",
    "The verdict on each day that was watched, and what the model is estimated to lose on it.",
    asset="drift",
    partition_by=("as_of",),
    columns=(
        _WATCHED,
        _WATCHED_VERSION,
        StoredColumn(
            "share", "DOUBLE", "Weight of the features that breached, of all that the model uses.", SHARE
        ),
        StoredColumn("breached", "BOOLEAN", _BREACHED_DAY),
        StoredColumn("broken", "BOOLEAN", "The data, rather than the world, seems to have changed."),
        StoredColumn("enough_rows", "BOOLEAN", "Whether there are rows enough to judge the day by."),
        StoredColumn("rows", "BIGINT", "Rows of the day.", ROWS),
        StoredColumn("reason", "VARCHAR", "The verdict in words."),
        StoredColumn(
            "estimated_loss",
            "DOUBLE",
            "What its scores let expect, before labels are there; empty if unknown.",
            LOSS,
        ),
        StoredColumn("estimated_deviation", "DOUBLE", "Standard error of the estimate over other such rows."),
        StoredColumn("reference_loss", "DOUBLE", "The loss of the version on its holdout.", LOSS),
        StoredColumn("estimate_trusted", "BOOLEAN", "Whether nothing speaks against the estimate."),
        StoredColumn("estimate", "VARCHAR", "The estimate in words, and what speaks against it."),
        StoredColumn(
            "losing",
            "BOOLEAN",
            "Whether the model is known to lose more than it may, by estimate or mature labels.",
        ),
        StoredColumn(
            "diagnosis",
            "VARCHAR",
            "broken data, or stable, data drift, concept drift or data drift with loss.",
        ),
    ),
)
EVIDENCE = Schema(
    "evidence",
    "What drifted or was lost, against which champion, by how much, and whether that calls for a retrain.",
    asset="drift",
    writer="the assets `drift` and `performance`, each its own rows",
    partition_by=("as_of", "found_by"),
    columns=(
        StoredColumn(
            "as_of",
            "DATE",
            "The first day on which it could be known: that drifted, or on which labels were mature.",
            DAY,
        ),
        StoredColumn("evidence_id", "VARCHAR", "A digest of what was found: the same finding has the same."),
        StoredColumn("model", "VARCHAR", "Name of the model."),
        StoredColumn("champion_version", "BIGINT", "The version it speaks against."),
        StoredColumn("found_by", "VARCHAR", "drift or performance."),
        StoredColumn("calls_for", "VARCHAR", "retrain or nothing."),
        StoredColumn("diagnosis", "VARCHAR", "As in drift_days and performance, or not watched."),
        StoredColumn(
            "share",
            "DOUBLE",
            "The model's weight in features that moved; empty where only labels speak.",
            SHARE,
        ),
        StoredColumn(
            "growth",
            "DOUBLE",
            "By how much the loss has grown since the holdout; empty if nothing is known.",
            LOSS,
        ),
        StoredColumn("reason", "VARCHAR", "The finding in words."),
    ),
)
ACTIONS = Schema(
    "actions",
    "What was done about the model and why, also when nothing was: a line for every decision that differs from the last.",
    asset="actions",
    writer="the sensor `<model>_retrain`",
    partition_by=("month",),
    columns=(
        StoredColumn("at", "TIMESTAMPTZ", "When it was decided.", MOMENT),
        StoredColumn(
            "as_of", "DATE", "The day it was decided of: the one after the last that had landed.", DAY
        ),
        StoredColumn("model", "VARCHAR", "Name of the model."),
        StoredColumn(
            "action", "VARCHAR", "retrain; wait: it is due and held up; ask: it needs a person; nothing."
        ),
        StoredColumn(
            "trigger",
            "VARCHAR",
            "What made it due: first, drift, performance, age or declared; empty if nothing did.",
        ),
        StoredColumn("why", "VARCHAR", "The reason in words."),
        StoredColumn("champion_version", "BIGINT", "The champion of then; empty if there was none."),
        StoredColumn(
            "cutoff",
            "DATE",
            "The newest cutoff with mature labels, which a retrain is of; empty if there was none.",
            DAY,
        ),
        StoredColumn("evidence_id", "VARCHAR", "The evidence it follows from; empty if from none."),
        StoredColumn("decided_by", "VARCHAR", "The sensor that decided."),
        StoredColumn("month", "DATE", "First day of the month in which it was decided.", DAY),
    ),
)


def performance_schema(target: Target) -> Schema:
    """``performance`` of a model that predicts such labels."""
    return PERFORMANCE.including(METRIC_COLUMNS[target.kind], after="model_version")
