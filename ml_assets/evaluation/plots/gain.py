"""What is found among the rows with the highest scores."""

from typing import TYPE_CHECKING

import numpy as np

from ml_assets.evaluation.arrays import Floats
from ml_assets.evaluation.plots.canvas import Scores, legend, look, thinned
from ml_assets.pages.figures import FAINT

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def gain(labels: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Share of the rows, highest scores first, and the share of all labels' sum they hold; both from 0 to 1.

    Rows of one score count together. The labels are 0 or more, and sum to more than 0.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
    found = np.cumsum(labels[order])[last]
    kept = thinned(len(last) + 1)
    return np.r_[0.0, (last + 1) / len(labels)][kept], np.r_[0.0, found / labels.sum()][kept]


def draw_gain(axes: "Axes", labels: Floats, scores: Scores) -> None:
    """One line per role, between the diagonal (chance) and the best possible order."""
    axes.plot([0, 1], [0, 1], color=FAINT, lw=1)
    axes.plot(*gain(labels, labels), color="#6b7280", lw=1, ls=":")
    for role in reversed(scores):
        axes.plot(*gain(labels, scores[role]), lw=1.6, **look(role))
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    legend(axes, "lower right")


def draw_lift(axes: "Axes", labels: Floats, scores: Scores) -> None:
    """Gain / share of the rows; 1 is chance. Shares below 1% swing by chance and are left out."""
    axes.axhline(1, color=FAINT, lw=1)
    for role in reversed(scores):
        share, found = gain(labels, scores[role])
        shown = share >= min(0.01, share[1:].max())
        axes.plot(share[shown], found[shown] / share[shown], lw=1.6, **look(role))
    axes.set(xlim=(0, 1), ylim=(0, None))
