"""Labels, scores and probabilities of a frame as arrays of numbers."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ml_assets.training.target import Target

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

ROLES = ("candidate", "champion", "baseline")
"""Who is scored on a holdout, in the order shown; each in a column ``score_<role>``."""

_WHOLE = 1e-4
"""How far from 1 the probabilities of a row may sum: scores are float32."""


def roles_of(frame: "pd.DataFrame") -> list[str]:
    """The roles that have a score in ``frame``."""
    return [role for role in ROLES if f"score_{role}" in frame]


def as_floats(values: npt.ArrayLike) -> Floats:
    """Values as float64, every kind of null as nan. Raises ValueError where a value is not a number."""
    if hasattr(values, "to_numpy"):
        return np.asarray(values.to_numpy(dtype="float64", na_value=np.nan), dtype=np.float64)
    return np.asarray(values, dtype=np.float64)


def ratio(top: npt.ArrayLike, bottom: npt.ArrayLike) -> Floats:
    """``top / bottom``, and nan where ``bottom`` is 0 or nan."""
    above, below = np.broadcast_arrays(np.asarray(top, np.float64), np.asarray(bottom, np.float64))
    divided: Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=np.abs(below) > 0)
    return divided


def labels_problem(target: Target, labels: Floats) -> str | None:
    """What is wrong with labels of this target, or None: "2 of 90 labels are neither 0 nor 1"."""
    if target.kind == "regression":
        right, said = np.isfinite(labels), "are not finite numbers"
    elif target.kind == "binary":
        right, said = np.isin(labels, (0.0, 1.0)), "are neither 0 nor 1"
    else:
        last = len(target.classes) - 1
        right, said = np.isin(labels, np.arange(last + 1.0)), f"are no number of a class, 0 to {last}"
    wrong = int((~right).sum())
    return f"{wrong} of {len(labels)} labels {said}" if wrong else None


def labels_of(target: Target, frame: "pd.DataFrame") -> Floats:
    """The column ``label``, shape (n,). Raises ValueError for a label this kind of target does not have."""
    labels = as_floats(frame["label"])
    problem = labels_problem(target, labels)
    if problem:
        raise ValueError(problem)
    return labels


def probability_columns(target: Target, role: str) -> list[str]:
    """The columns of a multiclass model's probabilities, in the order of the classes."""
    return [f"score_{role}_{number}" for number in range(len(target.classes))]


def predicted(target: Target, frame: "pd.DataFrame", role: str) -> Floats:
    """What a role says of each row: scores of shape (n,), of several classes their probabilities, (n, classes).

    Raises KeyError where a column is missing, ValueError where a value is no number.
    """
    if target.kind != "multiclass":
        return as_floats(frame[f"score_{role}"])
    return np.column_stack([as_floats(frame[column]) for column in probability_columns(target, role)])


def probabilities_problem(scores: Floats) -> str | None:
    """Why these are no probabilities, or None; of shape (n, classes), each row must also sum to 1."""
    if not np.isfinite(scores).all():
        return f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores are not finite numbers"
    if scores.size and (scores.min() < 0 or scores.max() > 1):
        return (
            f"a probability is between 0 and 1, and scores go from {scores.min():.4g} to {scores.max():.4g}"
        )
    if scores.ndim == 2 and scores.size:
        away = float(np.abs(scores.sum(axis=1) - 1).max())
        if away > _WHOLE:
            return f"the probabilities of a row sum to 1, and one row's sum is {away:.4g} off"
    return None
