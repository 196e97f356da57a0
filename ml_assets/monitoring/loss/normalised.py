"""The normalised loss: how much a model loses against one who knows the label rates alone. Lower is better."""

import math
from dataclasses import dataclass

import numpy as np

from ml_assets.evaluation.arrays import Floats, labels_problem, probabilities_problem
from ml_assets.training.target import Target

BEYOND_CHANCE = 3.09
"""So many standard errors are beyond chance: the 99.9% quantile of the standard normal distribution."""

_SMALLEST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Loss:
    """The normalised loss of some rows; about 1 is useless, 0 is perfect.

    ``deviation`` is its standard error. Where the rows define no loss, both are None and ``undefined`` says why.
    """

    value: float | None
    deviation: float | None
    rows: int
    undefined: str | None = None


@dataclass(frozen=True)
class Growth:
    """How much a loss grew, how much it may, and the standard error of the growth."""

    by: float
    limit: float
    error: float

    @property
    def is_real(self) -> bool:
        """Whether it is beyond the limit and beyond chance."""
        return self.by > max(self.limit, BEYOND_CHANCE * self.error)

    def __str__(self) -> str:
        chance = BEYOND_CHANCE * self.error
        if self.is_real:
            return f"{self.by:+.3f}, beyond the limit of {self.limit:g} and beyond chance ({chance:.3f})"
        if self.by > self.limit:
            return f"{self.by:+.3f}, beyond the limit of {self.limit:g} but within chance ({chance:.3f})"
        return f"{self.by:+.3f}, within the limit of {self.limit:g}"


def loss_of(target: Target, labels: Floats, said: Floats) -> Loss:
    """The normalised loss of labels, shape (n,), against what was said of them.

    ``said`` are probabilities of label 1, shape (n,), probabilities of classes, (n, classes), or expected amounts,
    (n,). Of classes it is the log loss over the entropy of the label rates of the same rows (X. He et al.,
    "Practical lessons from predicting clicks on ads at Facebook", 2014: normalized entropy); of amounts the mean
    squared error over the variance of the labels of the same rows, 1 - R2.

    The standard error is that of a ratio of means (delta method; W. Cochran, "Sampling Techniques", 1977, 6.4), rows
    being independent: an entity appears once in a cohort. Raises ValueError for a label the target doesn't have.
    """
    problem = labels_problem(target, labels)
    if problem:
        raise ValueError(problem)
    undefined = _undefined(target, labels, said)
    if undefined:
        return Loss(None, None, len(labels), undefined)
    value, deviation = normalised(row_losses(target, labels, said), known_losses(target, labels))
    return Loss(value, deviation, len(labels))


def normalised(losses: Floats, known: Floats) -> tuple[float, float]:
    """Summed losses over the summed losses of one who knows the rates alone, and the standard error of that ratio."""
    total = float(known.sum())
    value = float(losses.sum()) / total
    return value, math.sqrt(float(((losses - value * known) ** 2).sum())) / total


def row_losses(target: Target, labels: Floats, said: Floats) -> Floats:
    """The log loss in nats, or the squared error, of every row."""
    if not target.is_classes:
        return np.asarray((said - labels) ** 2)
    costs = surprises(probabilities(target, said))
    return np.asarray(np.take_along_axis(costs, labels.astype(np.int64)[:, None], axis=1)[:, 0])


def known_losses(target: Target, labels: Floats) -> Floats:
    """What every row costs one who says the label rates, or the mean label, of these rows."""
    if not target.is_classes:
        return np.asarray((labels - labels.mean()) ** 2)
    classes = labels.astype(np.int64)
    return surprises(np.bincount(classes, minlength=len(target.classes)) / len(labels))[classes]


def surprises(shares: Floats) -> Floats:
    """The log loss of every probability, in nats, if its class comes; clipped as the metrics are."""
    return np.asarray(-np.log(shares.clip(_SMALLEST, None)))


def probabilities(target: Target, said: Floats) -> Floats:
    """What was said as probabilities of every class, shape (n, classes)."""
    return np.column_stack([1 - said, said]) if target.kind == "binary" else said


def _undefined(target: Target, labels: Floats, said: Floats) -> str | None:
    """Why these rows define no loss, or None."""
    if not len(labels):
        return "there are no rows"
    if (labels == labels[0]).all():
        word = target.classes[int(labels[0])] if target.kind == "multiclass" else f"{labels[0]:g}"
        return f"all {len(labels)} labels are {word}"
    if target.is_classes:
        return probabilities_problem(said)
    wrong = int((~np.isfinite(said)).sum())
    return f"{wrong} of {len(said)} scores are not finite numbers" if wrong else None
