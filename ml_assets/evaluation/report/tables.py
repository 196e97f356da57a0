"""The tables of a report: HTML of what was measured."""

from collections.abc import Sequence
from html import escape
from math import isnan
from typing import TYPE_CHECKING

from ml_assets.evaluation.arrays import as_floats, labels_of, roles_of
from ml_assets.evaluation.bootstrap import Interval, resample
from ml_assets.evaluation.costs import Costs
from ml_assets.evaluation.fairness import by_group
from ml_assets.evaluation.gates.judge import GateResult
from ml_assets.evaluation.metrics import METRICS, measure
from ml_assets.evaluation.slices import SliceRow, by_slice
from ml_assets.evaluation.spec import COMPARED_BY, GATE_DESCRIPTIONS, METRIC_NAMES
from ml_assets.evaluation.thresholds import selection_threshold, threshold_table
from ml_assets.pages.parts import legend, lines, note, number, table
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import pandas as pd

TITLES = {
    "auc": "AUC",
    "average_precision": "Average precision",
    "r2": "Variance explained (r2)",
    "skill": "Skill",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
    "calibration_ratio": "Mean score / mean label",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "spearman": "Rank correlation (Spearman)",
    "accuracy": "Accuracy",
}
"""How a reader calls the metrics that are compared."""

_LOOKS = {"PASS": "pass", "WARN": "warn", "FAIL": "fail", "NOT EVALUATED": "open"}
_LISTED = 20
"""Small slices listed by name."""


def gate_table(gates: Sequence[GateResult]) -> str:
    """Every gate: its status, what was observed and required, and why."""
    rows = [
        (
            f'<span class="badge {_LOOKS[gate.status]}">{gate.status}</span>',
            f'<b title="{escape(GATE_DESCRIPTIONS.get(gate.name, gate.name))}">{escape(gate.name)}</b>'
            f"<p>{escape(gate.reason)}</p>",
            lines(gate.observed),
            lines(gate.required),
        )
        for gate in gates
    ]
    return table(("Status", "Gate and reason", "Observed", "Required"), rows, look="gates")


def metrics_table(
    target: Target, holdout: "pd.DataFrame", entity: Sequence[str], draws: int, seed: int
) -> str:
    """Every metric of every role, with intervals where models are compared by it, and the differences."""
    roles = roles_of(holdout)
    measured = {role: measure(target, holdout, role) for role in roles}
    compared = COMPARED_BY[target.kind]
    rows = []
    for name in compared:
        found = resample(target, holdout, roles, entity=entity, metric=name, draws=draws, seed=seed)
        own = [_interval(found.interval(role)) for role in roles]
        gaps = [_interval(found.difference("candidate", role), "+") for role in roles[1:]]
        rows.append((f"<b>{TITLES[name]}</b>", *own, *gaps))
    for metric in METRICS[target.kind]:
        if metric in TITLES and metric not in compared:
            own = [number(measured[role][metric]) for role in roles]
            gaps = [
                _gap(metric, measured["candidate"][metric] - measured[role][metric]) for role in roles[1:]
            ]
            rows.append((f"<b>{TITLES[metric]}</b>", *own, *gaps))
    head = ("", *(legend(role) for role in roles), *(f"candidate − {role}" for role in roles[1:]))
    return table(head, rows, look="numbers")


def _gap(metric: str, gap: float) -> str:
    return "" if metric == "calibration_ratio" else number(gap, "+")


def _interval(interval: Interval, sign: str = "") -> str:
    if isnan(interval.low):
        return number(interval.observed, sign)
    low, high = (f"{value:{sign}.3f}" for value in (interval.low, interval.high))
    return f"{number(interval.observed, sign)}<small>{low} to {high}</small>"


def threshold_section(holdout: "pd.DataFrame", target: Target, costs: Costs | None) -> str:
    """What the candidate's thresholds select, of a binary target; with costs the cheapest is marked."""
    labels, scores = labels_of(target, holdout), as_floats(holdout["score_candidate"])
    rows = threshold_table(labels, scores, costs)
    head = ["Score from", "Rows selected", "Precision", "Recall", "Lift"]
    head += ["Cost per 1,000 rows"] if costs else []
    rate = float(labels.mean())
    cells = [
        (
            f"{row.threshold:.4f}",
            f"{row.selected:.1%}",
            f"{row.precision:.1%}",
            f"{row.recall:.1%}",
            f"{row.precision / rate:.2f}",
            *([f"{row.cost:,.1f}"] if row.cost is not None else []),
        )
        for row in rows
    ]
    best = next((i for i, row in enumerate(rows) if row.best), None)
    said = "Declare costs, and the cheapest threshold is marked."
    if costs:
        said = (
            f"A row costs {costs.true_positive:g} if selected rightly, {costs.false_positive:g} if wrongly, "
            f"{costs.false_negative:g} if missed, {costs.true_negative:g} if left out rightly. Of calibrated "
            f"probabilities selecting pays from {costs.threshold:.4f}; the marked line was cheapest here."
        )
    return table(head, cells, look="numbers", best=best) + note(said)


def slice_tables(
    holdout: "pd.DataFrame", slices: Sequence[str], target: Target, metric: str, minimum: int
) -> str:
    """One table per column."""
    if not slices:
        return note("The model declares no slices.")
    return "".join(_slice_table(holdout, column, target, metric, minimum) for column in slices)


def _slice_table(holdout: "pd.DataFrame", column: str, target: Target, metric: str, minimum: int) -> str:
    heading = f"<h3>{escape(column)}</h3>"
    if column not in holdout:
        return heading + note("The holdout has no such column.")
    roles, rows = roles_of(holdout), by_slice(holdout, column, target, metric)
    shown = [row for row in rows if row.n >= minimum]
    counts = ("Positives", "Base rate") if target.kind == "binary" else ("Mean label",)
    head = (
        "Slice",
        "Rows",
        *counts,
        *(f"{METRIC_NAMES[metric]} {legend(r)}" for r in roles),
        TITLES["calibration_ratio"],
    )
    cells = table(head, [_slice_cells(row, roles) for row in shown], look="numbers") if shown else ""
    return heading + cells + _too_small([(row.value, row.n) for row in rows if row.n < minimum], minimum)


def _slice_cells(row: SliceRow, roles: Sequence[str]) -> tuple[str, ...]:
    others = [value for role in roles[1:] if (value := row.of(role)) is not None]
    behind = row.candidate is not None and any(value > row.candidate for value in others)
    found = [number(row.of(role)) for role in roles]
    found[0] = f'<span class="behind">{found[0]}</span>' if behind else found[0]
    counts = [number(row.mean_label)]
    if row.positives is not None:
        counts = [f"{row.positives:,}", f"{row.mean_label:.1%}"]
    return (escape(row.value), f"{row.n:,}", *counts, *found, number(row.calibration_ratio))


def _too_small(rows: Sequence[tuple[str, int]], minimum: int) -> str:
    if not rows:
        return ""
    names = ", ".join(f"{value} ({n})" for value, n in rows[:_LISTED])
    more = f" and {len(rows) - _LISTED} more" if len(rows) > _LISTED else ""
    return note(f"Too small to judge (fewer than {minimum} rows): {names}{more}.")


def group_tables(
    holdout: "pd.DataFrame", groups: Sequence[str], target: Target, costs: Costs | None, minimum: int
) -> str:
    """One table per column: who is selected, who is found, what is promised."""
    if not groups:
        return note("The model declares no groups.")
    binary = target.kind == "binary"
    scores = as_floats(holdout["score_candidate"])
    threshold = selection_threshold(labels_of(target, holdout), scores, costs) if binary else None
    found = "".join(_group_table(holdout, column, target, threshold, minimum) for column in groups)
    if threshold is None:
        return found
    why = "the costs" if costs else "as many are selected as have label 1"
    return note(f"Selected from score {threshold:.4f}: {why}.") + found


def _group_table(
    holdout: "pd.DataFrame", column: str, target: Target, threshold: float | None, minimum: int
) -> str:
    heading = f"<h3>{escape(column)}</h3>"
    if column not in holdout:
        return heading + note("The holdout has no such column.")
    rows = by_group(holdout, column, target, threshold)
    shown = [row for row in rows if row.n >= minimum]
    binary = threshold is not None
    head = ["Group", "Rows", *(["Positives", "Selected", "Positives found"] if binary else [])]
    cells = [
        (
            escape(row.group),
            f"{row.n:,}",
            *(
                [f"{row.positives or 0:,}", f"{row.selection_rate:.1%}", _share(row.true_positive_rate)]
                if binary
                else []
            ),
            number(row.calibration_ratio),
        )
        for row in shown
    ]
    small = _too_small([(row.group, row.n) for row in rows if row.n < minimum], minimum)
    return (
        heading
        + (table([*head, TITLES["calibration_ratio"]], cells, look="numbers") if shown else "")
        + small
    )


def _share(value: float) -> str:
    return number(value) if isnan(value) else f"{value:.1%}"
