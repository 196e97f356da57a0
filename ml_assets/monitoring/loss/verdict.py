"""The verdict on a cohort whose labels have matured: whether the model loses more, and whether that was to be expected."""

import math
from dataclasses import dataclass
from datetime import date

from ml_assets.evaluation.arrays import Floats
from ml_assets.monitoring.loss.curve import expect
from ml_assets.monitoring.loss.diagnosis import Diagnosis, diagnose, explain
from ml_assets.monitoring.loss.estimate import errors_given, estimate
from ml_assets.monitoring.loss.normalised import Growth, Loss, loss_of
from ml_assets.monitoring.loss.reference import Reference
from ml_assets.monitoring.spec import MonitoringPolicy
from ml_assets.training.target import Target

Cohort = tuple[date, int]
"""The predictions of one as_of by one model version."""


@dataclass(frozen=True)
class DayWatched:
    """What watching the features of a cohort found: the weight of those that moved, and whether that is drift."""

    share: float
    moved: bool


@dataclass(frozen=True)
class CohortVerdict:
    """How the loss of a cohort compares.

    ``expected_loss`` is what its scores alone let expect, ``reference_loss`` that of the version's holdout. ``worse``
    is a loss that has grown over the holdout's, ``unexpected`` one that has grown over what was expected: the model
    is wrong about the world. Both are by more than the policy's ``worse_by`` and beyond chance, and None where there
    is nothing to compare with. ``diagnosis`` is None where the day was not watched, or ``worse`` is None. ``reason``
    says all that in words.
    """

    loss: float | None
    loss_deviation: float | None
    expected_loss: float | None
    reference_loss: float | None
    worse: bool | None
    unexpected: bool | None
    diagnosis: Diagnosis | None
    reason: str


def judge_cohort(
    target: Target,
    labels: Floats,
    said: Floats,
    reference: Reference | str,
    watched: DayWatched | None,
    policy: MonitoringPolicy,
) -> CohortVerdict:
    """Judge the labels of a cohort against what was said of it, both as for ``loss_of``.

    ``reference`` is that of the version, or why there is none. The standard error of the growth over the holdout's
    loss is made of those of both losses (that an entity is in both makes chance smaller, so it errs on the side of
    silence); over the expected loss, of what chance does to labels that come as calibrated (of amounts, whose tails the
    holdout may not have seen, at least that of the loss), and of the calibration.
    """
    loss = loss_of(target, labels, said)
    before = None if isinstance(reference, str) else reference.loss
    why_not = _why_not(loss, reference, policy)
    if loss.value is None or isinstance(reference, str) or before is None or why_not:
        return CohortVerdict(
            loss.value, loss.deviation, None, before, None, None, None, f"Not judged: {why_not}."
        )
    errors = loss.deviation or 0.0, reference.loss_deviation or 0.0
    growth = Growth(loss.value - before, policy.worse_by, math.hypot(*errors))
    reason = (
        f"Version {reference.model_version} has a normalised loss of {loss.value:.3f} on {loss.rows} rows. Against its "
        f"holdout ({before:.3f}): {growth}."
    )
    worse, unexpected = growth.is_real, None
    expected = estimate(target, reference, said, policy).loss
    if expected is not None:
        error = _error_given(target, said, reference, loss)
        surprise = Growth(loss.value - expected, policy.worse_by, error)
        unexpected = surprise.is_real
        reason += f" Against what its scores let expect ({expected:.3f}): {surprise}."
    if unexpected:
        reason += " The scores no longer mean what they did."
    diagnosis = None
    if watched is not None:
        diagnosis = diagnose(watched.moved, worse)
        reason += f" {explain(diagnosis, watched.share, unexpected)}"
    return CohortVerdict(loss.value, loss.deviation, expected, before, worse, unexpected, diagnosis, reason)


def _why_not(loss: Loss, reference: Reference | str, policy: MonitoringPolicy) -> str | None:
    """Why there is no verdict, or None."""
    if loss.undefined:
        return f"its loss is not defined, {loss.undefined}"
    if loss.rows < policy.minimum_rows:
        return f"{loss.rows} rows, and at least {policy.minimum_rows} are needed"
    if isinstance(reference, str):
        return reference
    if reference.undefined:
        return (
            f"the holdout of version {reference.model_version} at {reference.cutoff} defines no loss to compare with, "
            f"{reference.undefined}"
        )
    return None


def _error_given(target: Target, said: Floats, reference: Reference, loss: Loss) -> float:
    """The standard error of the growth over the expected loss."""
    found = expect(target, reference.curves, said)
    drawn, calibrated = errors_given(target, reference, said, found)
    return math.hypot(drawn if target.is_classes else max(drawn, loss.deviation or 0.0), calibrated)
