"""Evidence: what drifted or was lost, against which champion, by how much, and whether it calls for a retrain."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ml_assets.monitoring.measure.drift import DayVerdict, FeatureDrift, drifting
from ml_assets.monitoring.spec import MonitoringPolicy

if TYPE_CHECKING:
    from ml_assets.monitoring.loss.estimate import Estimate
    from ml_assets.monitoring.loss.reference import Reference

FoundBy = Literal["drift", "performance"]
CallsFor = Literal["retrain", "nothing"]

NAMED_FEATURES = 3


class Moved(NamedTuple):
    """A feature that moved; ``mean_shift`` in training deviations, None where that has no meaning."""

    feature: str
    psi: float
    mean_shift: float | None


class FoundLoss(NamedTuple):
    """By how much the normalised loss has grown since the holdout, and what is known about it."""

    growth: float
    reason: str


@dataclass(frozen=True)
class Evidence:
    """One finding. The same finding has the same ``evidence_id``.

    ``as_of`` is the first day on which it could be known: the day that drifted, or the day on which the labels of
    a cohort were mature. ``share`` is the model's weight in features that moved, None where only labels speak;
    ``growth`` that of the normalised loss, None where nothing is known of it.
    """

    evidence_id: str
    model: str
    champion_version: int
    as_of: date
    found_by: FoundBy
    calls_for: CallsFor
    diagnosis: str
    share: float | None
    growth: float | None
    reason: str


def estimated_loss(estimate: "Estimate | None", reference: "Reference | None") -> FoundLoss | None:
    """What an estimate says is lost more than on the holdout; None if that is not too much, or not to be believed."""
    if estimate is None or reference is None or not estimate.worse or not estimate.trusted:
        return None
    assert estimate.loss is not None
    assert reference.loss is not None
    return FoundLoss(estimate.loss - reference.loss, estimate.reason)


def realised_loss(cohort: Mapping[str, Any]) -> FoundLoss | None:
    """What a matured cohort, a row of ``performance``, lost more than the holdout; None if that is not too much."""
    if not cohort["worse"]:
        return None
    return FoundLoss(
        cohort["loss"] - cohort["reference_loss"], f"Of the cohort of {cohort['as_of']}: {cohort['reason']}"
    )


def drift_evidence(
    days: Sequence[tuple[date, DayVerdict]],
    drifts: Sequence[FeatureDrift],
    policy: MonitoringPolicy,
    *,
    model: str,
    champion_version: int,
    loss: FoundLoss | None,
) -> Evidence | None:
    """Evidence as of the newest of ``days``, or None if its features have not drifted.

    It takes a newest day that is breached, and ``policy.breaches`` such days among the last ``policy.of_last`` on
    record. A broken day never counts. It calls for a retrain if the model loses by it: ``loss`` is what the
    estimate, or the newest mature labels, say has been lost beyond what the policy allows. ``drifts`` are those
    of the newest day.
    """
    ordered = sorted(days, key=lambda day: day[0])
    if not drifting([verdict for _, verdict in ordered], policy):
        return None
    as_of, newest = ordered[-1]
    moved = [
        Moved(d.feature, d.psi, d.mean_shift)
        for d in sorted(drifts, key=lambda d: (-d.weight, -d.psi, d.feature))
        if d.breached
    ]
    named = ", ".join(_words(feature) for feature in moved[:NAMED_FEATURES])
    more = f" and {len(moved) - NAMED_FEATURES} more" if len(moved) > NAMED_FEATURES else ""
    said = (
        f"On {as_of}, {named}{more} moved away from the training profile of {model} version {champion_version}: "
        f"{newest.share:.0%} of the model's weight (limit {policy.share:.0%}), on at least {policy.breaches} of the "
        f"last {policy.of_last} days."
    )
    return Evidence(
        evidence_id=_identity(model, champion_version, as_of, sorted(m.feature for m in moved)),
        model=model,
        champion_version=champion_version,
        as_of=as_of,
        found_by="drift",
        calls_for="retrain" if loss else "nothing",
        diagnosis="data drift with loss" if loss else "data drift",
        share=newest.share,
        growth=loss.growth if loss else None,
        reason=f"{said} {loss.reason}"
        if loss
        else f"{said} The model doesn't lose by it, so it is recorded.",
    )


def loss_evidence(
    loss: FoundLoss, *, model: str, champion_version: int, cohort: date, known_on: date, diagnosis: str
) -> Evidence:
    """Evidence that the cohort's labels, mature on ``known_on``, came out worse than they may."""
    return Evidence(
        evidence_id=_identity(model, champion_version, cohort, ["label"]),
        model=model,
        champion_version=champion_version,
        as_of=known_on,
        found_by="performance",
        calls_for="retrain",
        diagnosis=diagnosis,
        share=None,
        growth=loss.growth,
        reason=loss.reason,
    )


def _words(moved: Moved) -> str:
    shift = f", mean {moved.mean_shift:+.2f} training deviations" if moved.mean_shift is not None else ""
    return f"{moved.feature} (PSI {moved.psi:.2f}{shift})"


def _identity(model: str, version: int, as_of: date, named: Sequence[str]) -> str:
    facts = json.dumps([model, version, as_of.isoformat(), list(named)])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]
