"""The promotion gates: what a candidate must show on its holdout before it may become champion.

``judge`` is a pure function of the scored holdout and the facts about it. What can't be measured never
passes and never raises: the gate says in words what is missing. A gate that only asked for ``>=`` would
promote half of all equally good candidates, so comparisons ask for a bootstrap lower bound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.evaluation.bootstrap import Interval
    from ml_assets.evaluation.metrics import Floats, SliceRow

Status = Literal["PASS", "FAIL", "NOT EVALUATED"]

GATE_DESCRIPTIONS: dict[str, str] = {
    "holdout_is_honest": (
        "The holdout is later than everything both models know, its labels are mature, both models were "
        "scored on the same rows, and there are enough rows of both classes."
    ),
    "beats_baseline": "The candidate's AUC reaches the floor and is above the baseline's beyond chance.",
    "not_worse_than_champion": (
        "On the same rows, by a paired bootstrap clustered by entity, the candidate is not worse than the "
        "champion by the margin or more (or is better, if the policy asks for that)."
    ),
    "slices_hold": "In no large slice does the candidate lose more AUC than allowed to baseline or champion.",
    "is_calibrated": "The mean score is near the base rate: about as many positives come as are promised.",
    "reloads_and_predicts": "The model read back from the registry gives the scores the fitted one gave.",
}
GATES: tuple[str, ...] = tuple(GATE_DESCRIPTIONS)
"""The gates' names, in the order they are judged and shown."""


class GatePolicy(BaseModel):
    """What the gates ask for. Differences and losses are in absolute AUC."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    replace_if: Literal["not_worse", "better"] = Field(
        "not_worse", description="What the candidate must be, compared with the champion."
    )
    margin: float = Field(0.02, ge=0, lt=1, description="How much AUC 'not worse' may cost, at most.")
    min_lift_over_baseline: float = Field(
        0.0, ge=0, lt=1, description="The lower bound of the AUC difference to the baseline must exceed this."
    )
    minimum_auc: float = Field(0.55, ge=0, le=1, description="The floor of the candidate's AUC.")
    calibration_ratio: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]] = Field(
        (0.7, 1.4), description="Lowest and highest mean score / base rate."
    )
    slice_minimum_n: int = Field(100, ge=1, description="Smaller slices are shown but not judged.")
    slice_max_loss: float = Field(
        0.05, ge=0, le=1, description="AUC a slice may lose to baseline or champion."
    )
    minimum_rows: int = Field(200, ge=1, description="Rows the holdout needs.")
    minimum_positives: int = Field(20, ge=1, description="Rows with label 1 the holdout needs.")
    alpha: float = Field(0.05, gt=0, lt=0.5, description="Level of the one-sided lower bounds.")
    draws: int = Field(2000, ge=100, description="Bootstrap draws.")
    seed: int = Field(7, ge=0, description="Seed of the bootstrap.")

    @model_validator(mode="after")
    def _ordered(self) -> "GatePolicy":
        low, high = self.calibration_ratio
        if low >= high:
            raise ValueError(
                f"calibration_ratio is [lowest, highest] with lowest < highest, not [{low:g}, {high:g}]"
            )
        return self


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
class GateResult:
    """The outcome of one gate."""

    name: str
    status: Status
    observed: str
    required: str
    reason: str
    blocking: bool = True


@dataclass(frozen=True)
class Decision:
    """The outcome of all gates, in the order of ``GATES``."""

    gates: tuple[GateResult, ...]
    passed: bool


class _CannotJudge(Exception):
    """Why a gate has nothing to compare; becomes the gate's result."""

    def __init__(self, reason: str, status: Status = "NOT EVALUATED") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True)
class _Case:
    """All that a gate may look at."""

    holdout: "pd.DataFrame"
    facts: HoldoutFacts
    policy: GatePolicy
    entity: Sequence[str]
    slices: Sequence[str]
    reloads: bool | None

    @property
    def has_champion(self) -> bool:
        facts = self.facts
        known = facts.champion_knows_until is not None or facts.digest_champion is not None
        return known or "score_champion" in self.holdout

    def rows_problem(self) -> str | None:
        """Why nothing can be measured on these rows, or None."""
        if self.holdout.empty:
            return "The holdout is empty: nobody is in the population at its as_of"
        missing = [c for c in (*self.entity, "as_of", "label") if c not in self.holdout]
        if missing:
            return f"The holdout has no column {' and no column '.join(missing)}"
        wrong = int((~self.holdout["label"].isin([0, 1])).sum())
        if wrong:
            return f"{wrong} of {len(self.holdout)} labels are neither 0 nor 1"
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
        """The labels, shape (n,), of both classes. Raises _CannotJudge for anything else."""
        from ml_assets.evaluation.metrics import as_floats

        problem = self.rows_problem() or self.maturity_problem()
        if problem:
            raise _CannotJudge(f"{problem}.")
        labels = as_floats(self.holdout["label"])
        if labels.min() == labels.max():
            raise _CannotJudge(
                f"All {len(labels)} labels are {labels[0]:.0f}: with one class, AUC is not defined."
            )
        return labels

    def score(self, role: str) -> "Floats":
        """The finite scores of a role, shape (n,). Raises _CannotJudge for anything else."""
        import numpy as np

        from ml_assets.evaluation.metrics import as_floats

        column = f"score_{role}"
        if column not in self.holdout:
            raise _CannotJudge(f"The holdout has no column {column}: the {role} was not scored.")
        try:
            scores = as_floats(self.holdout[column])
        except (TypeError, ValueError) as error:
            raise _CannotJudge(f"{column} does not hold numbers: {error}.", "FAIL") from error
        wrong = int((~np.isfinite(scores)).sum())
        if wrong:
            raise _CannotJudge(
                f"{wrong} of {len(scores)} scores of the {role} are not finite numbers.", "FAIL"
            )
        return scores

    def against(self, role: str) -> tuple[float, float, "Interval"]:
        """AUC of candidate and ``role``, and the interval of the difference, low one-sided at alpha."""
        from ml_assets.evaluation.bootstrap import clusters, paired_difference
        from ml_assets.evaluation.metrics import binary_metrics

        labels, mine, other = self.labels(), self.score("candidate"), self.score(role)
        difference = paired_difference(
            labels,
            mine,
            other,
            clusters(self.holdout, self.entity),
            draws=self.policy.draws,
            seed=self.policy.seed,
            confidence=1 - 2 * self.policy.alpha,
        )
        return binary_metrics(labels, mine).auc, binary_metrics(labels, other).auc, difference


def judge(
    holdout: "pd.DataFrame",
    facts: HoldoutFacts,
    policy: GatePolicy,
    *,
    entity: Sequence[str],
    slices: Sequence[str],
    reloads: bool | None,
) -> Decision:
    """Judge a candidate by every gate.

    ``holdout`` has one row per (entity, as_of): the columns ``entity``, as_of (a date or a timestamp; UTC
    without a zone), label (0 or 1), score_candidate, score_baseline, score_champion if there is a champion,
    and the columns ``slices``. ``reloads`` says whether the model read back from the registry repeats its
    scores; None if that was not tried. The candidate passes if every gate says PASS.
    """
    case = _Case(holdout, facts, policy, entity, slices, reloads)
    results = tuple(_result(name, case) for name in GATES)
    return Decision(results, all(result.status == "PASS" for result in results))


def _result(name: str, case: _Case) -> GateResult:
    gate, required = _JUDGES[name]
    try:
        passed, observed, reason = gate(case)
    except _CannotJudge as found:
        return GateResult(name, found.status, "no measurement", required(case), found.reason)
    return GateResult(name, "PASS" if passed else "FAIL", observed, required(case), reason)


Outcome = tuple[bool, str, str]
"""Passed, observed, reason."""


def _holdout_is_honest(case: _Case) -> Outcome:
    facts, holdout = case.facts, case.holdout
    positives = int((holdout["label"] == 1).sum()) if "label" in holdout else 0
    observed = (
        f"{len(holdout)} rows, {positives} positives; as_of {facts.holdout_from} to {facts.holdout_to}; "
        f"candidate knows until {facts.candidate_knows_until}; "
        + (f"champion knows until {facts.champion_knows_until}" if case.has_champion else "no champion")
    )
    rows = case.rows_problem()
    problems = [rows] if rows else [*_size_problems(case, positives), *_as_of_problems(case)]
    problems += (
        [p for p in (case.maturity_problem(),) if p] + _knowledge_problems(case) + _digest_problems(case)
    )
    if problems:
        return False, observed, "; ".join(problems) + "."
    whom = "both models know" if case.has_champion else "the candidate knows"
    return True, observed, f"{len(holdout)} rows with mature labels, all later than what {whom}."


def _size_problems(case: _Case, positives: int) -> list[str]:
    policy, rows = case.policy, len(case.holdout)
    problems = []
    if rows < policy.minimum_rows:
        problems.append(f"The holdout has {rows} rows, and {policy.minimum_rows} are needed")
    if positives < policy.minimum_positives:
        problems.append(
            f"The holdout has {positives} rows with label 1, and {policy.minimum_positives} are needed"
        )
    if positives == rows:
        problems.append(f"All {rows} labels are 1: there is nobody to tell apart")
    return problems


def _as_of_problems(case: _Case) -> list[str]:
    import pandas as pd

    facts, holdout = case.facts, case.holdout
    moments = pd.to_datetime(holdout["as_of"], utc=True, errors="coerce")
    if moments.isna().any():
        return [f"{int(moments.isna().sum())} of {len(holdout)} rows have no as_of"]
    problems = []
    first, last = moments.min().date(), moments.max().date()
    if first < facts.holdout_from or last > facts.holdout_to:
        said = f"{facts.holdout_from} to {facts.holdout_to}"
        problems.append(f"The rows have as_of from {first} to {last}, and the holdout is said to be {said}")
    twice = int(holdout[list(case.entity)].assign(as_of=moments).duplicated().sum())
    if twice:
        problems.append(f"{twice} rows repeat a {', '.join(case.entity)} and as_of that are already there")
    return problems


def _knowledge_problems(case: _Case) -> list[str]:
    facts = case.facts
    known = {"candidate": facts.candidate_knows_until, "champion": facts.champion_knows_until}
    problems = [
        f"The {role} knows the days before {until}, and the holdout starts on {facts.holdout_from}: "
        f"it has seen {(until - facts.holdout_from).days} days of what it is judged on"
        for role, until in known.items()
        if until is not None and facts.holdout_from < until
    ]
    if case.has_champion and facts.champion_knows_until is None:
        problems.append("There is a champion, and nothing says until when it knows the data")
    return problems


def _digest_problems(case: _Case) -> list[str]:
    facts = case.facts
    if not facts.digest_candidate:
        return ["Nothing says which rows the candidate was scored on: the digest is empty"]
    if case.has_champion and facts.digest_champion != facts.digest_candidate:
        mine, other = facts.digest_candidate[:12], (facts.digest_champion or "none")[:12]
        return [f"Candidate and champion were not scored on the same rows: digests {mine} and {other}"]
    return []


def _beats_baseline(case: _Case) -> Outcome:
    policy = case.policy
    mine, other, difference = case.against("baseline")
    observed = f"AUC {mine:.4f}; baseline {other:.4f}; {_difference(difference, policy)}"
    if not mine >= policy.minimum_auc:
        return False, observed, f"The candidate's AUC {mine:.4f} is below the floor {policy.minimum_auc:g}."
    if not difference.low > policy.min_lift_over_baseline:
        return (
            False,
            observed,
            (
                f"The AUC difference to the baseline is {_bounded(difference)}, and that bound must exceed "
                f"{policy.min_lift_over_baseline:g}: the candidate may be no better than the baseline."
            ),
        )
    return True, observed, f"The candidate's AUC is above the baseline's by {_bounded(difference)}."


def _not_worse_than_champion(case: _Case) -> Outcome:
    policy = case.policy
    if not case.has_champion:
        case.labels()
        case.score("candidate")
        return True, "no champion", "There is no champion yet: the absolute floors of the other gates decide."
    mine, other, difference = case.against("champion")
    superior, inferior = difference.low > 0, not difference.low > -policy.margin
    observed = (
        f"AUC {mine:.4f}; champion {other:.4f}; {_difference(difference, policy)}; "
        f"superior (bound > 0): {'yes' if superior else 'no'}; "
        f"non-inferior (bound > -{policy.margin:g}): {'no' if inferior else 'yes'}"
    )
    found = f"The AUC difference to the champion is {_bounded(difference)}"
    if policy.replace_if == "better":
        return (
            superior,
            observed,
            f"{found}: {'better beyond chance' if superior else 'not shown to be better'}.",
        )
    verdict = "is not excluded" if inferior else "is excluded"
    return not inferior, observed, f"{found}: a loss of {policy.margin:g} {verdict}."


def _slices_hold(case: _Case) -> Outcome:
    from ml_assets.evaluation.metrics import by_slice

    policy, others = case.policy, ["baseline", *(["champion"] if case.has_champion else [])]
    case.labels()
    for role in ("candidate", *others):
        case.score(role)
    if not case.slices:
        return True, "no slices", "The model declares no slices, so there is none to judge."
    missing = [column for column in case.slices if column not in case.holdout]
    if missing:
        raise _CannotJudge(f"The holdout has no slice column {', '.join(missing)}.", "FAIL")
    rows = {column: by_slice(case.holdout, column) for column in case.slices}
    judged = [(c, r) for c, column_rows in rows.items() for r in column_rows if r.n >= policy.slice_minimum_n]
    unjudged = [column for column in case.slices if column not in {c for c, _ in judged}]
    losses = [(_loss(row, role), column, row, role) for column, row in judged for role in others]
    undefined = [f"{column} = {row.value}" for loss, column, row, _ in losses if loss != loss]
    worst = sorted((x for x in losses if x[0] == x[0]), key=lambda x: -x[0])
    observed = f"{len(judged)} of {sum(map(len, rows.values()))} slices judged"
    if worst:
        observed += f"; worst: {_slice_words(*worst[0])}"
        if worst[0][0] > policy.slice_max_loss:
            beyond = "; ".join(_slice_words(*x) for x in worst if x[0] > policy.slice_max_loss)
            return False, observed, f"More than {policy.slice_max_loss:g} AUC is lost in {beyond}."
    if unjudged:
        raise _CannotJudge(
            f"No value of {', '.join(unjudged)} has {policy.slice_minimum_n} rows: nothing to judge."
        )
    if undefined:
        raise _CannotJudge(f"With one class, AUC is not defined in {', '.join(dict.fromkeys(undefined))}.")
    return True, observed, f"In none of {len(judged)} slices is more than {policy.slice_max_loss:g} AUC lost."


def _loss(row: "SliceRow", role: str) -> float:
    mine, other = row.auc_candidate, row.auc_baseline if role == "baseline" else row.auc_champion
    return other - mine if mine is not None and other is not None else float("nan")


def _slice_words(loss: float, column: str, row: "SliceRow", role: str) -> str:
    mine = row.auc_candidate or 0.0
    return f"{column} = {row.value} (n {row.n}): AUC {mine:.4f}, {role} {mine + loss:.4f}, loss {loss:+.4f}"


def _is_calibrated(case: _Case) -> Outcome:
    from ml_assets.evaluation.metrics import binary_metrics

    low, high = case.policy.calibration_ratio
    labels, scores = case.labels(), case.score("candidate")
    if scores.min() < 0 or scores.max() > 1:
        found = f"scores from {scores.min():.4g} to {scores.max():.4g}"
        return False, found, f"A probability is between 0 and 1: the candidate gives {found}."
    metrics = binary_metrics(labels, scores)
    observed = (
        f"ratio {metrics.calibration_ratio:.3f} (mean score {scores.mean():.4f}, "
        f"base rate {metrics.base_rate:.4f}); calibration error {metrics.calibration_error:.4f}"
    )
    promised = f"The candidate promises {scores.sum():.0f} positives, and {metrics.positives} came"
    if low <= metrics.calibration_ratio <= high:
        return True, observed, f"{promised}: a ratio of {metrics.calibration_ratio:.2f}."
    return (
        False,
        observed,
        f"{promised}: a ratio of {metrics.calibration_ratio:.2f}, outside {low:g} to {high:g}.",
    )


def _reloads_and_predicts(case: _Case) -> Outcome:
    if case.reloads is None:
        raise _CannotJudge("The model was not read back from the registry, so nothing says that it can be.")
    if case.reloads:
        return True, "same scores", "The model read back from the registry gives the same scores."
    return (
        False,
        "other scores",
        "The model read back from the registry gives other scores than the fitted one.",
    )


def _difference(interval: "Interval", policy: GatePolicy) -> str:
    return f"difference {interval.observed:+.4f}, {1 - policy.alpha:.0%} lower bound {interval.low:+.4f}"


def _bounded(interval: "Interval") -> str:
    return f"{interval.observed:+.4f} with lower bound {interval.low:+.4f}"


def _required_of_holdout(case: _Case) -> str:
    return (
        f"labels mature; as_of from what both models know; one digest; "
        f"at least {case.policy.minimum_rows} rows, {case.policy.minimum_positives} positives, both classes"
    )


def _required_of_champion(case: _Case) -> str:
    bound = "0" if case.policy.replace_if == "better" else f"-{case.policy.margin:g}"
    return f"{1 - case.policy.alpha:.0%} lower bound of the difference > {bound} ({case.policy.replace_if})"


_JUDGES: dict[str, tuple[Callable[[_Case], Outcome], Callable[[_Case], str]]] = {
    "holdout_is_honest": (_holdout_is_honest, _required_of_holdout),
    "beats_baseline": (
        _beats_baseline,
        lambda case: (
            f"AUC >= {case.policy.minimum_auc:g}; {1 - case.policy.alpha:.0%} lower bound of the difference "
            f"> {case.policy.min_lift_over_baseline:g}"
        ),
    ),
    "not_worse_than_champion": (_not_worse_than_champion, _required_of_champion),
    "slices_hold": (
        _slices_hold,
        lambda case: (
            f"loss <= {case.policy.slice_max_loss:g} AUC in every slice of n >= {case.policy.slice_minimum_n}"
        ),
    ),
    "is_calibrated": (
        _is_calibrated,
        lambda case: "ratio from {:g} to {:g}".format(*case.policy.calibration_ratio),
    ),
    "reloads_and_predicts": (_reloads_and_predicts, lambda _: "the same scores after a reload"),
}
