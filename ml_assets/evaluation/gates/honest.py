"""The first gate: that the holdout can tell anything about the candidate, and about the champion."""

from ml_assets.evaluation.gates.gate import Case, Finding, Gate
from ml_assets.evaluation.spec import Standard


class HoldoutIsHonest(Gate):
    """Mature labels, of rows later than what both models know, scored once, and enough of them."""

    name = "holdout_is_honest"
    description = (
        "The holdout is later than everything both models know, its labels are mature, both models were "
        "scored on the same rows, and there are enough rows, of every class if labels are classes."
    )
    may_only_warn = False

    def required(self, standard: Standard) -> str:
        """Maturity, dates, digest and number of rows."""
        of = {"binary": " with label 1, both classes", "multiclass": " of the rarest class", "regression": ""}
        target, limits = standard.target, standard.limits
        least = f"at least {limits.minimum_rows} rows"
        if target.is_classes:
            least += f", {limits.minimum_positives}{of[target.kind]}"
        return f"labels mature; as_of from what both models know; one digest; {least}"

    def look(self, case: Case) -> Finding:
        """Every problem is named at once."""
        facts, rows, has_champion = case.measured.facts, case.measured.rows, case.measured.has_champion
        rare = _rarest(case)
        observed = (
            f"{rows.n} rows{', ' + rare[1] if rare else ''}; as_of {facts.holdout_from} to {facts.holdout_to}; "
            f"candidate knows until {facts.candidate_knows_until}; "
            + (f"champion knows until {facts.champion_knows_until}" if has_champion else "no champion")
        )
        problems = [rows.problem] if rows.problem else [*_size_problems(case), *_as_of_problems(case)]
        problems += [facts.immature] if facts.immature else []
        problems += [*_knowledge_problems(case), *_digest_problems(case)]
        if problems:
            return Finding(False, observed, "; ".join(problems) + ".")
        whom = "both models know" if has_champion else "the candidate knows"
        return Finding(True, observed, f"{rows.n} rows with mature labels, all later than what {whom}.")


def _rarest(case: Case) -> tuple[int, str] | None:
    """Rows of the class that decides whether there are enough, and in words; None where there are no classes."""
    target, labels = case.standard.target, case.measured.labels
    if not target.is_classes or case.measured.rows.problem:
        return None
    if target.kind == "binary":
        positives = int(labels.sum())
        return positives, f"{positives} positives"
    rows, number = min((int((labels == k).sum()), k) for k in range(len(target.classes)))
    return rows, f"{rows} of class {target.classes[number]}, the rarest"


def _size_problems(case: Case) -> list[str]:
    limits, labels = case.limits, case.measured.labels
    problems = []
    if len(labels) < limits.minimum_rows:
        problems.append(f"The holdout has {len(labels)} rows, and {limits.minimum_rows} are needed")
    rare = _rarest(case)
    if rare and rare[0] < limits.minimum_positives:
        what = "rows with label 1" if case.standard.target.kind == "binary" else "rows of the rarest class"
        problems.append(f"The holdout has {rare[0]} {what}, and {limits.minimum_positives} are needed")
    if labels.min() == labels.max():
        problems.append(f"All {len(labels)} labels are {labels[0]:g}: there is nobody to tell apart")
    return problems


def _as_of_problems(case: Case) -> list[str]:
    facts, rows = case.measured.facts, case.measured.rows
    if rows.first is None or rows.last is None:
        return [f"{rows.undated} of {rows.n} rows have no as_of"]
    problems = []
    if rows.first < facts.holdout_from or rows.last > facts.holdout_to:
        said = f"{facts.holdout_from} to {facts.holdout_to}"
        problems.append(
            f"The rows have as_of from {rows.first} to {rows.last}, and the holdout is said to be {said}"
        )
    if rows.repeated:
        key = ", ".join(case.standard.entity)
        problems.append(f"{rows.repeated} rows repeat a {key} and as_of that are already there")
    return problems


def _knowledge_problems(case: Case) -> list[str]:
    facts = case.measured.facts
    known = {"candidate": facts.candidate_knows_until, "champion": facts.champion_knows_until}
    problems = [
        f"The {role} knows the days before {until}, and the holdout starts on {facts.holdout_from}: "
        f"it has seen {(until - facts.holdout_from).days} days of what it is judged on"
        for role, until in known.items()
        if until is not None and facts.holdout_from < until
    ]
    if case.measured.has_champion and facts.champion_knows_until is None:
        problems.append("There is a champion, and nothing says until when it knows the data")
    return problems


def _digest_problems(case: Case) -> list[str]:
    facts = case.measured.facts
    if not facts.digest_candidate:
        return ["Nothing says which rows the candidate was scored on: the digest is empty"]
    compared = case.measured.has_champion and facts.champion_uncompared is None
    if compared and facts.digest_champion != facts.digest_candidate:
        mine, other = facts.digest_candidate[:12], (facts.digest_champion or "none")[:12]
        return [f"Candidate and champion were not scored on the same rows: digests {mine} and {other}"]
    return []
