"""The tables of a report: which of the measured numbers stand in which row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ml_assets.evaluation.bootstrap import Interval
from ml_assets.evaluation.fairness import GroupRow
from ml_assets.evaluation.measured import Measured
from ml_assets.evaluation.metrics import METRICS
from ml_assets.evaluation.slices import SliceRow
from ml_assets.evaluation.thresholds import threshold_table

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


@dataclass(frozen=True)
class ComparedMetric:
    """A metric that models are compared by: its interval for each role, and the differences to the candidate's."""

    own: list[Interval]
    gaps: list[Interval]


@dataclass(frozen=True)
class Parts:
    """The slices or groups of one column: those that are large enough to judge, and the others."""

    shown: list[Any]
    small: list[Any]


def tables(measured: Measured) -> dict[str, Any]:
    """What the templates show of what was measured."""
    standard, roles = measured.standard, list(measured.said)
    kind, minimum = standard.target.kind, standard.limits.slice_minimum_n
    others = [name for name in METRICS[kind] if name in TITLES and name not in measured.resampled]
    binary = kind == "binary"
    thresholds = (
        threshold_table(measured.labels, measured.said["candidate"], standard.costs) if binary else []
    )
    return {
        "roles": roles,
        "compared": {
            name: ComparedMetric(
                [found.interval(role) for role in roles],
                [found.difference("candidate", role) for role in roles[1:]],
            )
            for name, found in measured.resampled.items()
        },
        "measured": {name: [measured.metrics[role][name] for role in roles] for name in others},
        "thresholds": thresholds,
        "base_rate": float(measured.labels.mean()),
        "costs": standard.costs,
        "metric": standard.metric_name,
        "minimum": minimum,
        "slices": {column: _parts(measured.slices.get(column), minimum) for column in standard.slices},
        "behind": {
            column: [row.value for row in rows if _is_behind(row, roles)]
            for column, rows in measured.slices.items()
        },
        "groups": {
            column: _parts(grouped.rows if (grouped := measured.groups.get(column)) else None, minimum)
            for column in standard.groups
        },
        "selected_from": measured.selected_from,
    }


def _parts(rows: Sequence[SliceRow] | Sequence[GroupRow] | None, minimum: int) -> Parts | None:
    """None of a column that the holdout doesn't have."""
    if rows is None:
        return None
    return Parts([row for row in rows if row.n >= minimum], [row for row in rows if row.n < minimum])


def _is_behind(row: SliceRow, roles: Sequence[str]) -> bool:
    """Whether another model has a higher metric than the candidate."""
    others = [value for role in roles[1:] if (value := row.of(role)) is not None]
    return row.candidate is not None and any(value > row.candidate for value in others)
