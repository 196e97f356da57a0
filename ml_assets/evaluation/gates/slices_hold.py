"""The candidate in each slice, against baseline and champion."""

from typing import TYPE_CHECKING

from ml_assets.evaluation.gates.gate import CannotJudge, Case, Finding, Gate
from ml_assets.evaluation.spec import METRIC_NAMES, Standard

if TYPE_CHECKING:
    from ml_assets.evaluation.slices import SliceRow


class SlicesHold(Gate):
    """What is gained on the whole is not lost in a part."""

    name = "slices_hold"
    description = "In no large slice does the candidate lose more than allowed to baseline or champion."

    def required(self, standard: Standard) -> str:
        """The largest loss, and how large a slice must be."""
        limits = standard.limits
        return (
            f"loss <= {limits.slice_max_loss:g} {standard.metric_name} "
            f"in every slice of n >= {limits.slice_minimum_n}"
        )

    def look(self, case: Case) -> Finding:
        """A loss beyond the limit refuses even where other slices can't be judged."""
        limits, measured, name = case.limits, case.measured, case.standard.metric_name
        case.labels()
        for role in ("candidate", *measured.others):
            case.scores(role)
        slices = case.standard.slices
        if not slices:
            return Finding(True, "no slices", "The model declares no slices, so there is none to judge.")
        missing = [column for column in slices if column not in measured.slices]
        if missing:
            raise CannotJudge(f"The holdout has no slice column {', '.join(missing)}.", "FAIL")
        every = [(column, row) for column in slices for row in measured.slices[column]]
        judged = [(column, row) for column, row in every if row.n >= limits.slice_minimum_n]
        unjudged = [column for column in slices if column not in {c for c, _ in judged}]
        losses = [(_loss(row, role), column, row, role) for column, row in judged for role in measured.others]
        undefined = [f"{column} = {row.value}" for loss, column, row, _ in losses if loss != loss]
        worst = sorted((x for x in losses if x[0] == x[0]), key=lambda x: -x[0])
        observed = f"{len(judged)} of {len(every)} slices judged"
        most = f"{limits.slice_max_loss:g} {name}"
        if worst:
            observed += f"; worst: {_words(*worst[0])}"
            if worst[0][0] > limits.slice_max_loss:
                beyond = "; ".join(_words(*x) for x in worst if x[0] > limits.slice_max_loss)
                return Finding(False, observed, f"More than {most} is lost in {beyond}.")
        if unjudged:
            raise CannotJudge(
                f"No value of {', '.join(unjudged)} has {limits.slice_minimum_n} rows: nothing to judge."
            )
        if undefined:
            raise CannotJudge(
                f"{name} is not defined in {', '.join(dict.fromkeys(undefined))}: all labels alike."
            )
        return Finding(True, observed, f"In none of {len(judged)} slices is more than {most} lost.")


def _loss(row: "SliceRow", role: str) -> float:
    mine, other = row.candidate, row.of(role)
    return other - mine if mine is not None and other is not None else float("nan")


def _words(loss: float, column: str, row: "SliceRow", role: str) -> str:
    mine, name = row.candidate or 0.0, METRIC_NAMES[row.metric]
    return (
        f"{column} = {row.value} (n {row.n}): {name} {mine:.4f}, {role} {mine + loss:.4f}, loss {loss:+.4f}"
    )
