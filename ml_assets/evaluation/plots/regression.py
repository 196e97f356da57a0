"""Pictures of expected amounts against amounts."""

from typing import TYPE_CHECKING

import numpy as np

from ml_assets.evaluation.arrays import Floats
from ml_assets.evaluation.metrics import calibration_bins
from ml_assets.evaluation.plots.canvas import COLOURS, Scores, legend, look
from ml_assets.evaluation.plots.gain import draw_gain, draw_lift
from ml_assets.pages.figures import FAINT, figure_of, png, titles
from ml_assets.training.target import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = (0.01, 0.99)
"""Quantiles between which axes run: one outlier would flatten the rest."""


def regression_pictures(target: Target, labels: Floats, scores: Scores) -> dict[str, bytes]:
    """Scores, errors and calibration; gain and lift if no label is below 0."""
    found = {"Scores against labels, errors, calibration": _errors_plot(labels, scores)}
    if labels.min() >= 0:
        found["Gain and lift"] = _gain_plot(labels, scores)
    return found


def _errors_plot(labels: Floats, scores: Scores) -> bytes:
    figure, (against, errors, calibration) = figure_of(3, height=3.7)
    if "candidate" in scores:
        _draw_against(against, labels, scores["candidate"])
    titles(against, "Rows of the candidate, dark is many", "score", "label")
    gaps = {role: labels - score for role, score in scores.items()}
    low, high = np.quantile(np.concatenate(list(gaps.values())), _SHOWN)
    edges = np.linspace(low, high if high > low else low + 1, 41)
    for role in reversed(scores):
        share = np.histogram(gaps[role], edges)[0] / len(labels)
        errors.stairs(share, edges, lw=1.6, **look(role))
    errors.axvline(0, color=FAINT, lw=1)
    titles(errors, "Errors, 98% of them", "label − score", "share of the rows")
    legend(errors, "upper right")
    for role in reversed(scores):
        mean, came, _ = calibration_bins(labels, scores[role])
        calibration.plot(mean, came, lw=1.2, marker="o", ms=4, alpha=0.9, color=COLOURS[role])
    _diagonal(calibration)
    titles(calibration, f"Calibration, bins of about {len(labels) // 10:,} rows", "mean score", "mean label")
    return png(figure)


def _draw_against(axes: "Axes", labels: Floats, score: Floats) -> None:
    (left, right), (bottom, top) = (np.quantile(values, _SHOWN) for values in (score, labels))
    inside = (score >= left) & (score <= right) & (labels >= bottom) & (labels <= top)
    if right > left and top > bottom:
        axes.hexbin(score[inside], labels[inside], gridsize=32, bins="log", cmap="Blues", mincnt=1, lw=0.1)
    else:
        axes.scatter(score, labels, s=6, color=COLOURS["candidate"], lw=0)
    _diagonal(axes)


def _diagonal(axes: "Axes") -> None:
    """Score = label, within what is drawn."""
    x, y = axes.get_xlim(), axes.get_ylim()
    axes.axline((0, 0), slope=1, color="#9ca3af", lw=1, ls=":")
    axes.set(xlim=x, ylim=y)


def _gain_plot(labels: Floats, scores: Scores) -> bytes:
    figure, (gain, lift) = figure_of(2, width=7.6, height=3.4)
    draw_gain(gain, labels, scores)
    titles(gain, "Gain", "share of rows, highest scores first", "share of the labels' sum")
    draw_lift(lift, labels, scores)
    titles(lift, "Lift", "share of rows, highest scores first", "times the mean label")
    return png(figure)
