"""What came of scores: the calibrated label of every score, and the loss to expect before the label is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ml_assets.evaluation.arrays import Floats, Integers
from ml_assets.monitoring.loss.normalised import probabilities, surprises
from ml_assets.training.target import Target

BINS = 20
ROWS_OF_A_BIN = 20
"""With few rows there are fewer bins, so that none has fewer rows than this."""

_SURE = 1e-6


@dataclass(frozen=True)
class Curve:
    """What came of the scores of one class, or of expected amounts, by up to 20 bins of equal count.

    ``edges`` are the inner edges, increasing; a bin includes its upper edge, the outer bins are open. ``scores`` are
    the mean scores of the bins, ``outcomes`` the mean labels, made monotone by pooling neighbours, and ``variances``
    those of the labels around ``expected``. ``lowest`` and ``highest`` are the range of the scores.
    """

    log_odds: bool
    edges: tuple[float, ...]
    rows: tuple[int, ...]
    scores: tuple[float, ...]
    outcomes: tuple[float, ...]
    variances: tuple[float, ...]
    lowest: float
    highest: float

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Curve":
        """From its fields as JSON has them."""
        found: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        return cls(**found)

    def expected(self, scores: Floats) -> Floats:
        """The calibrated mean label of every score.

        Between the bins' mean scores it is interpolated, for probabilities on the scale of ``log_odds``. Beyond them
        it goes on as steeply as the straight line through all bins: 1 to 1 if the scores are calibrated, less if they
        are overconfident.
        """
        x, at, y = (
            _log_odds(values) if self.log_odds else values
            for values in (scores, np.asarray(self.scores), np.asarray(self.outcomes))
        )
        slope = _slope(at, y, np.asarray(self.rows, dtype=np.float64))
        found = _extended(x, at, y, (slope, slope))
        return 1 / (1 + np.exp(-found)) if self.log_odds else found

    def variance(self, scores: Floats) -> Floats:
        """The variance of the label around its calibrated mean, for every score.

        Interpolated between the bins' mean scores, beyond them in the same direction, but not outside what was seen.
        """
        at, y = np.asarray(self.scores), np.asarray(self.variances)
        rises = np.diff(y) / np.diff(at)
        slopes = (float(rises[0]), float(rises[-1])) if len(rises) else (0.0, 0.0)
        return _extended(scores.clip(self.lowest, self.highest), at, y, slopes).clip(0, None)

    def outside(self, scores: Floats) -> float:
        """The share of scores outside the range that was seen."""
        return float(((scores < self.lowest) | (scores > self.highest)).mean())

    def supporting(self, scores: Floats) -> float:
        """How many of its rows there are, in effect, to say something about these scores.

        Rows weighted to have the scores' distribution are worth (sum w)^2 / sum w^2 rows (L. Kish, "Survey
        Sampling", 1965): all of them where the distribution is the same, few where the scores crowd into few bins.
        """
        rows = np.asarray(self.rows, dtype=np.float64)
        found = np.bincount(np.searchsorted(self.edges, scores), minlength=len(rows)) / len(scores)
        return float(1 / (found**2 / rows).sum())


@dataclass(frozen=True)
class Expected:
    """What is to be expected of n rows.

    ``labels`` are the calibrated probabilities, shape (n, classes), or amounts, (n,); ``losses`` the expected loss
    of every row, and ``known`` that of one who knows the label rates, or the mean label, of these rows; both (n,).
    """

    labels: Floats
    losses: Floats
    known: Floats


def fit_curves(target: Target, labels: Floats, said: Floats) -> tuple[Curve, ...]:
    """The curves of n > 0 rows: one of a binary target, one per class of several, one of amounts."""
    return tuple(
        _fit(came, scores, target.is_classes)
        for came, scores in zip(_columns(target, labels, said), scores_of(target, said), strict=True)
    )


def scores_of(target: Target, said: Floats) -> list[Floats]:
    """What was said, by curve."""
    return list(said.T) if target.kind == "multiclass" else [said]


def expect(target: Target, curves: Sequence[Curve], said: Floats) -> Expected:
    """The losses to expect of n > 0 rows whose labels are what ``curves`` say of their scores.

    Of classes: calibrated probabilities c (several classes: each against the others, brought to a sum of 1), the
    expected log loss sum_k c_k * -ln(said_k), and the surprise sum_k c_k * -ln(mean c_k). Of amounts: the squared
    distance to the calibrated amount plus the variance around it, and the distance from the mean plus that variance.
    """
    found = [curve.expected(scores) for curve, scores in zip(curves, scores_of(target, said), strict=True)]
    if not target.is_classes:
        (mean,), variance = found, curves[0].variance(said)
        return Expected(mean, (said - mean) ** 2 + variance, (mean - mean.mean()) ** 2 + variance)
    labels = probabilities(target, found[0]) if target.kind == "binary" else np.column_stack(found)
    labels = labels / labels.sum(axis=1, keepdims=True)
    losses, rates = surprises(probabilities(target, said)), surprises(labels.mean(axis=0))
    return Expected(labels, (labels * losses).sum(axis=1), labels @ rates)


def histogram(scores: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Inner edges of up to 20 bins of equal count, and the share of the rows in each."""
    which, edges = _bins(scores)
    return edges, tuple(map(float, np.bincount(which) / len(scores)))


def _columns(target: Target, labels: Floats, said: Floats) -> list[Floats]:
    if target.kind != "multiclass":
        return [labels]
    return [(labels == k).astype(np.float64) for k in range(said.shape[1])]


def _fit(labels: Floats, scores: Floats, log_odds: bool) -> Curve:
    which, edges = _bins(scores)
    rows = np.bincount(which).astype(np.float64)
    means, outcomes = (np.bincount(which, values) / rows for values in (scores, labels))
    if log_odds:
        outcomes = (outcomes * rows + labels.mean()) / (rows + 1)
    curve = Curve(
        log_odds=log_odds,
        edges=edges,
        rows=tuple(map(int, rows)),
        scores=tuple(map(float, means)),
        outcomes=_monotone(outcomes, rows),
        variances=(),
        lowest=float(scores.min()),
        highest=float(scores.max()),
    )
    around = np.bincount(which, (labels - curve.expected(scores)) ** 2) / rows
    return replace(curve, variances=tuple(map(float, around)))


def _bins(scores: Floats) -> tuple[Integers, tuple[float, ...]]:
    """The bin of every row, none of them empty, and the inner edges; rows of one score share a bin."""
    bins = min(BINS, max(1, len(scores) // ROWS_OF_A_BIN))
    inner = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))
    edges = inner[inner < scores.max()]
    return np.searchsorted(edges, scores).astype(np.int64), tuple(map(float, edges))


def _monotone(means: Floats, rows: Floats) -> tuple[float, ...]:
    """The closest means that never fall: neighbours that do are pooled.

    Pool adjacent violators: M. Ayer et al., "An empirical distribution function for sampling with incomplete
    information", Annals of Mathematical Statistics 26 (1955).
    """
    pools: list[tuple[float, float, int]] = []
    for mean, weight in zip(means, rows, strict=True):
        pool = (float(mean), float(weight), 1)
        while pools and pools[-1][0] >= pool[0]:
            before, heavy, size = pools.pop()
            total = heavy + pool[1]
            pool = ((before * heavy + pool[0] * pool[1]) / total, total, size + pool[2])
        pools.append(pool)
    return tuple(mean for mean, _, size in pools for _ in range(size))


def _log_odds(values: Floats) -> Floats:
    sure = values.clip(_SURE, 1 - _SURE)
    return np.asarray(np.log(sure / (1 - sure)))


def _slope(x: Floats, y: Floats, weights: Floats) -> float:
    """The slope of the straight line through points, by weighted least squares; 0 where they lie above each other."""
    away = x - np.average(x, weights=weights)
    spread = float(weights @ away**2)
    return float(weights @ (away * y)) / spread if np.ptp(x) > 0 else 0.0


def _extended(x: Floats, at: Floats, y: Floats, slopes: tuple[float, float]) -> Floats:
    """Interpolated between the points ``at`` -> ``y``; below the first and above the last, straight on by ``slopes``."""
    below, above = np.minimum(x - at[0], 0), np.maximum(x - at[-1], 0)
    return np.asarray(np.interp(x, at, y) + slopes[0] * below + slopes[1] * above)
