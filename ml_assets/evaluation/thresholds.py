"""From a score to a decision: what a threshold selects, and what that costs."""

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_assets.evaluation.arrays import Floats, Integers, ratio

SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
"""Selected shares of the rows a table shows."""


class Costs(BaseModel):
    """What one row costs by what was decided and what came, in any unit; below 0 is a gain."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    true_positive: float = Field(0.0, description="Selected, and the label is 1.")
    false_positive: float = Field(1.0, description="Selected, and the label is 0.")
    false_negative: float = Field(1.0, description="Not selected, and the label is 1.")
    true_negative: float = Field(0.0, description="Not selected, and the label is 0.")

    @model_validator(mode="after")
    def _a_mistake_costs(self) -> "Costs":
        for mistake, right in (("false_positive", "true_negative"), ("false_negative", "true_positive")):
            wrong, best = getattr(self, mistake), getattr(self, right)
            if wrong <= best:
                raise ValueError(
                    f"a {mistake} costs more than a {right}, not {wrong:g} and {best:g}: "
                    "otherwise all rows, or none, would be selected whatever their score"
                )
        return self

    @property
    def threshold(self) -> float:
        """The probability from which selecting costs no more than not selecting (Elkan 2001, equation 2).

        (fp - tn) / (fp - tn + fn - tp), between 0 and 1.
        """
        harm = self.false_positive - self.true_negative
        return harm / (harm + self.false_negative - self.true_positive)


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
