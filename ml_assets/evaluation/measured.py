"""An evaluation, measured once: what gates, tables, report and reference read.

``measure`` never raises for what a holdout may hold. What can't be measured is said in words: of the rows, of
a role, or as nan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml_assets.evaluation.arrays import (
    ROLES,
    Floats,
    as_floats,
    labels_of,
    labels_problem,
    predicted,
    probabilities_problem,
    probability_columns,
    roles_of,
)
from ml_assets.evaluation.bootstrap import Resampled, resample
from ml_assets.evaluation.facts import HoldoutFacts
from ml_assets.evaluation.fairness import Grouped, grouped
from ml_assets.evaluation.leak import alone
from ml_assets.evaluation.metrics import METRICS_OF, Metrics
from ml_assets.evaluation.slices import SliceRow, by_slice
from ml_assets.evaluation.spec import COMPARED_BY, Standard
from ml_assets.evaluation.thresholds import selection_threshold

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class HoldoutRows:
    """The rows of a holdout, whoever scores them. Where there is a problem, nothing else is known but ``n``."""

    n: int
    problem: str | None = None
    """Why nothing can be measured on these rows, or None."""
    first: date | None = None
    """The first as_of, and the last; None where a row has none."""
    last: date | None = None
    undated: int = 0
    """Rows without an as_of."""
    repeated: int = 0
    """Rows whose entity and as_of were there before."""


@dataclass(frozen=True)
class UnsoundScores:
    """Why the scores of a role can't be compared."""

    reason: str
    status: Literal["NOT EVALUATED", "FAIL"]
    """What a gate says of it: a role that was not scored is not evaluated."""


@dataclass(frozen=True)
class Measured:
    """All that was measured of a scored holdout. Roles and columns come in the order they are shown."""

    standard: Standard
    facts: HoldoutFacts
    rows: HoldoutRows
    labels: Floats
    """Shape (n,); (0,) where the rows have a problem."""
    said: dict[str, Floats]
    """Role -> what it says of each row, as ``arrays.predicted``; of every role that gave numbers."""
    unsound: Mapping[str, UnsoundScores]
    """Of the candidate and whom it is compared with, those that can't be."""
    metrics: Mapping[str, Metrics]
    """Role -> its metrics."""
    resampled: Mapping[str, Resampled]
    """Metric that models may be compared by -> that of all sound roles on the same draws; empty if none can be drawn."""
    slices: Mapping[str, tuple[SliceRow, ...]]
    """Column -> its slices; of declared columns that the holdout has."""
    selected_from: float | None
    """The score from which rows count as selected, of a binary target."""
    groups: Mapping[str, Grouped]
    """Column -> its groups; of declared columns that the holdout has."""
    alone: Mapping[str, float]
    """Feature -> what it alone knows of the labels, as ``leak.alone``; empty unless the candidate is too good."""

    @property
    def compared(self) -> Resampled | None:
        """The metric that models are compared by, on the draws; None if nothing can be drawn."""
        return self.resampled.get(self.standard.metric)

    @property
    def has_champion(self) -> bool:
        """Whether anything speaks of a champion."""
        return self.facts.tells_of_champion or "champion" in {*self.said, *self.unsound}

    @property
    def others(self) -> list[str]:
        """Whom the candidate is compared with."""
        return ["baseline", *(["champion"] if self.has_champion else [])]

    @cached_property
    def unmeasured(self) -> str | None:
        """Why no role's metric says anything, or None: the rows, labels that aren't mature or are all alike."""
        problem = self.rows.problem or self.facts.immature
        if problem is None and self.labels.min() == self.labels.max():
            problem = (
                f"All {len(self.labels)} labels are {self.labels[0]:g}: with one value, "
                f"{self.standard.metric_name} is not defined"
            )
        return problem and f"{problem}."

    @property
    def problem(self) -> str | None:
        """Why metrics and curves aren't shown, or None: nothing is measured, or a role's scores are unsound."""
        if self.unmeasured:
            return self.unmeasured
        found = (u.reason for role, u in self.unsound.items() if role == "candidate" or u.status == "FAIL")
        return next(found, None)

    def interval(self, role: str) -> tuple[float, float]:
        """The 95% interval of the metric that models are compared by; nan where there is none."""
        if self.compared is None or role not in self.compared.drawn:
            return float("nan"), float("nan")
        found = self.compared.interval(role)
        return found.low, found.high


def measure(holdout: "pd.DataFrame", facts: HoldoutFacts, standard: Standard) -> Measured:
    """Measure every role on the holdout.

    ``holdout`` has one row per (entity, as_of): the columns ``entity``, as_of (a date or a timestamp; UTC
    without a zone), label, score_candidate, score_baseline, score_champion if there is a champion (of several
    classes also score_<role>_<k>), and the columns of ``slices`` and ``groups``. Raises ValueError only where
    the metric of the limits is none of the target's.
    """
    target, metric = standard.target, standard.metric
    rows = _rows(holdout, standard)
    labels = labels_of(target, holdout) if rows.problem is None else np.empty(0)
    differ = len(labels) > 0 and bool(labels.min() < labels.max())
    said = _said(holdout if rows.problem is None else holdout.head(0), standard)
    compared = [
        role for role in ROLES if role != "champion" or f"score_{role}" in holdout or facts.tells_of_champion
    ]
    unsound = {role: found for role in compared if (found := _unsound(holdout, standard, role))}
    if facts.champion_uncompared:
        unsound["champion"] = UnsoundScores(facts.champion_uncompared, "NOT EVALUATED")
    metrics = {role: METRICS_OF[target.kind](labels, scores) | {"n": rows.n} for role, scores in said.items()}
    sound = [role for role in said if role not in unsound]
    resampled: dict[str, Resampled] = {}
    slices: dict[str, tuple[SliceRow, ...]] = {}
    groups: dict[str, Grouped] = {}
    threshold = None
    if "candidate" in said and target.kind == "binary":
        threshold = selection_threshold(labels, said["candidate"], standard.costs)
    if rows.problem is None:
        resampled = _resampled(holdout, standard, sound)
        scored = holdout.drop(columns=[f"score_{r}" for r in ROLES if r not in said], errors="ignore")
        slices = {c: tuple(by_slice(scored, c, target, metric)) for c in standard.slices if c in holdout}
        if "candidate" in said:
            groups = {
                column: grouped(scored, column, standard, threshold, gaps="candidate" in sound and differ)
                for column in standard.groups
                if column in holdout
            }
    suspect = differ and metrics.get("candidate", {}).get(metric, 0.0) >= standard.limits.too_good
    known = alone(holdout, [f for f in standard.features if f in holdout], target) if suspect else {}
    return Measured(
        standard,
        facts,
        rows,
        labels,
        said,
        unsound,
        metrics,
        resampled,
        slices,
        threshold,
        groups,
        known,
    )


def _rows(holdout: "pd.DataFrame", standard: Standard) -> HoldoutRows:
    import pandas as pd

    entity, n = list(standard.entity), len(holdout)
    problem = _rows_problem(holdout, standard)
    if problem:
        return HoldoutRows(n, problem)
    moments = pd.to_datetime(holdout["as_of"], utc=True, errors="coerce")
    undated = int(moments.isna().sum())
    if undated:
        return HoldoutRows(n, undated=undated)
    repeated = int(holdout[entity].assign(as_of=moments).duplicated().sum())
    return HoldoutRows(n, first=moments.min().date(), last=moments.max().date(), repeated=repeated)


def _rows_problem(holdout: "pd.DataFrame", standard: Standard) -> str | None:
    entity = list(standard.entity)
    if holdout.empty:
        return "The holdout is empty: nobody is in the population at its as_of"
    missing = [c for c in (*entity, "as_of", "label") if c not in holdout]
    if missing:
        return f"The holdout has no column {' and no column '.join(missing)}"
    try:
        problem = labels_problem(standard.target, as_floats(holdout["label"]))
    except (TypeError, ValueError) as error:
        return f"The labels are not numbers: {error}"
    nobody = int(holdout[entity].isna().any(axis=1).sum())
    if problem is None and nobody:
        problem = f"{nobody} of {len(holdout)} rows have no {' or no '.join(entity)}"
    return problem


def _said(holdout: "pd.DataFrame", standard: Standard) -> dict[str, Floats]:
    found = {}
    for role in roles_of(holdout):
        try:
            found[role] = predicted(standard.target, holdout, role)
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _unsound(holdout: "pd.DataFrame", standard: Standard, role: str) -> UnsoundScores | None:
    columns = [f"score_{role}"]
    if standard.target.kind == "multiclass":
        columns += probability_columns(standard.target, role)
    for column in columns:
        if column not in holdout:
            return UnsoundScores(
                f"The holdout has no column {column}: the {role} was not scored.", "NOT EVALUATED"
            )
        try:
            scores = as_floats(holdout[column])
        except (TypeError, ValueError) as error:
            return UnsoundScores(f"{column} does not hold numbers: {error}.", "FAIL")
        wrong = int((~np.isfinite(scores)).sum())
        if wrong:
            return UnsoundScores(
                f"{wrong} of {len(scores)} scores of the {role} are not finite numbers.", "FAIL"
            )
    if standard.target.kind == "multiclass":
        problem = probabilities_problem(predicted(standard.target, holdout, role))
        if problem:
            return UnsoundScores(f"The {role}: {problem}.", "FAIL")
    return None


def _resampled(holdout: "pd.DataFrame", standard: Standard, roles: Sequence[str]) -> dict[str, Resampled]:
    if not roles:
        return {}
    limits = standard.limits
    try:
        return resample(
            standard.target,
            holdout,
            roles,
            entity=standard.entity,
            metrics=COMPARED_BY[standard.target.kind],
            draws=limits.draws,
            seed=limits.seed,
        )
    except ValueError:
        return {}
