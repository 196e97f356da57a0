"""What the gates look at, and how they say what they found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from ml_assets.evaluation.costs import Costs
from ml_assets.evaluation.spec import METRIC_NAMES, GatePolicy
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.evaluation.arrays import Floats
    from ml_assets.evaluation.bootstrap import Interval, Resampled

Status = Literal["PASS", "WARN", "FAIL", "NOT EVALUATED"]


@dataclass(frozen=True)
class HoldoutFacts:
    """What is known of a holdout beside its rows. Dates are UTC days."""

    cutoff: date
    holdout_from: date
    """The first as_of."""
    holdout_to: date
    """The last as_of, included."""
    horizon_days: int
    """A label at as_of reads the days as_of to as_of + horizon_days - 1."""
    labels_mature: bool
    landed_through: date | None
    """The last day that has landed; None before any has."""
    candidate_knows_until: date
    """The candidate has seen nothing, features or labels, from this day on."""
    champion_knows_until: date | None
    digest_candidate: str
    """sha256 of the rows the candidate was scored on."""
    digest_champion: str | None


@dataclass(frozen=True)
class Served:
    """What a fresh process found when it read the model back from the registry's artifact and scored rows."""

    same_scores: bool | None
    """None: it could not score."""
    differing: tuple[str, ...]
    """Requirements the process doesn't meet: "xgboost 3.2.0 is pinned, 3.1.3 is installed"."""
    size_bytes: int
    latency_ms: float
    """Median of single rows."""
    latency_p99_ms: float
    error: str = ""
    """Why it could not score."""


@dataclass(frozen=True)
class Finding:
    """What a gate measured, and what follows."""

    holds: bool
    observed: str
    reason: str


class CannotJudge(Exception):
    """Why a gate has nothing to compare; becomes the gate's result."""

    def __init__(self, reason: str, status: Status = "NOT EVALUATED") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True)
class Case:
    """All that a gate may look at."""

    holdout: "pd.DataFrame"
    facts: HoldoutFacts
    policy: GatePolicy
    target: Target
    entity: Sequence[str]
    slices: Sequence[str]
    groups: Sequence[str]
    costs: Costs | None
    served: Served | None

    @property
    def metric(self) -> str:
        """The metric models are compared by, as a sentence calls it."""
        return METRIC_NAMES[self.policy.metric_of(self.target)]

    @property
    def has_champion(self) -> bool:
        """Whether anything speaks of a champion."""
        facts = self.facts
        known = facts.champion_knows_until is not None or facts.digest_champion is not None
        return known or "score_champion" in self.holdout

    @property
    def others(self) -> list[str]:
        """Whom the candidate is compared with."""
        return ["baseline", *(["champion"] if self.has_champion else [])]

    @cached_property
    def rows_problem(self) -> str | None:
        """Why nothing can be measured on these rows, or None."""
        from ml_assets.evaluation.arrays import as_floats, labels_problem

        if self.holdout.empty:
            return "The holdout is empty: nobody is in the population at its as_of"
        missing = [c for c in (*self.entity, "as_of", "label") if c not in self.holdout]
        if missing:
            return f"The holdout has no column {' and no column '.join(missing)}"
        try:
            problem = labels_problem(self.target, as_floats(self.holdout["label"]))
        except (TypeError, ValueError) as error:
            return f"The labels are not numbers: {error}"
        if problem:
            return problem
        nobody = int(self.holdout[list(self.entity)].isna().any(axis=1).sum())
        if nobody:
            return f"{nobody} of {len(self.holdout)} rows have no {' or no '.join(self.entity)}"
        return None

    def maturity_problem(self) -> str | None:
        """Why the labels are not all known, or None. The flag and the dates must agree."""
        facts = self.facts
        last = facts.holdout_to + timedelta(days=facts.horizon_days - 1)
        landed = (
            f"events have landed through {facts.landed_through}"
            if facts.landed_through
            else "no day has landed"
        )
        if facts.landed_through is None or facts.landed_through < last:
            return f"The labels are not mature: they read the days through {last}, and {landed}"
        if not facts.labels_mature:
            return (
                f"The labels are marked as not mature, though {landed}: build those of {facts.cutoff} again"
            )
        return None

    def labels(self) -> "Floats":
        """The labels, shape (n,), not all the same. Raises CannotJudge for anything else."""
        from ml_assets.evaluation.arrays import labels_of

        problem = self.rows_problem or self.maturity_problem()
        if problem:
            raise CannotJudge(f"{problem}.")
        labels = labels_of(self.target, self.holdout)
        if labels.min() == labels.max():
            raise CannotJudge(
                f"All {len(labels)} labels are {labels[0]:g}: with one value, {self.metric} is not defined."
            )
        return labels

    def scores(self, role: str) -> "Floats":
        """What a role says of each row, as ``arrays.predicted``. Raises CannotJudge for anything unsound."""
        from ml_assets.evaluation.arrays import (
            as_floats,
            predicted,
            probabilities_problem,
            probability_columns,
        )

        columns = [f"score_{role}"]
        if self.target.kind == "multiclass":
            columns += probability_columns(self.target, role)
        for column in columns:
            if column not in self.holdout:
                raise CannotJudge(f"The holdout has no column {column}: the {role} was not scored.")
            try:
                _check_finite(role, as_floats(self.holdout[column]))
            except (TypeError, ValueError) as error:
                raise CannotJudge(f"{column} does not hold numbers: {error}.", "FAIL") from error
        scores = predicted(self.target, self.holdout, role)
        problem = probabilities_problem(scores) if self.target.kind == "multiclass" else None
        if problem:
            raise CannotJudge(f"The {role}: {problem}.", "FAIL")
        return scores

    @cached_property
    def resampled(self) -> "Resampled":
        """The metric of all roles with sound scores, on the same bootstrap draws."""
        from ml_assets.evaluation.bootstrap import resample

        return resample(
            self.target,
            self.holdout,
            [role for role in ("candidate", *self.others) if self._is_sound(role)],
            entity=self.entity,
            metric=self.policy.metric_of(self.target),
            draws=self.policy.draws,
            seed=self.policy.seed,
        )

    def _is_sound(self, role: str) -> bool:
        try:
            self.scores(role)
        except CannotJudge:
            return False
        return True

    def against(self, role: str) -> tuple[float, float, "Interval"]:
        """The metric of candidate and ``role``, and the interval of the difference, low one-sided at alpha.

        Raises CannotJudge where the metric or the interval is not defined.
        """
        self.labels()
        for one in ("candidate", role):
            self.scores(one)
        difference = self.resampled.difference("candidate", role, confidence=1 - 2 * self.policy.alpha)
        mine, other = (self.resampled.observed[one] for one in ("candidate", role))
        if mine != mine or other != other or difference.low != difference.low:
            raise CannotJudge(
                f"The {self.metric} of candidate and {role}, or of enough bootstrap draws, is not defined: "
                f"{difference.draws} of {self.policy.draws} draws have both.",
                "FAIL",
            )
        return mine, other, difference


def _check_finite(role: str, scores: "Floats") -> None:
    import numpy as np

    wrong = int((~np.isfinite(scores)).sum())
    if wrong:
        raise CannotJudge(f"{wrong} of {len(scores)} scores of the {role} are not finite numbers.", "FAIL")
