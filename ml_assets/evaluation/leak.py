"""How much each feature alone knows of the labels: which one carries a leak."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ml_assets.training.target import Target

if TYPE_CHECKING:
    import pandas as pd


def alone(holdout: "pd.DataFrame", features: Sequence[str], target: Target) -> dict[str, float]:
    """Feature -> what its values alone know of the labels, the most first.

    Of a binary target the AUC of the values, or of their opposite if that is more, 0.5 to 1; of others the rank
    correlation with the label, without its sign, 0 to 1. A category counts as the mean label of the other rows that have
    it, a missing value as less than all others.
    """
    labels = holdout["label"].astype("float64")
    known = _rank_auc if target.kind == "binary" else _rank_correlation
    found = {name: known(_as_number(holdout[name], labels), labels) for name in features}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _as_number(values: "pd.Series", labels: "pd.Series") -> "pd.Series":
    if values.dtype == object:
        return _label_of_the_others(values, labels)
    return values.astype("float64").fillna(-np.inf)


def _label_of_the_others(values: "pd.Series", labels: "pd.Series") -> "pd.Series":
    grouped = labels.groupby(values.fillna(""))
    others = grouped.transform("size") - 1
    mean: pd.Series = (grouped.transform("sum") - labels) / others.where(others > 0)
    return mean.fillna(labels.mean())


def _rank_auc(values: "pd.Series", labels: "pd.Series") -> float:
    ones = int(labels.sum())
    pairs = ones * (len(labels) - ones)
    if not pairs:
        return 0.5
    won = float(values.rank()[labels == 1].sum()) - ones * (ones + 1) / 2
    return max(won / pairs, 1 - won / pairs)


def _rank_correlation(values: "pd.Series", labels: "pd.Series") -> float:
    first, second = values.rank().to_numpy(), labels.rank().to_numpy()
    if first.min() == first.max() or second.min() == second.max():
        return 0.0
    return abs(float(np.corrcoef(first, second)[0, 1]))
