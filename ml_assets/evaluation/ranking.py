"""AUC and average precision of one score under any row weights, so that a bootstrap measures many draws at once."""

from functools import cached_property

import numpy as np

from ml_assets.evaluation.arrays import Floats, Integers, ratio


class Ranking:
    """The scores of negatives and positives, compared once.

    Weights are given per class, in the order the scores were given: shapes (draws, negatives) and
    (draws, positives). Sums of whole weights below 2**53 are exact, so neither the order of the rows nor
    how draws are cut changes a digit.
    """

    def __init__(self, negative: Floats, positive: Floats) -> None:
        """Compare scores. Raises ValueError for a score that is not finite."""
        wrong = int((~np.isfinite(negative)).sum() + (~np.isfinite(positive)).sum())
        if wrong:
            raise ValueError(f"{wrong} of {len(negative) + len(positive)} scores are not finite numbers")
        self._negative, self._positive = negative, positive
        self._positives_are_few = len(positive) < len(negative)
        few, many = (positive, negative) if self._positives_are_few else (negative, positive)
        self._order = np.argsort(few, kind="stable")
        below, through = (np.searchsorted(few[self._order], many, side=side) for side in ("left", "right"))
        _, first, self._place = np.unique(below + through, return_index=True, return_inverse=True)
        self._below, self._through = below[first], through[first]

    def auc(self, negative: Floats, positive: Floats) -> Floats:
        """Weighted AUC, shape (draws,); nan where a class weighs nothing.

        The Mann-Whitney statistic: the share of (positive, negative) pairs in the right order, ties half.
        Only the smaller class is summed in rank order; each row of the larger one looks its place up.
        """
        few, many = (positive, negative) if self._positives_are_few else (negative, positive)
        up_to = np.zeros((len(few), few.shape[1] + 1))
        np.cumsum(few.take(self._order, axis=1), axis=1, out=up_to[:, 1:])
        beaten = up_to.take(self._below, axis=1)
        beaten += up_to.take(self._through, axis=1)
        won = np.einsum("dn,dn->d", many, beaten.take(self._place, axis=1)) / 2
        share = ratio(won, up_to[:, -1] * many.sum(axis=1))
        return 1 - share if self._positives_are_few else share

    @cached_property
    def _steps(self) -> tuple[Integers, Integers, Integers, Integers]:
        """Orders of positives and negatives; where each distinct score of a positive starts in either."""
        positives, negatives = (np.argsort(part, kind="stable") for part in (self._positive, self._negative))
        scores, starts = np.unique(self._positive[positives], return_index=True)
        return positives, starts, negatives, np.searchsorted(self._negative[negatives], scores)

    def average_precision(self, negative: Floats, positive: Floats) -> Floats:
        """As ``auc``: sum of precision x gain in recall over the distinct scores; nan without positives."""
        if not len(self._positive):
            return np.full(len(positive), np.nan)
        positives, starts, negatives, below = self._steps
        gained = np.add.reduceat(positive.take(positives, axis=1), starts, axis=1)
        found = np.cumsum(gained[:, ::-1], axis=1)[:, ::-1]
        up_to = np.zeros((len(negative), negative.shape[1] + 1))
        np.cumsum(negative.take(negatives, axis=1), axis=1, out=up_to[:, 1:])
        wrong = up_to[:, -1:] - up_to.take(below, axis=1)
        precision = np.divide(found, found + wrong, out=np.zeros_like(found), where=found > 0)
        return ratio(np.einsum("dg,dg->d", gained, precision), positive.sum(axis=1))
