"""Bootstrap intervals of the main metrics: clustered by entity, and paired for models on the same rows.

Rows of one entity at several as_of are not independent, so entities are drawn, with replacement, and a row
weighs as often as its entity was drawn (Field and Welsh 2007, the cluster bootstrap). All models are
measured on the same draws, so what they share cancels (Efron and Tibshirani 1993, percentile intervals).

Draws are seeded by blocks and measured by as many threads as there are processors; neither their number nor
how a block is cut changes a digit.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from ml_assets.evaluation.arrays import Floats, Integers, labels_of, predicted, probabilities_problem, ratio
from ml_assets.evaluation.metrics import row_log_losses, shares_log_loss
from ml_assets.evaluation.ranking import Ranking
from ml_assets.evaluation.spec import COMPARED_BY
from ml_assets.training.target import Kind, Target

if TYPE_CHECKING:
    import pandas as pd

Statistic = Callable[[Floats], Floats]
"""How often each entity was drawn, (draws, entities), to every metric of every role, (metrics x roles, draws)."""

BLOCK = 32
"""Draws from one seed."""
_CELLS = 100_000
"""Draws x rows a thread holds at once: 0.8 MB per array, of which a few live at the peak."""
_DEFINED = 0.95
"""Share of draws in which the metric must be defined."""


@dataclass(frozen=True)
class Interval:
    """A two-sided percentile interval at ``confidence``.

    ``low`` alone is a one-sided lower bound at 1 - (1 - confidence) / 2: for a one-sided bound at level
    alpha ask for ``confidence = 1 - 2 * alpha``. mean, low and high are nan where the metric is undefined on
    the rows themselves or in more than 5% of the draws.
    """

    mean: float
    """Over the draws."""
    low: float
    high: float
    draws: int
    """Draws in which the metric is defined."""
    metric: str
    observed: float
    """On the rows themselves, each counted once."""
    confidence: float


@dataclass(frozen=True)
class Resampled:
    """One metric of several roles, on the rows themselves and on the same draws of their entities."""

    metric: str
    observed: dict[str, float]
    """Per role."""
    drawn: dict[str, Floats]
    """Per role, shape (draws,); nan where undefined."""

    def interval(self, role: str, confidence: float = 0.95) -> Interval:
        """Of one role's metric."""
        return self._interval(self.observed[role], self.drawn[role], confidence)

    def difference(self, role: str, other: str, confidence: float = 0.95) -> Interval:
        """Of ``role`` minus ``other``, paired. Scores that rank all rows alike give exactly 0, 0, 0."""
        gap = self.drawn[role] - self.drawn[other]
        return self._interval(self.observed[role] - self.observed[other], gap, confidence)

    def _interval(self, observed: float, values: Floats, confidence: float) -> Interval:
        if not 0 < confidence < 1:
            raise ValueError(f"confidence is between 0 and 1, not {confidence}")
        defined = values[~np.isnan(values)]
        mean = low = high = float("nan")
        if not np.isnan(observed) and len(defined) >= _DEFINED * len(values):
            tail = (1 - confidence) / 2
            low, high = (float(value) for value in np.quantile(defined, [tail, 1 - tail]))
            mean = float(defined.mean())
        return Interval(mean, low, high, len(defined), self.metric, observed, confidence)


def resample(
    target: Target,
    frame: "pd.DataFrame",
    roles: Sequence[str],
    *,
    entity: Sequence[str],
    metrics: Sequence[str],
    draws: int = 2000,
    seed: int = 7,
    threads: int | None = None,
) -> dict[str, Resampled]:
    """Measure ``roles`` by each of ``metrics`` on the same ``draws`` bootstrap samples of the entities of ``frame``.

    ``frame`` has the columns ``entity``, label and what ``metrics_of`` reads of each role; ``metrics`` are of
    ``COMPARED_BY[target.kind]``; ``threads`` are as many as processors by default. Neither other roles nor other
    metrics change a digit. Raises ValueError for no rows, another metric, a label, score or entity that is none.
    """
    fitting = COMPARED_BY[target.kind]
    other = [name for name in metrics if name not in fitting]
    if other:
        raise ValueError(f"a {target.kind} target is compared by {' or '.join(fitting)}, not {other[0]!r}")
    if draws < 1:
        raise ValueError(f"draws is at least 1, not {draws}")
    rows = frame if target.kind != "binary" else frame.sort_values("label", kind="stable")
    codes, entities = _entities(rows, entity)
    statistic = _STATISTICS[target.kind](target, rows, metrics, roles, codes, entities)
    observed = statistic(np.ones((1, entities)))[:, 0]
    drawn = _drawn(statistic, len(codes), entities, draws, seed, threads)
    found: dict[str, Resampled] = {name: Resampled(name, {}, {}) for name in metrics}
    for (name, role), value, values in zip(product(metrics, roles), observed, drawn, strict=True):
        found[name].observed[role], found[name].drawn[role] = float(value), values
    return found


def resample_sums(
    terms: Sequence[Floats], frame: "pd.DataFrame", *, entity: Sequence[str], draws: int, seed: int
) -> Floats:
    """The sums of each term, shape (n,) like the rows of ``frame``, on the same draws: (terms, draws)."""
    codes, entities = _entities(frame, entity)
    sums = _sums(terms, codes, entities)
    return _drawn(lambda counts: _totals(counts, sums), len(codes), entities, draws, seed, None)


def _drawn(
    statistic: Statistic, rows: int, entities: int, draws: int, seed: int, threads: int | None
) -> Floats:
    """The statistic of every draw: (its numbers, draws)."""
    step = max(1, min(BLOCK, _CELLS // max(rows, entities)))

    def of_block(number: int) -> Floats:
        size = min(BLOCK, draws - number * BLOCK)
        counts = _counts(entities, size, step, seed, number)
        return np.concatenate([statistic(part) for part in counts], axis=1)

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(of_block, range(-(-draws // BLOCK)))), axis=1)


def _entities(frame: "pd.DataFrame", entity: Sequence[str]) -> tuple[Integers, int]:
    """The number of each row's entity, shape (n,), in the order they come; how many there are."""
    if frame.empty:
        raise ValueError("there are no rows to draw entities from")
    nobody = int(frame[list(entity)].isna().any(axis=1).sum())
    if nobody:
        raise ValueError(f"{nobody} of {len(frame)} rows have no {' or no '.join(entity)}")
    codes = np.asarray(frame.groupby(list(entity), sort=False).ngroup(), dtype=np.int64)
    return codes, int(codes.max()) + 1


def _counts(entities: int, draws: int, step: int, seed: int, block: int) -> Iterator[Floats]:
    """How often each entity was drawn, of ``entities`` draws: shapes (step, entities), ``draws`` in all.

    A draw is read from the block's generator whole, so the draws are the same however they are cut.
    """
    random = np.random.default_rng([seed, block])
    for start in range(0, draws, step):
        size = min(step, draws - start)
        drawn = random.integers(0, entities, size=(size, entities))
        if size > 1:
            drawn += np.arange(size)[:, None] * entities
        counts = np.bincount(drawn.ravel(), minlength=size * entities)
        yield counts.reshape(size, entities).astype(np.float64)


def _ranked(
    target: Target,
    frame: "pd.DataFrame",
    metrics: Sequence[str],
    roles: Sequence[str],
    codes: Integers,
    entities: int,
) -> Statistic:
    """The statistics of ``Ranking``'s methods of those names; ``frame`` has the negatives first."""
    labels = labels_of(target, frame)
    cut = int((labels == 0).sum())
    scores = (predicted(target, frame, role) for role in roles)
    rankings = [Ranking(score[:cut], score[cut:]) for score in scores]
    measures = [getattr(ranking, name) for name, ranking in product(metrics, rankings)]
    each_its_own = entities == len(codes)

    def statistic(counts: Floats) -> Floats:
        weights = counts if each_its_own else counts.take(codes, axis=1)
        return np.stack([measure(weights[:, :cut], weights[:, cut:]) for measure in measures])

    return statistic


def _r2(
    target: Target,
    frame: "pd.DataFrame",
    _: Sequence[str],
    roles: Sequence[str],
    codes: Integers,
    entities: int,
) -> Statistic:
    labels = labels_of(target, frame)
    centred = labels - labels.mean()
    errors = [(predicted(target, frame, role) - labels) ** 2 for role in roles]
    terms = _sums([np.ones_like(labels), centred, centred**2, *errors], codes, entities)

    def statistic(counts: Floats) -> Floats:
        rows, first, second, *squares = _totals(counts, terms)
        return 1 - ratio(np.stack(squares), second - first**2 / rows)

    return statistic


def _skill(
    target: Target,
    frame: "pd.DataFrame",
    _: Sequence[str],
    roles: Sequence[str],
    codes: Integers,
    entities: int,
) -> Statistic:
    labels, classes = labels_of(target, frame), len(target.classes)
    losses = []
    for role in roles:
        probabilities = predicted(target, frame, role)
        problem = probabilities_problem(probabilities)
        if problem:
            raise ValueError(f"{role}: {problem}")
        losses.append(row_log_losses(labels, probabilities))
    terms = _sums([*((labels == k) * 1.0 for k in range(classes)), *losses], codes, entities)

    def statistic(counts: Floats) -> Floats:
        totals = _totals(counts, terms)
        return 1 - ratio(totals[classes:], shares_log_loss(totals[:classes].T))

    return statistic


def _sums(terms: Sequence[Floats], codes: Integers, entities: int) -> Floats:
    """Per term and entity, the sum over its rows: shape (terms, entities)."""
    summed: Floats = np.stack([np.bincount(codes, term, minlength=entities) for term in terms])
    if not np.isfinite(summed).all():
        raise ValueError("there are scores that are not finite numbers")
    return summed


def _totals(counts: Floats, terms: Floats) -> Floats:
    """Per term and draw, the sum over the drawn entities: (terms, draws). No BLAS, whose sums vary by threads."""
    return np.stack([np.einsum("de,e->d", counts, term) for term in terms])


_STATISTICS: dict[Kind, Callable[..., Statistic]] = {
    "binary": _ranked,
    "regression": _r2,
    "multiclass": _skill,
}
