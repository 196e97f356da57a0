"""Simulated labels and scores of which the truth is known."""

from datetime import date

import numpy as np

from ml_assets.evaluation.arrays import Floats
from ml_assets.monitoring.loss.reference import Reference, build_reference
from ml_assets.training.target import BINARY, REGRESSION, Target

CLASSES = Target("multiclass", ("soon", "later", "never"))
TARGETS = {"binary": BINARY, "regression": REGRESSION, "multiclass": CLASSES}
CUTOFF = date(2017, 9, 3)


def draw(
    target: Target,
    rows: int,
    seed: int,
    *,
    shift: float = 0.0,
    spread: float = 1.0,
    concept: float = 0.0,
    sure: float = 1.0,
) -> tuple[Floats, Floats]:
    """Labels and what a model says of them, which holds as long as ``concept`` is 0.

    ``shift`` moves the one feature, a ``spread`` below 1 makes rows harder to tell apart, ``concept`` changes what the
    feature means; a model that is more ``sure`` than 1 is overconfident.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, spread, rows)
    if target.kind == "regression":
        mean = 50 + 20 * x
        return mean * (1 - concept) + rng.normal(0, 10 + 5 * np.abs(x), rows), mean * sure
    if target.kind == "binary":
        odds = -1.5 + 1.5 * x
        return (rng.random(rows) < _chance(odds * (1 - concept))) * 1.0, _chance(odds * sure)
    odds = np.column_stack([np.zeros(rows), x - 0.5, 0.7 * x * x - x - 1])
    came, said = _shares(odds * (1 - concept)), _shares(odds * sure)
    return (rng.random(rows)[:, None] > came.cumsum(axis=1)).sum(axis=1).clip(0, 2) * 1.0, said


def reference(target: Target, rows: int = 2_000, seed: int = 0, sure: float = 1.0) -> Reference:
    """The reference of version 7 in the world without a shift."""
    labels, said = draw(target, rows, seed, sure=sure)
    return build_reference(target, labels, said, cutoff=CUTOFF, model_version=7)


def _chance(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-odds)))


def _shares(odds: Floats) -> Floats:
    shares = np.exp(odds)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
