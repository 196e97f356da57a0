"""Metrics of a binary classifier, whole and by slice, in numpy alone.

A metric the data doesn't define (AUC of one class, anything of a score that is not a number) is a float
nan: it raises nothing, warns of nothing, and passes no comparison.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

ROLES = ("candidate", "champion", "baseline")
"""Who is scored on a holdout, in the order shown; each in a column ``score_<role>``."""

CALIBRATION_BINS = 10
NO_VALUE = "(none)"
"""How a slice of rows without a value is called."""

_SMALLEST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Metrics:
    """The metrics of one model on ``n`` rows."""

    n: int
    positives: int
    auc: float
    """Area under the ROC curve; ties count half."""
    average_precision: float
    """Sum of precision x gain in recall over the distinct scores, as in sklearn; no interpolation."""
    log_loss: float
    """Mean negative log-likelihood in nats, scores clipped to float64's epsilon."""
    brier: float
    """Mean squared difference of score and label."""
    calibration_error: float
    """Expected calibration error: mean |score - label rate| over bins of equal count, weighted by rows."""
    calibration_ratio: float
    """Mean score / base rate: 1 promises as many positives as there are."""
    base_rate: float

    def as_dict(self) -> dict[str, int | float]:
        """Name -> number."""
        return asdict(self)


@dataclass(frozen=True)
class SliceRow:
    """One value of a slice column. ``auc_<role>`` is None without such a score, nan where undefined."""

    value: str
    n: int
    positives: int
    base_rate: float
    auc_candidate: float | None
    auc_champion: float | None
    auc_baseline: float | None
    calibration_ratio: float | None
    """The candidate's."""


class Ranking:
    """Labels in the order of one score, sorted once, so that any number of row weights can be measured."""

    def __init__(self, label: npt.ArrayLike, score: npt.ArrayLike) -> None:
        """Sort n rows. Raises ValueError for two lengths, a label not 0 or 1, a score not finite."""
        labels, scores = checked(label, score)
        if not np.isfinite(scores).all():
            raise ValueError(
                f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not finite numbers"
            )
        self.order = np.argsort(scores, kind="stable")
        ordered = scores[self.order]
        self._starts = (
            np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.array([], int)
        )
        self._labels = labels[self.order]
        self._tied = len(self._starts) < len(ordered)

    def _groups(self, weights: Floats) -> tuple[Floats, Floats]:
        """Weight of the positives and of all rows per distinct score, increasing: each (draws, groups)."""
        every = weights[:, self.order]
        positive = every * self._labels
        if self._tied:
            positive = np.add.reduceat(positive, self._starts, axis=1)
            every = np.add.reduceat(every, self._starts, axis=1)
        return positive, every

    def auc(self, weights: Floats) -> Floats:
        """Weighted AUC, shape (draws,), of ``weights`` of shape (draws, n); nan where a class weighs nothing.

        The Mann-Whitney statistic: the share of (positive, negative) pairs in the right order, ties half.
        """
        positive, every = self._groups(weights)
        negative = every - positive
        below = np.cumsum(negative, axis=1) - negative / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        return _ratio(np.einsum("dg,dg->d", positive, below), pairs)

    def average_precision(self, weights: Floats) -> Floats:
        """As ``auc``: weighted average precision, shape (draws,); nan without positives."""
        positive, every = (part[:, ::-1] for part in self._groups(weights))
        found, taken = np.cumsum(positive, axis=1), np.cumsum(every, axis=1)
        precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
        return _ratio(np.einsum("dg,dg->d", positive, precision), positive.sum(axis=1))


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


def checked(label: npt.ArrayLike, score: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Label and score as float64 of one length. Raises ValueError for another shape or a label not 0 or 1."""
    labels, scores = as_floats(label), as_floats(score)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(
            f"label and score are two lists of one length, not {labels.shape} and {scores.shape}"
        )
    wrong = ~np.isin(labels, (0.0, 1.0))
    if wrong.any():
        raise ValueError(f"a label is 0 or 1; row {int(wrong.argmax())} is {labels[wrong.argmax()]}")
    return labels, scores


def as_floats(values: npt.ArrayLike) -> Floats:
    """Values as float64, every kind of null as nan. Raises ValueError where a value is not a number."""
    if hasattr(values, "to_numpy"):
        return np.asarray(values.to_numpy(dtype="float64", na_value=np.nan), dtype=np.float64)
    return np.asarray(values, dtype=np.float64)


def binary_metrics(label: npt.ArrayLike, score: npt.ArrayLike) -> Metrics:
    """Every metric of ``score`` (probability of label 1) against ``label`` (0 or 1), both of shape (n,).

    Scores outside 0..1 are ranked (auc, average_precision) but are no probabilities: the rest is nan.
    Raises ValueError for two lengths or a label that is neither 0 nor 1.
    """
    labels, scores = checked(label, score)
    n, positives = len(labels), int(labels.sum())
    base_rate = positives / n if n else float("nan")
    auc = average_precision = log_loss = brier = error = ratio = float("nan")
    if n and np.isfinite(scores).all():
        ranking, once = Ranking(labels, scores), np.ones((1, n))
        auc = float(ranking.auc(once)[0])
        average_precision = float(ranking.average_precision(once)[0])
        if scores.min() >= 0 and scores.max() <= 1:
            clipped = scores.clip(_SMALLEST, 1 - _SMALLEST)
            log_loss = float(-np.where(labels == 1, np.log(clipped), np.log1p(-clipped)).mean())
            brier = float(((scores - labels) ** 2).mean())
            mean, rate, count = calibration_bins(labels, scores)
            error = float((count * np.abs(mean - rate)).sum() / n)
            ratio = float(scores.mean() / base_rate) if positives else float("nan")
    return Metrics(n, positives, auc, average_precision, log_loss, brier, error, ratio, base_rate)


def calibration_bins(
    label: npt.ArrayLike, score: npt.ArrayLike, bins: int = CALIBRATION_BINS
) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Mean score, label rate and number of rows of up to ``bins`` bins of equal count, by increasing score.

    Rows of one score share a bin, the one their middle rank falls in, so the order of rows decides nothing;
    a score with few distinct values has fewer bins.
    """
    labels, scores = checked(label, score)
    if not len(scores):
        return np.array([]), np.array([]), np.array([], dtype=np.int64)
    _, group, size = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(size) - size / 2
    which = np.minimum((middle / len(scores) * bins).astype(int), bins - 1)[group]
    count = np.bincount(which, minlength=bins)
    filled = count > 0
    mean = np.bincount(which, scores, minlength=bins)[filled] / count[filled]
    rate = np.bincount(which, labels, minlength=bins)[filled] / count[filled]
    return mean, rate, count[filled]


def by_slice(frame: "pd.DataFrame", column: str, *, label: str = "label") -> list[SliceRow]:
    """Metrics per value of ``column``, the largest slice first; rows without a value are a slice too.

    Reads the columns ``score_<role>`` that are there. Raises KeyError where ``column`` is not.
    """
    if column not in frame:
        raise KeyError(
            f"slice column {column!r} is not in the holdout; its columns: {', '.join(map(str, frame))}"
        )
    values = frame[column].astype(object).where(frame[column].notna(), NO_VALUE).astype(str)
    rows = [
        _slice_row(str(value), part, label) for value, part in frame.groupby(values.to_numpy(), sort=True)
    ]
    return sorted(rows, key=lambda row: (-row.n, row.value))


def _slice_row(value: str, part: "pd.DataFrame", label: str) -> SliceRow:
    known = {role: binary_metrics(part[label], part[f"score_{role}"]) for role in roles_of(part)}
    auc: dict[str, Any] = {f"auc_{role}": known[role].auc if role in known else None for role in ROLES}
    labels = as_floats(part[label])
    ratio = known["candidate"].calibration_ratio if "candidate" in known else None
    return SliceRow(value, len(part), int(labels.sum()), float(labels.mean()), **auc, calibration_ratio=ratio)


def roles_of(frame: "pd.DataFrame") -> Sequence[str]:
    """The roles that have a score in ``frame``."""
    return [role for role in ROLES if f"score_{role}" in frame]
