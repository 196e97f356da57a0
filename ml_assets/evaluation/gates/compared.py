"""The candidate against baseline and champion: the lower bound of a paired bootstrap decides.

A gate that only asked for ``>=`` would promote half of all equally good candidates.
"""

from typing import TYPE_CHECKING

from ml_assets.evaluation.gates.gate import Case, Finding, Gate
from ml_assets.evaluation.spec import Limits, Standard

if TYPE_CHECKING:
    from ml_assets.evaluation.bootstrap import Interval


class BeatsBaseline(Gate):
    """The candidate knows more than a lookup of one feature."""

    name = "beats_baseline"
    description = "The candidate's metric reaches the floor and is above the baseline's beyond chance."

    def required(self, standard: Standard) -> str:
        """Floor and lift."""
        limits = standard.limits
        return (
            f"{standard.metric_name} >= {limits.floor(standard.target):g}; "
            f"{1 - limits.alpha:.0%} lower bound of the difference > {limits.min_lift_over_baseline:g}"
        )

    def look(self, case: Case) -> Finding:
        """First the floor, then the bound."""
        limits, name = case.limits, case.standard.metric_name
        mine, other, difference = case.against("baseline")
        floor = limits.floor(case.standard.target)
        observed = f"{name} {mine:.4f}; baseline {other:.4f}; {_difference(difference, limits)}"
        if not mine >= floor:
            return Finding(
                False, observed, f"The candidate's {name} {mine:.4f} is below the floor {floor:g}."
            )
        if not difference.low > limits.min_lift_over_baseline:
            return Finding(
                False,
                observed,
                f"The {name} difference to the baseline is {_bounded(difference)}, and that bound must exceed "
                f"{limits.min_lift_over_baseline:g}: the candidate may be no better than the baseline.",
            )
        return Finding(
            True, observed, f"The candidate's {name} is above the baseline's by {_bounded(difference)}."
        )


class NotWorseThanChampion(Gate):
    """Replacing the champion costs nothing that matters, or, if the policy asks for that, gains something."""

    name = "not_worse_than_champion"
    description = (
        "On the same rows, by a paired bootstrap clustered by entity, the candidate is not worse than the "
        "champion by the margin or more (or is better, if the policy asks for that)."
    )

    def required(self, standard: Standard) -> str:
        """The bound that the policy asks for."""
        limits = standard.limits
        bound = "0" if limits.replace_if == "better" else f"-{limits.margin:g}"
        return f"{1 - limits.alpha:.0%} lower bound of the difference > {bound} ({limits.replace_if})"

    def look(self, case: Case) -> Finding:
        """Superiority and non-inferiority are both reported, whichever is asked for."""
        limits, name = case.limits, case.standard.metric_name
        if not case.measured.has_champion:
            case.labels()
            case.scores("candidate")
            return Finding(
                True, "no champion", "There is no champion yet: the floor and the baseline decide."
            )
        mine, other, difference = case.against("champion")
        superior, inferior = difference.low > 0, not difference.low > -limits.margin
        observed = (
            f"{name} {mine:.4f}; champion {other:.4f}; {_difference(difference, limits)}; "
            f"superior (bound > 0): {'yes' if superior else 'no'}; "
            f"non-inferior (bound > -{limits.margin:g}): {'no' if inferior else 'yes'}"
        )
        found = f"The {name} difference to the champion is {_bounded(difference)}"
        if limits.replace_if == "better":
            said = "better beyond chance" if superior else "not shown to be better"
            return Finding(superior, observed, f"{found}: {said}.")
        said = "is not excluded" if inferior else "is excluded"
        return Finding(not inferior, observed, f"{found}: a loss of {limits.margin:g} {said}.")


def _difference(interval: "Interval", limits: Limits) -> str:
    return f"difference {interval.observed:+.4f}, {1 - limits.alpha:.0%} lower bound {interval.low:+.4f}"


def _bounded(interval: "Interval") -> str:
    return f"{interval.observed:+.4f} with lower bound {interval.low:+.4f}"
