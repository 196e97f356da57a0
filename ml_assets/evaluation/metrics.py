"""Metrics of a model on a holdout, for every kind of target, in numpy alone.

A metric the data doesn't define (AUC of one class, anything of a score that is not a number) is a float
nan: it raises nothing, warns of nothing, and passes no comparison.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ml_assets.evaluation.arrays import Floats, Integers, labels_of, predicted, probabilities_problem, ratio
from ml_assets.evaluation.ranking import Ranking
from ml_assets.evaluation.tables import METRIC_COLUMNS
from ml_assets.training.target import Kind, Target

if TYPE_CHECKING:
    import pandas as pd

Metrics = dict[str, int | float]
"""Metric -> number, in the order of ``METRICS``."""

METRICS: dict[Kind, tuple[str, ...]] = {
    kind: tuple(column.name for column in columns) for kind, columns in METRIC_COLUMNS.items()
}
"""The metrics of each kind of target."""

CALIBRATION_BINS = 10

_SMALLEST = float(np.finfo(np.float64).eps)
_NAN = float("nan")


def metrics_of(target: Target, frame: "pd.DataFrame", role: str) -> Metrics:
    """Every metric of one role on ``frame``, with the names and the order of ``METRICS[target.kind]``.

    ``frame`` has label and score_<role>, for several classes score_<role>_<k> too. Undefined is nan.
    Raises KeyError for a missing column, ValueError for a label the target doesn't have.
    """
    return METRICS_OF[target.kind](labels_of(target, frame), predicted(target, frame, role))


def binary_metrics(labels: Floats, scores: Floats) -> Metrics:
    """Metrics of probabilities of label 1 against labels 0 or 1, both of shape (n,).

    - auc: area under the ROC curve, ties count half
    - average_precision: sum of precision x gain in recall over the distinct scores, as in sklearn
    - log_loss: mean negative log-likelihood in nats, scores clipped to float64's epsilon
    - brier: mean squared difference of score and label
    - calibration_error: mean |score - label rate| over bins of equal count, weighted by rows
    - calibration_ratio: mean score / base rate; 1 promises as many positives as there are

    Scores outside 0..1 are ranked (auc, average_precision) but are no probabilities: the rest is nan.
    """
    n, positives = len(labels), int(labels.sum())
    found = dict.fromkeys(METRICS["binary"], _NAN) | {"n": n, "positives": positives}
    found["base_rate"] = float(ratio(positives, n))
    if not n or not np.isfinite(scores).all():
        return found
    came = labels == 1
    ranking = Ranking(scores[~came], scores[came])
    once = np.ones((1, n - positives)), np.ones((1, positives))
    found["auc"] = float(ranking.auc(*once)[0])
    found["average_precision"] = float(ranking.average_precision(*once)[0])
    if probabilities_problem(scores) is None:
        clipped = scores.clip(_SMALLEST, 1 - _SMALLEST)
        found["log_loss"] = float(-np.where(came, np.log(clipped), np.log1p(-clipped)).mean())
        found["brier"] = float(((scores - labels) ** 2).mean())
        found["calibration_error"] = _calibration_error(labels, scores)
        found["calibration_ratio"] = float(ratio(scores.sum(), positives))
    return found


def regression_metrics(labels: Floats, scores: Floats) -> Metrics:
    """Metrics of expected amounts against amounts, both of shape (n,).

    - r2: share of the labels' variance explained, 1 - squared errors / squared distances from the mean label
    - mae, rmse: mean absolute error, root of the mean squared error, in units of the label
    - calibration_ratio: mean score / mean label
    - spearman: correlation of the ranks, ties share the middle rank
    """
    n = len(labels)
    found = dict.fromkeys(METRICS["regression"], _NAN) | {"n": n}
    if not n:
        return found
    found["mean_label"] = float(labels.mean())
    if not np.isfinite(scores).all():
        return found
    error = scores - labels
    found["r2"] = float(1 - ratio((error**2).sum(), ((labels - labels.mean()) ** 2).sum()))
    found["mae"] = float(np.abs(error).mean())
    found["rmse"] = float(np.sqrt((error**2).mean()))
    found["calibration_ratio"] = float(ratio(scores.mean(), labels.mean()))
    found["spearman"] = _correlation(_ranks(labels), _ranks(scores))
    return found


def multiclass_metrics(labels: Floats, probabilities: Floats) -> Metrics:
    """Metrics of probabilities, shape (n, classes), against class numbers, shape (n,).

    - rarest: rows of the rarest class
    - skill: 1 - log loss / log loss of the class shares (McFadden 1974, the pseudo R2); 0 knows the shares only
    - log_loss: mean negative log-likelihood in nats, probabilities clipped to float64's epsilon
    - accuracy: share of rows whose most probable class came
    - calibration_ratio: mean probability / share of rows, of the class where it is furthest from 1 on a log scale
    - calibration_error: as for binary targets, of each class against the others, averaged over the classes

    What is no probability, or doesn't sum to 1, measures nothing; calibration_ratio is nan if a class has no row.
    """
    n, classes = probabilities.shape
    count = np.bincount(labels.astype(np.int64), minlength=classes)
    found = dict.fromkeys(METRICS["multiclass"], _NAN) | {"n": n, "rarest": int(count.min())}
    if not n or probabilities_problem(probabilities) is not None:
        return found
    losses = row_log_losses(labels, probabilities)
    found["skill"] = float(1 - ratio(losses.sum(), shares_log_loss(count[None, :].astype(np.float64))[0]))
    found["log_loss"] = float(losses.mean())
    found["accuracy"] = float((probabilities.argmax(axis=1) == labels).mean())
    found["calibration_ratio"] = furthest_ratio(class_ratios(labels, probabilities))
    found["calibration_error"] = float(
        np.mean([_calibration_error((labels == k) * 1.0, probabilities[:, k]) for k in range(classes)])
    )
    return found


def row_log_losses(labels: Floats, probabilities: Floats) -> Floats:
    """Negative log of the probability of the class that came, shape (n,)."""
    own = np.take_along_axis(probabilities, labels.astype(np.int64)[:, None], axis=1)[:, 0]
    return np.asarray(-np.log(own.clip(_SMALLEST, None)))


def shares_log_loss(counts: Floats) -> Floats:
    """Summed log loss of saying the class shares of each draw; (draws, classes) to (draws,)."""
    total = counts.sum(axis=1, keepdims=True)
    share = np.where(counts > 0, ratio(counts, total), 1.0)
    return np.asarray(-(counts * np.log(share)).sum(axis=1))


def class_ratios(labels: Floats, probabilities: Floats) -> Floats:
    """Mean probability / share of rows, per class; nan for a class without rows."""
    classes = probabilities.shape[1]
    return ratio(probabilities.sum(axis=0), np.bincount(labels.astype(np.int64), minlength=classes))


def furthest_ratio(ratios: Floats) -> float:
    """The ratio furthest from 1 on a log scale: one half is as far as two; nan if any is."""
    if np.isnan(ratios).any():
        return _NAN
    with np.errstate(divide="ignore"):
        return float(ratios[np.abs(np.log(ratios)).argmax()])


def _calibration_error(labels: Floats, scores: Floats) -> float:
    mean, rate, count = calibration_bins(labels, scores)
    return float((count * np.abs(mean - rate)).sum() / count.sum())


def calibration_bins(
    label: npt.ArrayLike, score: npt.ArrayLike, bins: int = CALIBRATION_BINS
) -> tuple[Floats, Floats, Integers]:
    """Mean score, mean label and number of rows of up to ``bins`` bins of equal count, by increasing score.

    Rows of one score share a bin, the one their middle rank falls in, so the order of rows decides nothing;
    a score with few distinct values has fewer bins.
    """
    labels, scores = np.asarray(label, dtype=np.float64), np.asarray(score, dtype=np.float64)
    if not len(scores):
        return np.array([]), np.array([]), np.array([], dtype=np.int64)
    which = np.minimum(((_ranks(scores) - 0.5) / len(scores) * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    filled = count > 0
    mean = np.bincount(which, scores, minlength=bins)[filled] / count[filled]
    rate = np.bincount(which, labels, minlength=bins)[filled] / count[filled]
    return mean, rate, count[filled]


def _ranks(values: Floats) -> Floats:
    """Ranks from 1, ties share the middle one."""
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(size) - (size - 1) / 2)[group])


def _correlation(first: Floats, second: Floats) -> float:
    one, other = first - first.mean(), second - second.mean()
    return float(ratio(one @ other, np.sqrt((one @ one) * (other @ other))))


METRICS_OF: dict[Kind, Callable[[Floats, Floats], Metrics]] = {
    "binary": binary_metrics,
    "regression": regression_metrics,
    "multiclass": multiclass_metrics,
}
"""What measures each kind of target, from labels and what a role says of them."""
