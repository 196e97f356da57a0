"""Performance: how the predictions of each cohort turned out, once their labels have matured."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.evaluation.arrays import Floats, as_floats
from ml_assets.monitoring.loss.reference import Reference
from ml_assets.monitoring.loss.verdict import Cohort, DayWatched, judge_cohort
from ml_assets.monitoring.spec import MonitoringPolicy
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("as_of", "model_version", "known_until", "label", "score")


class PerformanceError(Exception):
    """Predictions and labels that can't be compared; the message names column and rows."""


def performance(
    frame: "pd.DataFrame",
    target: Target,
    *,
    model: str,
    references: Mapping[int, Reference],
    unlike: Mapping[Cohort, str],
    watched: Mapping[Cohort, DayWatched],
    policy: MonitoringPolicy,
) -> list[dict[str, Any]]:
    """One cohort per as_of and model version, in that order, from predictions joined with mature labels.

    ``frame`` has the columns as_of, model_version, known_until, label and score, and of several classes
    ``probabilities``; no rows give no cohorts. ``references`` are by model version; ``unlike`` says of cohorts why the
    reference of their version tells nothing of them. A cohort has as_of, model_version, the metrics of the target, None
    where the data doesn't define one, and the fields of Verdict.
    Raises PerformanceError where a column is missing, a label is none of the target's, or a score is not a number.
    """
    import pandas as pd

    _check(frame, target)
    cohorts = []
    for _, rows in frame.groupby(["as_of", "model_version"], sort=True):
        as_of, cutoff = (pd.Timestamp(rows[name].iloc[0]).date() for name in ("as_of", "known_until"))
        version = int(rows["model_version"].iloc[0])
        labels, said = as_floats(rows["label"]), said_of(target, rows)
        verdict = judge_cohort(
            target,
            labels,
            said,
            unlike.get((as_of, version))
            or references.get(version)
            or f"version {version} was judged before references were kept; materialize {model}/evaluation of cutoff "
            f"{cutoff} to have one",
            watched.get((as_of, version)),
            policy,
        )
        cohorts.append(
            {"as_of": as_of, "model_version": version} | _metrics(target, labels, said) | asdict(verdict)
        )
    return cohorts


def said_of(target: Target, predictions: "pd.DataFrame") -> Floats:
    """What rows of the table ``predictions`` say: scores of shape (n,), of several classes probabilities, (n, classes)."""
    if target.kind != "multiclass":
        return as_floats(predictions["score"])
    found = [as_floats(row) for row in predictions["probabilities"]]
    return np.reshape(found, (len(found), len(target.classes)))


def _metrics(target: Target, labels: Floats, said: Floats) -> dict[str, float | None]:
    from ml_assets.evaluation.metrics import (
        binary_metrics,
        multiclass_metrics,
        regression_metrics,
    )

    measured = {
        "binary": binary_metrics,
        "regression": regression_metrics,
        "multiclass": multiclass_metrics,
    }[target.kind](labels, said)
    return {name: value if math.isfinite(value) else None for name, value in measured.items()}


def _check(frame: "pd.DataFrame", target: Target) -> None:
    columns = [*COLUMNS, *(["probabilities"] if target.kind == "multiclass" else [])]
    missing = [name for name in columns if name not in frame]
    if missing:
        raise PerformanceError(
            f"Expected the columns {', '.join(columns)}; {', '.join(missing)} is missing among "
            f"{', '.join(map(str, frame.columns))}. Join the predictions with the labels first."
        )
    wrong = {
        "as_of": (frame["as_of"].isna(), "is null"),
        "model_version": (frame["model_version"].isna(), "is null"),
        "label": (~_possible(frame["label"], target), f"is no {target.kind} label"),
        "score": (~frame["score"].astype("float64").abs().lt(math.inf), "is not a finite number"),
    }
    found = [
        f"{name} {words} in {int(rows.sum())} rows" for name, (rows, words) in wrong.items() if rows.any()
    ]
    if found:
        raise PerformanceError(
            f"Of {len(frame)} predictions with labels, {'; '.join(found)}. Materialize the predictions, or the "
            "labels, of these cutoffs again."
        )


def _possible(label: "pd.Series[Any]", target: Target) -> "pd.Series[bool]":
    if target.is_classes:
        return label.isin(range(len(target.classes)))
    return label.astype("float64").abs().lt(math.inf)
