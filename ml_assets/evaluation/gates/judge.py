"""The promotion gates: what a candidate must show on its holdout before it may become champion.

``judge`` is a pure function of the scored holdout and the facts about it. What can't be measured never
passes and never raises: the gate says in words what is missing. A gate that only asked for ``>=`` would
promote half of all equally good candidates, so comparisons ask for a bootstrap lower bound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_assets.evaluation.costs import Costs
from ml_assets.evaluation.gates.alike import required_of_groups, treats_groups_alike
from ml_assets.evaluation.gates.case import CannotJudge, Case, Finding, HoldoutFacts, Served, Status
from ml_assets.evaluation.gates.honesty import holdout_is_honest, required_of_holdout
from ml_assets.evaluation.spec import GATES, METRIC_NAMES, GatePolicy
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.evaluation.bootstrap import Interval
    from ml_assets.evaluation.slices import SliceRow


@dataclass(frozen=True)
class GateResult:
    """The outcome of one gate."""

    name: str
    status: Status
    observed: str
    required: str
    reason: str


@dataclass(frozen=True)
class Decision:
    """The outcome of all gates, in the order of ``GATES``."""

    gates: tuple[GateResult, ...]
    passed: bool
    """Whether every gate says PASS or WARN."""


def judge(
    holdout: "pd.DataFrame",
    facts: HoldoutFacts,
    policy: GatePolicy,
    *,
    target: Target,
    entity: Sequence[str],
    slices: Sequence[str],
    groups: Sequence[str],
    costs: Costs | None,
    served: Served | None,
) -> Decision:
    """Judge a candidate by every gate.

    ``holdout`` has one row per (entity, as_of): the columns ``entity``, as_of (a date or a timestamp; UTC
    without a zone), label, score_candidate, score_baseline, score_champion if there is a champion (of several
    classes also score_<role>_<k>), and the columns ``slices`` and ``groups``. ``costs`` decide who counts as
    selected when groups are compared. ``served`` is what a fresh process found; None if that was not tried.
    Raises ValueError only where the policy's metric is none of the target's.
    """
    policy.metric_of(target)
    case = Case(holdout, facts, policy, target, entity, slices, groups, costs, served)
    results = tuple(_result(name, case) for name in GATES)
    return Decision(results, all(result.status in ("PASS", "WARN") for result in results))


def _result(name: str, case: Case) -> GateResult:
    gate, required = _JUDGES[name]
    try:
        found = gate(case)
    except CannotJudge as problem:
        return GateResult(name, problem.status, "no measurement", required(case), problem.reason)
    refusal: Status = "WARN" if name in case.policy.warn_only else "FAIL"
    return GateResult(name, "PASS" if found.holds else refusal, found.observed, required(case), found.reason)


def _beats_baseline(case: Case) -> Finding:
    policy, name = case.policy, case.metric
    mine, other, difference = case.against("baseline")
    floor = policy.floor(case.target)
    observed = f"{name} {mine:.4f}; baseline {other:.4f}; {_difference(difference, policy)}"
    if not mine >= floor:
        return Finding(False, observed, f"The candidate's {name} {mine:.4f} is below the floor {floor:g}.")
    if not difference.low > policy.min_lift_over_baseline:
        return Finding(
            False,
            observed,
            f"The {name} difference to the baseline is {_bounded(difference)}, and that bound must exceed "
            f"{policy.min_lift_over_baseline:g}: the candidate may be no better than the baseline.",
        )
    return Finding(
        True, observed, f"The candidate's {name} is above the baseline's by {_bounded(difference)}."
    )


def _not_worse_than_champion(case: Case) -> Finding:
    policy = case.policy
    if not case.has_champion:
        case.labels()
        case.scores("candidate")
        return Finding(True, "no champion", "There is no champion yet: the floor and the baseline decide.")
    mine, other, difference = case.against("champion")
    superior, inferior = difference.low > 0, not difference.low > -policy.margin
    observed = (
        f"{case.metric} {mine:.4f}; champion {other:.4f}; {_difference(difference, policy)}; "
        f"superior (bound > 0): {'yes' if superior else 'no'}; "
        f"non-inferior (bound > -{policy.margin:g}): {'no' if inferior else 'yes'}"
    )
    found = f"The {case.metric} difference to the champion is {_bounded(difference)}"
    if policy.replace_if == "better":
        verdict = "better beyond chance" if superior else "not shown to be better"
        return Finding(superior, observed, f"{found}: {verdict}.")
    verdict = "is not excluded" if inferior else "is excluded"
    return Finding(not inferior, observed, f"{found}: a loss of {policy.margin:g} {verdict}.")


def _slices_hold(case: Case) -> Finding:
    from ml_assets.evaluation.slices import by_slice

    policy = case.policy
    case.labels()
    for role in ("candidate", *case.others):
        case.scores(role)
    if not case.slices:
        return Finding(True, "no slices", "The model declares no slices, so there is none to judge.")
    missing = [column for column in case.slices if column not in case.holdout]
    if missing:
        raise CannotJudge(f"The holdout has no slice column {', '.join(missing)}.", "FAIL")
    metric = policy.metric_of(case.target)
    rows = {column: by_slice(case.holdout, column, case.target, metric) for column in case.slices}
    judged = [(c, r) for c, column_rows in rows.items() for r in column_rows if r.n >= policy.slice_minimum_n]
    unjudged = [column for column in case.slices if column not in {c for c, _ in judged}]
    losses = [(_loss(row, role), column, row, role) for column, row in judged for role in case.others]
    undefined = [f"{column} = {row.value}" for loss, column, row, _ in losses if loss != loss]
    worst = sorted((x for x in losses if x[0] == x[0]), key=lambda x: -x[0])
    observed = f"{len(judged)} of {sum(map(len, rows.values()))} slices judged"
    most = f"{policy.slice_max_loss:g} {case.metric}"
    if worst:
        observed += f"; worst: {_slice_words(*worst[0])}"
        if worst[0][0] > policy.slice_max_loss:
            beyond = "; ".join(_slice_words(*x) for x in worst if x[0] > policy.slice_max_loss)
            return Finding(False, observed, f"More than {most} is lost in {beyond}.")
    if unjudged:
        raise CannotJudge(
            f"No value of {', '.join(unjudged)} has {policy.slice_minimum_n} rows: nothing to judge."
        )
    if undefined:
        raise CannotJudge(
            f"{case.metric} is not defined in {', '.join(dict.fromkeys(undefined))}: all labels alike."
        )
    return Finding(True, observed, f"In none of {len(judged)} slices is more than {most} lost.")


def _loss(row: "SliceRow", role: str) -> float:
    mine, other = row.candidate, row.of(role)
    return other - mine if mine is not None and other is not None else float("nan")


def _slice_words(loss: float, column: str, row: "SliceRow", role: str) -> str:
    mine, name = row.candidate or 0.0, METRIC_NAMES[row.metric]
    return (
        f"{column} = {row.value} (n {row.n}): {name} {mine:.4f}, {role} {mine + loss:.4f}, loss {loss:+.4f}"
    )


def _is_calibrated(case: Case) -> Finding:
    from ml_assets.evaluation.arrays import probabilities_problem
    from ml_assets.evaluation.metrics import class_ratios, measure

    low, high = case.policy.calibration_ratio
    labels, scores = case.labels(), case.scores("candidate")
    problem = probabilities_problem(scores) if case.target.is_classes else None
    if problem:
        return Finding(False, "no probabilities", f"The candidate: {problem}.")
    metrics = measure(case.target, case.holdout, "candidate")
    found = metrics["calibration_ratio"]
    if found != found:
        raise CannotJudge(
            "There is no ratio of promised to come: a class has no row, or the mean label is 0."
        )
    observed = f"ratio {found:.3f}"
    if case.target.kind == "multiclass":
        furthest = int((class_ratios(labels, scores) == found).argmax())
        promised = f"Class {case.target.classes[furthest]} is furthest from its share"
    else:
        observed += f" (mean score {scores.mean():.4g}, mean label {labels.mean():.4g})"
        promised = f"The candidate promises {scores.sum():.5g} in all, and {labels.sum():.5g} came"
    if "calibration_error" in metrics:
        observed += f"; calibration error {metrics['calibration_error']:.4f}"
    if low <= found <= high:
        return Finding(True, observed, f"{promised}: a ratio of {found:.2f}.")
    return Finding(False, observed, f"{promised}: a ratio of {found:.2f}, outside {low:g} to {high:g}.")


def _is_fast_and_small(case: Case) -> Finding:
    policy, served = case.policy, _scoring(case)
    megabytes, median = served.size_bytes / 1e6, served.latency_ms
    if median != median or served.size_bytes <= 0:
        raise CannotJudge("The process that read the model back measured no latency or no size.", "FAIL")
    observed = f"median {median:.2f} ms, p99 {served.latency_p99_ms:.2f} ms a row; {megabytes:.2f} MB"
    problems = []
    if not median <= policy.max_latency_ms:
        problems.append(f"A single row takes {median:.2f} ms, and {policy.max_latency_ms:g} are allowed")
    if not megabytes <= policy.max_size_mb:
        problems.append(f"The model has {megabytes:.2f} MB, and {policy.max_size_mb:g} are allowed")
    if problems:
        return Finding(False, observed, "; ".join(problems) + ".")
    return Finding(True, observed, f"A row takes {median:.2f} ms, the model {megabytes:.2f} MB.")


def _reloads_and_predicts(case: Case) -> Finding:
    served = _scoring(case)
    observed = f"{'same' if served.same_scores else 'other'} scores; {len(served.differing)} packages differ"
    problems = list(served.differing)
    if not served.same_scores:
        problems.insert(0, "The model read back from the registry gives other scores than the fitted one")
    if problems:
        return Finding(False, observed, "; ".join(problems) + ".")
    return Finding(True, observed, "The model read back by a fresh process gives the same scores.")


def _scoring(case: Case) -> Served:
    """What the fresh process found. Raises CannotJudge if there was none, or it could not score."""
    if case.served is None:
        raise CannotJudge("The model was not read back from the registry, so nothing says that it can be.")
    if case.served.same_scores is None:
        why = [*case.served.differing, case.served.error or "it gave no reason"]
        raise CannotJudge(f"A fresh process could not score with the model: {'; '.join(why)}.", "FAIL")
    return case.served


def _difference(interval: "Interval", policy: GatePolicy) -> str:
    return f"difference {interval.observed:+.4f}, {1 - policy.alpha:.0%} lower bound {interval.low:+.4f}"


def _bounded(interval: "Interval") -> str:
    return f"{interval.observed:+.4f} with lower bound {interval.low:+.4f}"


def _required_of_baseline(case: Case) -> str:
    floor, lift = case.policy.floor(case.target), case.policy.min_lift_over_baseline
    return f"{case.metric} >= {floor:g}; {1 - case.policy.alpha:.0%} lower bound of the difference > {lift:g}"


def _required_of_champion(case: Case) -> str:
    bound = "0" if case.policy.replace_if == "better" else f"-{case.policy.margin:g}"
    return f"{1 - case.policy.alpha:.0%} lower bound of the difference > {bound} ({case.policy.replace_if})"


def _required_of_slices(case: Case) -> str:
    policy = case.policy
    return f"loss <= {policy.slice_max_loss:g} {case.metric} in every slice of n >= {policy.slice_minimum_n}"


def _required_of_size(case: Case) -> str:
    return f"median <= {case.policy.max_latency_ms:g} ms a row; <= {case.policy.max_size_mb:g} MB"


_JUDGES: dict[str, tuple[Callable[[Case], Finding], Callable[[Case], str]]] = {
    "holdout_is_honest": (holdout_is_honest, required_of_holdout),
    "beats_baseline": (_beats_baseline, _required_of_baseline),
    "not_worse_than_champion": (_not_worse_than_champion, _required_of_champion),
    "slices_hold": (_slices_hold, _required_of_slices),
    "is_calibrated": (
        _is_calibrated,
        lambda case: "ratio from {:g} to {:g}".format(*case.policy.calibration_ratio),
    ),
    "treats_groups_alike": (treats_groups_alike, required_of_groups),
    "is_fast_and_small": (_is_fast_and_small, _required_of_size),
    "reloads_and_predicts": (
        _reloads_and_predicts,
        lambda _: "the same scores after a reload; every pinned package installed",
    ),
}
