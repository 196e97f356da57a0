"""How much a model uses each feature, as shares of 1 that compare between models."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_assets.training.fit import loss_of
from ml_assets.training.predictor import Predictor
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 2000
REPEATS = 3
"""A column is shuffled so often; more barely changes the shares."""


@dataclass(frozen=True)
class Importance:
    """What share of a model's work each feature does."""

    method: str
    """'SHAP' or 'permutation'."""
    shares: dict[str, float]
    """Feature -> share; they sum to 1. A model that uses no feature at all has equal shares."""


def importance_of(predictor: Predictor, frame: "pd.DataFrame", target: Target) -> Importance:
    """Importance over at most 2,000 rows of a labelled frame, chosen by the predictor's seed.

    Where the estimator tells ``contributions``: mean absolute SHAP values (Lundberg 2018). Else permutation
    importance (Breiman 2001): the rise of the loss once a column is shuffled, 0 where it falls.
    """
    rows = frame.sample(min(len(frame), MOST_ROWS), random_state=predictor.task.seed)
    columns = list(predictor.task.columns)
    told = predictor.estimator.contributions(rows[columns])
    if told is not None:
        return Importance("SHAP", _shares(dict(zip(columns, map(float, told), strict=True))))
    return Importance("permutation", _shares(_rises(predictor, rows, target)))


def _rises(predictor: Predictor, rows: "pd.DataFrame", target: Target) -> dict[str, float]:
    """Feature -> how much the loss rises once its column is shuffled, mean of the repeats; not below 0."""
    import numpy as np

    random = np.random.default_rng(predictor.task.seed)
    orders = [random.permutation(len(rows)) for _ in range(REPEATS)]
    loss = loss_of(target, rows["label"], predictor.score(rows))
    found = {}
    for column in predictor.task.columns:
        shuffled = [rows.assign(**{column: rows[column].to_numpy()[order]}) for order in orders]
        losses = [loss_of(target, rows["label"], predictor.score(other)) for other in shuffled]
        found[column] = max(0.0, float(np.mean(losses)) - loss)
    return found


def _shares(amounts: dict[str, float]) -> dict[str, float]:
    total = sum(amounts.values())
    if total <= 0:
        return {name: 1 / len(amounts) for name in amounts}
    return {name: amount / total for name, amount in amounts.items()}
