"""Whether a model treats the groups of a column alike.

Binary targets: equal opportunity (Hardt, Price and Srebro 2016; the true positive rates) and disparate impact
(the ratio of selection rates; four fifths in the US Uniform Guidelines of 1978). Other targets select nobody;
there the promise is compared: mean score / mean label of each group. As in those guidelines (29 CFR 1607.4 D), a
gap beyond the limit counts if it is also beyond chance: rates of small groups differ by more than a fifth anyway.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ml_assets.evaluation.arrays import Floats, as_floats, labels_of, ratio
from ml_assets.evaluation.bootstrap import resample_sums
from ml_assets.evaluation.slices import NO_VALUE, parts_of, values_of
from ml_assets.evaluation.spec import Standard
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class GroupRow:
    """One group of a column, by the candidate's scores."""

    value: str
    n: int
    positives: int | None
    selection_rate: float
    """Share of the rows that are selected; nan where nobody is selected by a score."""
    true_positive_rate: float
    """Share of the rows with label 1 that are selected."""
    calibration_ratio: float
    """Mean score / mean label."""


@dataclass(frozen=True)
class Gap:
    """How far apart two groups of one column are."""

    low: str
    high: str
    difference: float
    """High minus low."""
    ratio: float
    """Low / high; 1 where both are 0."""
    beyond_chance: bool
    """Whether the bootstrap interval of the difference, widened for the number of pairs, leaves out 0."""


@dataclass(frozen=True)
class Grouped:
    """The groups of one column, and how far apart the large ones are: gaps of all pairs of them, the widest first."""

    rows: tuple[GroupRow, ...]
    large: tuple[str, ...]
    """The groups that are large enough to compare."""
    found: tuple[Gap, ...] = ()
    """Gaps of true positive rates, of a binary target."""
    chosen: tuple[Gap, ...] = ()
    """Gaps of selection rates, of a binary target."""
    promised: tuple[Gap, ...] = ()
    """Gaps of mean score / mean label, of other targets."""


def grouped(
    frame: "pd.DataFrame", column: str, standard: Standard, threshold: float | None, *, gaps: bool = True
) -> Grouped:
    """The groups of ``column``; with ``gaps`` also how far apart they are, by a bootstrap clustered by entity.

    Rows with a score >= ``threshold`` are selected, nobody without one. Without ``gaps`` labels may be all
    alike, and scores no numbers. Raises KeyError for a missing column.
    """
    limits = standard.limits
    rows = by_group(frame, column, standard.target, threshold)
    large = [row.value for row in large_groups(rows, limits.slice_minimum_n, limits.minimum_positives)]
    if len(large) < 2 or not gaps:
        return Grouped(tuple(rows), tuple(large))
    labels, scores = as_floats(frame["label"]), as_floats(frame["score_candidate"])
    if threshold is None:
        (promised,) = _gaps(frame, column, large, [(scores, labels)], standard)
        return Grouped(tuple(rows), tuple(large), promised=promised)
    selected = (scores >= threshold).astype(np.float64)
    rates = [(selected * labels, labels), (selected, np.ones_like(labels))]
    found, chosen = _gaps(frame, column, large, rates, standard)
    return Grouped(tuple(rows), tuple(large), found=found, chosen=chosen)


def by_group(frame: "pd.DataFrame", column: str, target: Target, threshold: float | None) -> list[GroupRow]:
    """The rates of every group; those with a score >= ``threshold`` are selected, nobody without one.

    Numbers are binned as in slices. Raises KeyError for a missing column.
    """
    return [_group_row(name, part, target, threshold) for name, part in parts_of(frame, column).items()]


def _group_row(name: str, part: "pd.DataFrame", target: Target, threshold: float | None) -> GroupRow:
    labels, scores = labels_of(target, part), as_floats(part["score_candidate"])
    promised = float(ratio(scores.mean(), labels.mean()))
    if target.kind != "binary" or threshold is None:
        return GroupRow(name, len(part), None, float("nan"), float("nan"), promised)
    selected = scores >= threshold
    found = float(ratio((selected & (labels == 1)).sum(), labels.sum()))
    return GroupRow(name, len(part), int(labels.sum()), float(selected.mean()), found, promised)


def large_groups(rows: Sequence[GroupRow], minimum_n: int, minimum_positives: int) -> list[GroupRow]:
    """The groups that are large enough to compare; the rows without a value are nobody's group."""
    return [
        row
        for row in rows
        if row.value != NO_VALUE
        and row.n >= minimum_n
        and (row.positives is None or row.positives >= minimum_positives)
    ]


def _gaps(
    frame: "pd.DataFrame",
    column: str,
    groups: Sequence[str],
    rates: Sequence[tuple[Floats, Floats]],
    standard: Standard,
) -> list[tuple[Gap, ...]]:
    """Of each rate sum(top) / sum(bottom) of each group, on the same draws."""
    limits, names = standard.limits, values_of(frame, column)
    inside = [(names == group).to_numpy() for group in groups]
    terms = [part * own for top, bottom in rates for own in inside for part in (top, bottom)]
    drawn = resample_sums(terms, frame, entity=standard.entity, draws=limits.draws, seed=limits.seed)
    observed = np.array([term.sum() for term in terms])
    seen = ratio(observed[::2], observed[1::2]).reshape(len(rates), len(groups))
    draws = ratio(drawn[::2], drawn[1::2]).reshape(len(rates), len(groups), -1)
    return [_pairs(groups, own, own_draws, limits.alpha) for own, own_draws in zip(seen, draws, strict=True)]


def _pairs(groups: Sequence[str], rates: Floats, drawn: Floats, alpha: float) -> tuple[Gap, ...]:
    pairs = list(combinations(range(len(groups)), 2))
    tail = alpha / 2 / len(pairs)
    gaps = []
    for pair in pairs:
        low, high = sorted(pair, key=lambda i: rates[i])
        least = np.quantile(drawn[high] - drawn[low], tail)
        by = float(rates[high] - rates[low])
        times = float(rates[low] / rates[high]) if rates[high] else 1.0
        gaps.append(Gap(groups[low], groups[high], by, times, not least <= 0))
    return tuple(sorted(gaps, key=lambda gap: -gap.difference))
