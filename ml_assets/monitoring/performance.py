"""Performance: how the predictions of each cohort turned out, once their labels have matured."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

COLUMNS = ("as_of", "model_version", "label", "score")


class PerformanceError(Exception):
    """Predictions and labels that can't be compared; the message names column and rows."""


@dataclass(frozen=True)
class Cohort:
    """The predictions one model version made at one as_of, against what happened.

    A metric the data doesn't define, such as the AUC of one class, is None. ``calibration_ratio`` is the
    mean score by the share of label 1.
    """

    as_of: date
    model_version: int
    n: int
    positives: int
    auc: float | None
    average_precision: float | None
    brier: float | None
    calibration_ratio: float | None


def performance(frame: "pd.DataFrame") -> list[Cohort]:
    """One cohort per as_of and model version, in that order, from predictions joined with mature labels.

    ``frame`` has the columns as_of, model_version, label (0 or 1) and score; no rows give no cohorts.
    Raises PerformanceError where a column is missing, a label is not 0 or 1, or a score is not a number.
    """
    import pandas as pd

    from ml_assets.evaluation.metrics import binary_metrics

    _check(frame)
    cohorts = []
    for _, rows in frame.groupby(["as_of", "model_version"], sort=True):
        metrics = binary_metrics(
            rows["label"].to_numpy(dtype="int64"), rows["score"].to_numpy(dtype="float64")
        )
        cohorts.append(
            Cohort(
                as_of=pd.Timestamp(rows["as_of"].iloc[0]).date(),
                model_version=int(rows["model_version"].iloc[0]),
                n=metrics.n,
                positives=metrics.positives,
                auc=_defined(metrics.auc),
                average_precision=_defined(metrics.average_precision),
                brier=_defined(metrics.brier),
                calibration_ratio=_defined(metrics.calibration_ratio),
            )
        )
    return cohorts


def performance_rows(cohorts: Sequence[Cohort]) -> "pa.Table":
    """The cohorts as rows of a table: as_of DATE, model_version, n, positives BIGINT, metrics DOUBLE."""
    import pyarrow as pa

    whole = dict.fromkeys(("model_version", "n", "positives"), pa.int64())
    metrics = dict.fromkeys(("auc", "average_precision", "brier", "calibration_ratio"), pa.float64())
    schema = pa.schema({"as_of": pa.date32(), **whole, **metrics})
    return pa.Table.from_pylist([asdict(cohort) for cohort in cohorts], schema=schema)


def _check(frame: "pd.DataFrame") -> None:
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise PerformanceError(
            f"Expected the columns {', '.join(COLUMNS)}; {', '.join(missing)} is missing among "
            f"{', '.join(map(str, frame.columns))}. Join the predictions with the labels first."
        )
    wrong = {
        "as_of": (frame["as_of"].isna(), "is null"),
        "model_version": (frame["model_version"].isna(), "is null"),
        "label": (~frame["label"].isin([0, 1]), "is not 0 or 1"),
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


def _defined(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
