"""Pictures of probabilities against labels 0 and 1."""

from typing import TYPE_CHECKING

import numpy as np

from ml_assets.evaluation.arrays import Floats
from ml_assets.evaluation.metrics import calibration_bins
from ml_assets.evaluation.plots.canvas import COLOURS, SMALL, Scores, legend, look, thinned
from ml_assets.evaluation.plots.gain import draw_gain, draw_lift
from ml_assets.pages.figures import FAINT, figure_of, png, titles
from ml_assets.training.target import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def binary_pictures(target: Target, labels: Floats, scores: Scores) -> dict[str, bytes]:
    """Curves of every role; then gain, lift and the candidate's scores."""
    return {
        "ROC, precision and recall, calibration": _curves_plot(labels, scores),
        "Gain, lift and scores": _gain_plot(labels, scores),
    }


def _curves_plot(labels: Floats, scores: Scores) -> bytes:
    figure, (roc, pr, calibration) = figure_of(3, height=3.7)
    roc.plot([0, 1], [0, 1], color=FAINT, lw=1)
    pr.axhline(labels.mean(), color=FAINT, lw=1)
    for role in reversed(scores):
        false_rate, recall, precision = _curves(labels, scores[role])
        roc.plot(false_rate, recall, lw=1.6, **look(role))
        pr.step(recall[1:], precision[1:], where="pre", lw=1.6, **look(role))
    titles(roc, "ROC", "false positive rate", "true positive rate")
    titles(pr, "Precision and recall", "recall", "precision")
    for axes in (roc, pr):
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
    draw_calibration(calibration, labels, scores)
    titles(calibration, f"Calibration, bins of about {len(labels) // 10:,} rows", "mean score", "label rate")
    legend(roc, "lower right")
    pr.annotate("base rate", (0.02, labels.mean()), (0, 3), textcoords="offset points", **SMALL)
    return png(figure)


def draw_calibration(axes: "Axes", labels: Floats, scores: Scores) -> None:
    """Label rate against mean score in bins of equal count, the larger the dot the more rows."""
    axes.plot([0, 1], [0, 1], color=FAINT, lw=1)
    top = 0.0
    for role in reversed(scores):
        mean, rate, count = calibration_bins(labels, scores[role])
        axes.plot(mean, rate, lw=1.2, alpha=0.8, color=COLOURS[role])
        axes.scatter(mean, rate, s=6 + 60 * count / count.max(), lw=0, alpha=0.9, **look(role))
        top = max(top, float(mean.max()), float(rate.max()))
    edge = min(1.02, top * 1.15 + 0.02)
    axes.set(xlim=(0, edge), ylim=(0, edge))


def _gain_plot(labels: Floats, scores: Scores) -> bytes:
    figure, (gain, lift, histogram) = figure_of(3, height=3.4)
    draw_gain(gain, labels, scores)
    titles(gain, "Gain", "share of rows, highest scores first", "share of positives found")
    draw_lift(lift, labels, scores)
    titles(lift, "Lift", "share of rows, highest scores first", "times the base rate")
    if "candidate" in scores:
        _draw_scores(histogram, labels, scores["candidate"])
    titles(histogram, "Scores of the candidate", "score", "share of the class")
    return png(figure)


def _draw_scores(axes: "Axes", labels: Floats, score: Floats, bins: int = 40) -> None:
    edges = np.linspace(min(0.0, float(score.min())), max(float(score.max()), 1e-9), bins + 1)
    for value, colour in ((0, COLOURS["baseline"]), (1, COLOURS["candidate"])):
        own = score[labels == value]
        share, name = np.full(len(own), 1 / len(own)), f"label {value} ({len(own):,})"
        axes.hist(own, bins=list(edges), weights=share, color=colour, alpha=0.6, lw=0, label=name)
    axes.legend(frameon=False, fontsize=8)


def _curves(labels: Floats, score: Floats) -> tuple[Floats, Floats, Floats]:
    """False positive rate, recall and precision at every distinct score, highest first, thinned."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.r_[score[order][1:] != score[order][:-1], True])
    found = np.cumsum(labels[order])[last]
    wrong = last + 1 - found
    recall, false_rate = np.r_[0.0, found / found[-1]], np.r_[0.0, wrong / wrong[-1]]
    precision = np.r_[1.0, found / (last + 1)]
    kept = thinned(len(recall))
    return false_rate[kept], recall[kept], precision[kept]
