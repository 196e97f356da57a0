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

NOISE = 1e-9
"""A rise by less than this share of the loss is none: so much may come of the order of a sum."""


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
    """Feature -> how much the loss rises once its column is shuffled, over all repeats; not below 0."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(predictor.task.seed)
    orders = [random.permutation(len(rows)) for _ in range(REPEATS)]
    loss = loss_of(target, rows["label"], predictor.score(rows))
    found = {}
    for column in predictor.task.columns:
        values = rows[column].to_numpy()
        shuffled = pd.concat([rows.assign(**{column: values[order]}) for order in orders])
        rise = loss_of(target, shuffled["label"], predictor.score(shuffled)) - loss
        found[column] = rise if rise > NOISE * loss else 0.0
    return found


def _shares(amounts: dict[str, float]) -> dict[str, float]:
    total = sum(amounts.values())
    if total <= 0:
        return {name: 1 / len(amounts) for name in amounts}
    return {name: amount / total for name, amount in amounts.items()}
