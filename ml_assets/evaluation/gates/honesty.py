"""The first gate: that the holdout can tell anything about the candidate, and about the champion."""

from ml_assets.evaluation.gates.case import Case, Finding


def holdout_is_honest(case: Case) -> Finding:
    """Mature labels, of rows later than what both models know, scored once, and enough of them."""
    facts, holdout = case.facts, case.holdout
    rare = _rarest(case)
    observed = (
        f"{len(holdout)} rows{', ' + rare[1] if rare else ''}; as_of {facts.holdout_from} to {facts.holdout_to}; "
        f"candidate knows until {facts.candidate_knows_until}; "
        + (f"champion knows until {facts.champion_knows_until}" if case.has_champion else "no champion")
    )
    rows = case.rows_problem
    problems = [rows] if rows else [*_size_problems(case), *_as_of_problems(case)]
    problems += (
        [p for p in (case.maturity_problem(),) if p] + _knowledge_problems(case) + _digest_problems(case)
    )
    if problems:
        return Finding(False, observed, "; ".join(problems) + ".")
    whom = "both models know" if case.has_champion else "the candidate knows"
    return Finding(True, observed, f"{len(holdout)} rows with mature labels, all later than what {whom}.")


def required_of_holdout(case: Case) -> str:
    """What the gate asks for."""
    of = {"binary": " with label 1, both classes", "multiclass": " of the rarest class", "regression": ""}
    kind = case.target.kind
    least = f"at least {case.policy.minimum_rows} rows"
    if case.target.is_classes:
        least += f", {case.policy.minimum_positives}{of[kind]}"
    return f"labels mature; as_of from what both models know; one digest; {least}"


def _rarest(case: Case) -> tuple[int, str] | None:
    """Rows of the class that decides whether there are enough, and in words; None where there are no classes."""
    if not case.target.is_classes or case.rows_problem:
        return None
    count = case.holdout["label"].astype(int).value_counts()
    if case.target.kind == "binary":
        return int(count.get(1, 0)), f"{count.get(1, 0)} positives"
    rows, number = min((int(count.get(k, 0)), k) for k in range(len(case.target.classes)))
    return rows, f"{rows} of class {case.target.classes[number]}, the rarest"


def _size_problems(case: Case) -> list[str]:
    policy, labels = case.policy, case.holdout["label"]
    problems = []
    if len(labels) < policy.minimum_rows:
        problems.append(f"The holdout has {len(labels)} rows, and {policy.minimum_rows} are needed")
    rare = _rarest(case)
    if rare and rare[0] < policy.minimum_positives:
        what = "rows with label 1" if case.target.kind == "binary" else "rows of the rarest class"
        problems.append(f"The holdout has {rare[0]} {what}, and {policy.minimum_positives} are needed")
    if labels.nunique() == 1:
        problems.append(f"All {len(labels)} labels are {labels.iloc[0]}: there is nobody to tell apart")
    return problems


def _as_of_problems(case: Case) -> list[str]:
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


def _knowledge_problems(case: Case) -> list[str]:
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


def _digest_problems(case: Case) -> list[str]:
    facts = case.facts
    if not facts.digest_candidate:
        return ["Nothing says which rows the candidate was scored on: the digest is empty"]
    if case.has_champion and facts.digest_champion != facts.digest_candidate:
        mine, other = facts.digest_candidate[:12], (facts.digest_champion or "none")[:12]
        return [f"Candidate and champion were not scored on the same rows: digests {mine} and {other}"]
    return []
