"""The gate of fairness: that groups of people are treated alike."""

from typing import TYPE_CHECKING

from ml_assets.evaluation.gates.case import CannotJudge, Case, Finding

if TYPE_CHECKING:
    from ml_assets.evaluation.fairness import Bootstrap, Gap


def treats_groups_alike(case: Case) -> Finding:
    """Compare every pair of large groups of each declared column, by the candidate's scores.

    A gap refuses if it is beyond its limit and beyond chance, by a bootstrap clustered by entity.
    """
    from ml_assets.evaluation.fairness import by_group, large_groups
    from ml_assets.evaluation.thresholds import selection_threshold

    if not case.groups:
        return Finding(True, "no groups", "The model declares no groups, so there are none to compare.")
    labels = case.labels()
    scores = case.scores("candidate")
    missing = [column for column in case.groups if column not in case.holdout]
    if missing:
        raise CannotJudge(f"The holdout has no group column {', '.join(missing)}.", "FAIL")
    threshold = selection_threshold(labels, scores, case.costs) if case.target.kind == "binary" else None
    observed, problems, unjudged = [], [], []
    for column in case.groups:
        rows = by_group(case.holdout, column, case.target, threshold)
        large = large_groups(rows, case.policy.slice_minimum_n, case.policy.minimum_positives)
        if len(large) < 2:
            unjudged.append(column)
            continue
        names = [row.group for row in large]
        if threshold is None:
            seen, found = _promise(case, column, names)
        else:
            seen, found = _selection(case, column, names, threshold)
        observed.append(f"{column}, {len(large)} of {len(rows)} groups: {seen}")
        problems += found
    said = "; ".join(([f"selected from score {threshold:.4g}"] if threshold is not None else []) + observed)
    if problems:
        return Finding(False, said, "; ".join(problems) + ".")
    if unjudged:
        raise CannotJudge(f"No two groups of {', '.join(unjudged)} have {_size(case)}: nothing to compare.")
    return Finding(True, said, f"The groups of {', '.join(case.groups)} are treated alike.")


def required_of_groups(case: Case) -> str:
    """What the gate asks for."""
    policy = case.policy
    if case.target.kind == "binary":
        asked = (
            f"true positive rates within {policy.equal_opportunity:g}; "
            f"selection rates' ratio >= {policy.disparate_impact:g}"
        )
    else:
        asked = f"ratio of groups' mean score / mean label >= {policy.disparate_impact:g}"
    return f"{asked}; or a gap that may be chance; among groups of {_size(case)}"


def _size(case: Case) -> str:
    positives = f" and {case.policy.minimum_positives} with label 1" if case.target.kind == "binary" else ""
    return f"{case.policy.slice_minimum_n} rows{positives}"


def _selection(case: Case, column: str, groups: list[str], threshold: float) -> tuple[str, list[str]]:
    """The gaps of true positive and selection rates in words, and those beyond limit and chance."""
    from ml_assets.evaluation.fairness import selection_gaps

    policy = case.policy
    if not (case.scores("candidate") >= threshold).any():
        raise CannotJudge(f"Nobody is selected from score {threshold:.4g}: there is nothing to compare.")
    found, chosen = selection_gaps(case.holdout, column, groups, threshold, _bootstrap(case))
    far = [gap for gap in found if not gap.difference <= policy.equal_opportunity]
    rare = [gap for gap in chosen if not gap.ratio >= policy.disparate_impact]
    problems = [
        f"True positive rates differ by {gap.difference:.3f} between {column} = {gap.low} and {gap.high}, "
        f"and {policy.equal_opportunity:g} is allowed"
        for gap in far
        if gap.beyond_chance
    ]
    problems += [
        f"{column} = {gap.low} is selected {gap.ratio:.2f} times as often as {gap.high}, and "
        f"{policy.disparate_impact:g} is asked for"
        for gap in rare
        if gap.beyond_chance
    ]
    least = min(gap.ratio for gap in chosen)
    seen = (
        f"true positive rates differ by {found[0].difference:.3f}{_chance(far)}, "
        f"selection rates' ratio {least:.3f}{_chance(rare)}"
    )
    return seen, problems


def _promise(case: Case, column: str, groups: list[str]) -> tuple[str, list[str]]:
    """The gaps of mean score / mean label in words, and those beyond limit and chance."""
    from ml_assets.evaluation.fairness import promise_gaps

    least, kind = case.policy.disparate_impact, case.target.kind
    gaps = promise_gaps(case.holdout, column, groups, _bootstrap(case))
    unclear = [gap.low for gap in gaps if not gap.ratio > 0]
    if unclear:
        raise CannotJudge(
            f"Mean score / mean label of {column} = {unclear[0]} is not a positive number.", "FAIL"
        )
    far = [gap for gap in gaps if not gap.ratio >= least]
    problems = [
        f"For what came, {column} = {gap.low} is promised {gap.ratio:.2f} times what {gap.high} is, and "
        f"{least:g} is asked for (a {kind} selects nobody, so promises are compared)"
        for gap in far
        if gap.beyond_chance
    ]
    return f"mean score / mean label's ratio {min(gap.ratio for gap in gaps):.3f}{_chance(far)}", problems


def _chance(beyond_limit: "list[Gap]") -> str:
    """What is said of gaps beyond the limit, if none is beyond chance."""
    return " (may be chance)" if beyond_limit and not any(gap.beyond_chance for gap in beyond_limit) else ""


def _bootstrap(case: Case) -> "Bootstrap":
    from ml_assets.evaluation.fairness import Bootstrap

    policy = case.policy
    return Bootstrap(case.entity, policy.alpha, policy.draws, policy.seed)
