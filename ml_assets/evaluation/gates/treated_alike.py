"""The gate of fairness: that groups of people are treated alike."""

from typing import TYPE_CHECKING

from ml_assets.evaluation.gates.gate import CannotJudge, Case, Finding, Gate
from ml_assets.evaluation.spec import Standard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_assets.evaluation.fairness import Gap, Grouped


class TreatsGroupsAlike(Gate):
    """Every pair of large groups of each declared column, by the candidate's scores.

    A gap refuses if it is beyond its limit and beyond chance, by a bootstrap clustered by entity.
    """

    name = "treats_groups_alike"
    description = (
        "Between the large groups of each declared column, true positive rates and selection rates are near each "
        "other; where nobody is selected by a score, the promise per what came is."
    )

    def required(self, standard: Standard) -> str:
        """The widest gaps, and how large a group must be."""
        limits = standard.limits
        if standard.target.kind == "binary":
            asked = (
                f"true positive rates within {limits.equal_opportunity:g}; "
                f"selection rates' ratio >= {limits.disparate_impact:g}"
            )
        else:
            asked = f"ratio of groups' mean score / mean label >= {limits.disparate_impact:g}"
        return f"{asked}; or a gap that may be chance; among groups of {_size(standard)}"

    def look(self, case: Case) -> Finding:
        """Columns without two large groups refuse, unless another column is worse."""
        groups, threshold = case.standard.groups, case.measured.selected_from
        if not groups:
            return Finding(True, "no groups", "The model declares no groups, so there are none to compare.")
        case.labels()
        scores = case.scores("candidate")
        missing = [column for column in groups if column not in case.measured.groups]
        if missing:
            raise CannotJudge(f"The holdout has no group column {', '.join(missing)}.", "FAIL")
        observed, problems, unjudged = [], [], []
        for column in groups:
            grouped = case.measured.groups[column]
            if len(grouped.large) < 2:
                unjudged.append(column)
                continue
            if threshold is None:
                seen, found = _promise(case, column, grouped)
            elif (scores >= threshold).any():
                seen, found = _selection(case, column, grouped)
            else:
                raise CannotJudge(
                    f"Nobody is selected from score {threshold:.4g}: there is nothing to compare."
                )
            observed.append(f"{column}, {len(grouped.large)} of {len(grouped.rows)} groups: {seen}")
            problems += found
        said = "; ".join(
            ([f"selected from score {threshold:.4g}"] if threshold is not None else []) + observed
        )
        if problems:
            return Finding(False, said, "; ".join(problems) + ".")
        if unjudged:
            raise CannotJudge(
                f"No two groups of {', '.join(unjudged)} have {_size(case.standard)}: nothing to compare."
            )
        return Finding(True, said, f"The groups of {', '.join(groups)} are treated alike.")


def _size(standard: Standard) -> str:
    limits = standard.limits
    positives = f" and {limits.minimum_positives} with label 1" if standard.target.kind == "binary" else ""
    return f"{limits.slice_minimum_n} rows{positives}"


def _selection(case: Case, column: str, grouped: "Grouped") -> tuple[str, list[str]]:
    """The gaps of true positive and selection rates in words, and those beyond limit and chance."""
    limits = case.limits
    far = [gap for gap in grouped.found if not gap.difference <= limits.equal_opportunity]
    rare = [gap for gap in grouped.chosen if not gap.ratio >= limits.disparate_impact]
    problems = [
        f"True positive rates differ by {gap.difference:.3f} between {column} = {gap.low} and {gap.high}, "
        f"and {limits.equal_opportunity:g} is allowed"
        for gap in far
        if gap.beyond_chance
    ]
    problems += [
        f"{column} = {gap.low} is selected {gap.ratio:.2f} times as often as {gap.high}, and "
        f"{limits.disparate_impact:g} is asked for"
        for gap in rare
        if gap.beyond_chance
    ]
    least = min(gap.ratio for gap in grouped.chosen)
    seen = (
        f"true positive rates differ by {grouped.found[0].difference:.3f}{_chance(far)}, "
        f"selection rates' ratio {least:.3f}{_chance(rare)}"
    )
    return seen, problems


def _promise(case: Case, column: str, grouped: "Grouped") -> tuple[str, list[str]]:
    """The gaps of mean score / mean label in words, and those beyond limit and chance."""
    least, kind, gaps = case.limits.disparate_impact, case.standard.target.kind, grouped.promised
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


def _chance(beyond_limit: "Sequence[Gap]") -> str:
    """What is said of gaps beyond the limit, if none is beyond chance."""
    return " (may be chance)" if beyond_limit and not any(gap.beyond_chance for gap in beyond_limit) else ""
