"""Bootstrap intervals of ranking metrics: clustered by entity, and paired for two models on the same rows.

Rows of one entity at several as_of are not independent, so entities are drawn, with replacement, and a row
weighs as often as its entity was drawn (Field and Welsh 2007, the cluster bootstrap). Two models are
measured on the same draw, so what they share cancels (Efron and Tibshirani 1993, percentile intervals).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from ml_assets.evaluation.metrics import Floats, Ranking

if TYPE_CHECKING:
    import pandas as pd

RankingMetric = Literal["auc", "average_precision"]

_CELLS = 1_000_000
"""Draws x rows held at once: 8 MB per array, of which about eight live at the peak."""
_DEFINED = 0.95
"""Share of draws in which the metric must be defined."""


@dataclass(frozen=True)
class Interval:
    """A two-sided percentile interval at ``confidence``.

    ``low`` alone is a one-sided lower bound at 1 - (1 - confidence) / 2: for a one-sided bound at level
    alpha ask for ``confidence = 1 - 2 * alpha``. All numbers are nan where the metric is undefined on the
    rows themselves or in more than 5% of the draws.
    """

    mean: float
    """Over the draws."""
    low: float
    high: float
    draws: int
    """Draws in which the metric is defined."""
    metric: RankingMetric
    observed: float
    """On the rows themselves, each counted once."""
    confidence: float


def paired_difference(
    label: npt.ArrayLike,
    better: npt.ArrayLike,
    other: npt.ArrayLike,
    entity: npt.ArrayLike,
    metric: RankingMetric = "auc",
    draws: int = 2000,
    seed: int = 7,
    confidence: float = 0.95,
) -> Interval:
    """Metric of the scores ``better`` minus that of ``other``, on the same rows and the same draws.

    All arrays have shape (n,). Scores that rank the rows alike give exactly 0, 0, 0.
    Raises ValueError for no rows, lengths that differ, a label not 0 or 1, a score or entity that is null.
    """
    pair = [Ranking(label, better), Ranking(label, other)]
    return _interval(pair, entity, metric, draws, seed, confidence)


def metric_interval(
    label: npt.ArrayLike,
    score: npt.ArrayLike,
    entity: npt.ArrayLike,
    metric: RankingMetric = "auc",
    draws: int = 2000,
    seed: int = 7,
    confidence: float = 0.95,
) -> Interval:
    """Metric of one model. Arguments and errors as in ``paired_difference``."""
    return _interval([Ranking(label, score)], entity, metric, draws, seed, confidence)


def _interval(
    rankings: list[Ranking],
    entity: npt.ArrayLike,
    metric: RankingMetric,
    draws: int,
    seed: int,
    confidence: float,
) -> Interval:
    if metric not in ("auc", "average_precision"):
        raise ValueError(f"metric is auc or average_precision, not {metric!r}")
    if draws < 1 or not 0 < confidence < 1:
        raise ValueError(f"draws is at least 1 and confidence between 0 and 1, not {draws} and {confidence}")
    codes, entities = _codes(entity, len(rankings[0].order))
    observed = float(_measure(rankings, metric, np.ones((1, len(codes))))[0])
    values = np.concatenate([_measure(rankings, metric, w) for w in _weights(codes, entities, draws, seed)])
    defined = values[~np.isnan(values)]
    if np.isnan(observed) or len(defined) < _DEFINED * draws:
        nan = float("nan")
        return Interval(nan, nan, nan, len(defined), metric, observed, confidence)
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(
        float(defined.mean()), float(low), float(high), len(defined), metric, observed, confidence
    )


def _measure(rankings: list[Ranking], metric: RankingMetric, weights: Floats) -> Floats:
    first, *rest = [
        ranking.auc(weights) if metric == "auc" else ranking.average_precision(weights)
        for ranking in rankings
    ]
    return first - rest[0] if rest else first


def clusters(frame: "pd.DataFrame", entity: Sequence[str]) -> npt.NDArray[np.int64]:
    """Shape (n,): the number of each row's entity, which one column or several name together."""
    return np.asarray(frame.groupby(list(entity), sort=False, dropna=False).ngroup(), dtype=np.int64)


def _codes(entity: npt.ArrayLike, rows: int) -> tuple[npt.NDArray[np.int64], int]:
    import pandas as pd

    codes, names = pd.factorize(pd.Series(np.asarray(entity)))
    if len(codes) != rows or not rows:
        raise ValueError(
            f"every row has one entity, and there is at least one row: {rows} rows, {len(codes)} entities"
        )
    if (codes < 0).any():
        raise ValueError(f"{int((codes < 0).sum())} of {rows} rows have no entity")
    return codes.astype(np.int64), len(names)


def _weights(codes: npt.NDArray[np.int64], entities: int, draws: int, seed: int) -> Iterator[Floats]:
    """Row weights of shape (some draws, n): how often the row's entity was drawn, of ``entities`` draws.

    The chunk size is a function of the number of rows only, and a draw is read from the generator whole, so
    the draws are the same however they are cut.
    """
    random = np.random.default_rng(seed)
    step = max(1, _CELLS // max(len(codes), entities))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        drawn = random.integers(0, entities, size=(size, entities))
        drawn += np.arange(size)[:, None] * entities
        counts = np.bincount(drawn.ravel(), minlength=size * entities).reshape(size, entities)
        yield counts[:, codes].astype(np.float64)
