"""The loss estimated before the labels are there, from the scores alone and what came of such scores before."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_assets.evaluation.arrays import Floats, probabilities_problem
from ml_assets.evaluation.ranking import Ranking
from ml_assets.monitoring.loss.curve import Expected, expect, scores_of
from ml_assets.monitoring.loss.normalised import Growth, normalised, probabilities, surprises
from ml_assets.monitoring.loss.reference import Reference
from ml_assets.monitoring.spec import MonitoringPolicy
from ml_assets.training.target import Target

OUTSIDE = 0.05
"""The share of scores outside the range of the holdout from which an estimate is doubted."""
RAREST = 30
"""So many rows of the rarest class a holdout needs to calibrate by."""


@dataclass(frozen=True)
class Estimate:
    """What rows without labels are expected to lose.

    ``loss`` is the normalised loss, ``deviation`` its standard error over other rows like these; ``metrics`` are
    named as those that are measured once labels are there. ``worse`` is whether the loss has grown, by the policy and
    beyond chance, over that of the holdout; None where there is no estimate. ``doubts`` say in words why it may
    not be believed.
    """

    loss: float | None
    deviation: float | None
    metrics: Mapping[str, float]
    rows: int
    worse: bool | None
    reason: str
    doubts: tuple[str, ...] = ()

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.doubts


def estimate(
    target: Target,
    reference: Reference,
    said: Floats,
    policy: MonitoringPolicy,
    last: Mapping[str, Any] | None = None,
) -> Estimate:
    """Estimate the loss of rows from what a version said of them, as for ``loss_of``, and its reference.

    The confidence-based estimation of NannyML (CBPE; nannyml.readthedocs.io/en/stable/how_it_works,
    "Performance Estimation"): the scores are calibrated on the holdout, and the loss is what the calibrated
    probabilities let expect. Of amounts, as its direct loss estimation (DLE): the expected squared error by score.
    It sees what a changed population does to the loss, and holds as long as the same scores still mean the same:
    concept drift it can't see. ``last`` is the newest matured cohort of the version, a row of the table
    ``performance``, which tells whether they do.

    What the curves get wrong on the holdout itself is taken off, so that the holdout's own estimate is its loss.
    """
    problem = _problem(target, said)
    if problem or reference.loss is None or reference.expected is None:
        words = problem or f"its holdout at {reference.cutoff} defines no loss: {reference.undefined}"
        return _none(reference, said, words)
    found = expect(target, reference.curves, said)
    if not found.known.any():
        return _none(reference, said, "by its scores, all labels are expected to be the same amount")
    value, deviation = normalised(found.losses, found.known)
    loss = value + reference.loss - reference.expected
    _, calibrated = errors_given(target, reference, said, found)
    error = math.hypot(deviation, reference.expected_deviation or 0.0, calibrated)
    growth = Growth(loss - reference.loss, policy.worse_by, error)
    words = (
        f"By its scores, version {reference.model_version} is estimated to have a normalised loss of {loss:.3f}. "
        f"Against its holdout ({reference.loss:.3f}): {growth}."
    )
    doubts = tuple(_doubts(target, reference, said, policy, last))
    return Estimate(
        loss, deviation, _metrics(target, said, found, loss), len(said), growth.is_real, words, doubts
    )


def errors_given(target: Target, reference: Reference, said: Floats, found: Expected) -> tuple[float, float]:
    """Standard errors of the normalised loss if labels come as expected: of these rows, and of their calibration.

    The first is what chance does to the labels of as many rows. Of classes it is the variance of the log loss of a
    label with the calibrated probabilities, less the loss times what it costs one who knows the rates; of amounts,
    whose distribution isn't known, the holdout's standard error, scaled to the number of rows. The second is the
    same for as many rows as the holdout has, in effect, to calibrate these scores by.
    """
    rows = len(said)
    if target.is_classes:
        value, _ = normalised(found.losses, found.known)
        costs = surprises(probabilities(target, said)) - value * surprises(found.labels.mean(axis=0))
        mean = (found.labels * costs).sum(axis=1, keepdims=True)
        variance = float((found.labels * (costs - mean) ** 2).sum())
        drawn = math.sqrt(variance) / float(found.known.sum())
    else:
        drawn = (reference.loss_deviation or 0.0) * math.sqrt(reference.rows / rows)
    return drawn, drawn * math.sqrt(rows / supporting(target, reference, said))


def supporting(target: Target, reference: Reference, said: Floats) -> float:
    """How many rows of the holdout there are, in effect, to calibrate these scores by; the fewest of all curves."""
    pairs = zip(reference.curves, scores_of(target, said), strict=True)
    return min(curve.supporting(scores) for curve, scores in pairs)


def _none(reference: Reference, said: Floats, why: str) -> Estimate:
    words = f"No loss is estimated for version {reference.model_version}: {why}."
    return Estimate(None, None, {}, len(said), None, words, (why,))


def _problem(target: Target, said: Floats) -> str | None:
    if not len(said):
        return "there are no scores"
    if target.is_classes:
        return probabilities_problem(said)
    return None if np.isfinite(said).all() else "there are scores that are not finite numbers"


def _doubts(
    target: Target,
    reference: Reference,
    said: Floats,
    policy: MonitoringPolicy,
    last: Mapping[str, Any] | None,
) -> list[str]:
    found, needed = [], policy.minimum_rows
    pairs = zip(reference.curves, scores_of(target, said), strict=True)
    outside = max(curve.outside(scores) for curve, scores in pairs)
    support = supporting(target, reference, said)
    if len(said) < needed:
        found.append(f"there are {len(said)} rows, and at least {needed} are needed")
    if outside > OUTSIDE:
        found.append(
            f"{outside:.0%} of the scores lie outside the range of the holdout, at most {OUTSIDE:.0%} may"
        )
    if support < needed:
        found.append(
            f"of the {reference.rows} rows of the holdout, in effect {support:.0f} have such scores, and at least "
            f"{needed} are needed to calibrate by"
        )
    if reference.rarest is not None and reference.rarest < RAREST:
        found.append(
            f"the rarest class came {reference.rarest} times in the holdout, and at least {RAREST} are needed to "
            "calibrate by"
        )
    if last is not None and last["unexpected"]:
        found.append(
            f"the last matured cohort, of {last['as_of']}, lost {last['loss']:.3f} where {last['expected_loss']:.3f} "
            "was estimated: the scores no longer mean what they did"
        )
    return found


def _metrics(target: Target, said: Floats, found: Expected, loss: float) -> dict[str, float]:
    if target.kind == "regression":
        return {
            "r2": 1 - loss,
            "rmse": float(np.sqrt(found.losses.mean())),
            "mean_label": float(found.labels.mean()),
        }
    shown = {"log_loss": float(found.losses.mean())}
    if target.kind == "multiclass":
        best = np.take_along_axis(found.labels, said.argmax(axis=1)[:, None], axis=1)
        return {"skill": 1 - loss, **shown, "accuracy": float(best.mean())}
    came = found.labels[:, 1]
    ranked = Ranking(said, said).auc((1 - came)[None, :], came[None, :])
    squares = (1 - probabilities(target, said)) ** 2
    return {
        "auc": float(ranked[0]),
        **shown,
        "brier": float((found.labels * squares).sum(axis=1).mean()),
        "base_rate": float(came.mean()),
    }
