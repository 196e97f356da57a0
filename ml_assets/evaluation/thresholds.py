"""From a score to a decision: what a threshold selects, and what that costs."""

from dataclasses import dataclass

import numpy as np

from ml_assets.evaluation.arrays import Floats, Integers, ratio
from ml_assets.evaluation.spec import Costs

SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
"""Selected shares of the rows a table shows."""


@dataclass(frozen=True)
class Threshold:
    """What selecting the rows with score >= ``threshold`` does."""

    threshold: float
    selected: float
    """Share of the rows."""
    precision: float
    recall: float
    cost: float | None
    """Expected per 1,000 rows; None without costs."""
    best: bool
    """Whether no other distinct score costs less."""


def selection_threshold(labels: Floats, scores: Floats, costs: Costs | None) -> float:
    """The score from which rows are selected: by the costs, or as many as have label 1, as near as ties allow.

    nan without rows.
    """
    if costs is not None:
        return costs.threshold
    if not len(scores):
        return float("nan")
    ordered, count = np.unique(scores, return_counts=True)
    selected = np.cumsum(count[::-1])[::-1]
    return float(ordered[::-1][np.abs(selected - labels.sum())[::-1].argmin()])


def threshold_table(labels: Floats, scores: Floats, costs: Costs | None) -> list[Threshold]:
    """One line per share of ``SHARES``, and with costs the cheapest threshold on these rows, marked as best.

    From the highest threshold down; the rows of one score are selected together. Empty without rows.
    """
    if not len(scores):
        return []
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
    ordered, selected = scores[order][last], last + 1
    found = np.cumsum(labels[order])[last]
    cost = _cost(costs, found, selected, labels) if costs is not None else None
    best = int(cost.argmin()) if cost is not None else None
    wanted = {int(np.searchsorted(selected, share * len(scores) - 1e-9)) for share in SHARES}
    shown = sorted(wanted | ({best} if best is not None else set()))
    recall = ratio(found, labels.sum())
    return [
        Threshold(
            threshold=float(ordered[i]),
            selected=float(selected[i] / len(scores)),
            precision=float(found[i] / selected[i]),
            recall=float(recall[i]),
            cost=float(cost[i]) if cost is not None else None,
            best=i == best,
        )
        for i in shown
    ]


def _cost(costs: Costs, found: Floats, selected: Integers, labels: Floats) -> Floats:
    """Cost per 1,000 rows of each threshold."""
    n, positives = len(labels), labels.sum()
    missed, wrong = positives - found, selected - found
    total = (
        costs.true_positive * found
        + costs.false_positive * wrong
        + costs.false_negative * missed
        + costs.true_negative * (n - selected - missed)
    )
    return np.asarray(1000 * total / n)
