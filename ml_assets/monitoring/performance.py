"""Performance: how the predictions of each cohort turned out, once their labels have matured."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml_assets.training.target import Target

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

COLUMNS = ("as_of", "model_version", "label", "score")


class PerformanceError(Exception):
    """Predictions and labels that can't be compared; the message names column and rows."""


def performance(frame: "pd.DataFrame", target: Target) -> list[dict[str, Any]]:
    """One cohort per as_of and model version, in that order, from predictions joined with mature labels.

    ``frame`` has the columns as_of, model_version, label and score, and of several classes ``probabilities``; no rows
    give no cohorts. A cohort has as_of, model_version and the metrics of the target, None where the data doesn't
    define one. Raises PerformanceError where a column is missing, a label is none of the target's, or a score is not
    a number.
    """
    import numpy as np
    import pandas as pd

    from ml_assets.evaluation.metrics import measure

    _check(frame, target)
    cohorts = []
    for _, rows in frame.groupby(["as_of", "model_version"], sort=True):
        scores = {"label": rows["label"].to_numpy(), "score_champion": rows["score"].to_numpy()}
        if target.kind == "multiclass":
            classes = np.stack(list(rows["probabilities"]))
            scores |= {f"score_champion_{k}": each for k, each in enumerate(classes.T)}
        metrics = measure(target, pd.DataFrame(scores), "champion")
        cohorts.append(
            {
                "as_of": pd.Timestamp(rows["as_of"].iloc[0]).date(),
                "model_version": int(rows["model_version"].iloc[0]),
            }
            | {name: _defined(value) for name, value in metrics.items()}
        )
    return cohorts


def performance_rows(cohorts: Sequence[Mapping[str, Any]], target: Target) -> "pa.Table":
    """The cohorts as rows of a table: as_of DATE, model_version and counts BIGINT, metrics DOUBLE."""
    import pyarrow as pa

    from ml_assets.evaluation.metrics import COUNTS, METRICS

    kinds = {name: pa.int64() if name in COUNTS else pa.float64() for name in METRICS[target.kind]}
    schema = pa.schema({"as_of": pa.date32(), "model_version": pa.int64(), **kinds})
    return pa.Table.from_pylist(list(cohorts), schema=schema)


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


def _defined(value: float) -> float | None:
    return value if math.isfinite(value) else None
