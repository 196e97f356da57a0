"""Pictures of probabilities of several classes."""

import numpy as np

from ml_assets.evaluation.arrays import Floats
from ml_assets.evaluation.plots.binary import draw_calibration
from ml_assets.evaluation.plots.canvas import Scores, legend
from ml_assets.pages.figures import INK, figure_of, png, titles
from ml_assets.training.target import Target

_PANELS = 6
"""Classes whose calibration is drawn: the most frequent."""
_WRITTEN = 10
"""Up to so many classes, the numbers are written into the confusion."""


def multiclass_pictures(target: Target, labels: Floats, scores: Scores) -> dict[str, bytes]:
    """Calibration of each class, and who is taken for whom."""
    found = {"Calibration by class": _calibration_plot(target, labels, scores)}
    if "candidate" in scores:
        found["Confusion"] = _confusion_plot(target, labels, scores["candidate"])
    return found


def _calibration_plot(target: Target, labels: Floats, scores: Scores) -> bytes:
    count = np.bincount(labels.astype(int), minlength=len(target.classes))
    shown = sorted(np.argsort(-count, kind="stable")[:_PANELS])
    rows = 1 if len(shown) <= 3 else 2
    figure, panels = figure_of(len(shown), height=3.5 * rows, rows=rows)
    for axes, k in zip(panels, shown, strict=True):
        own = {role: score[:, k] for role, score in scores.items()}
        draw_calibration(axes, (labels == k) * 1.0, own)
        titles(axes, f"{target.classes[k]} ({count[k]:,} rows)", "mean probability", "share that came")
    legend(panels[0], "upper left")
    return png(figure)


def _confusion_plot(target: Target, labels: Floats, probabilities: Floats) -> bytes:
    classes = len(target.classes)
    said = probabilities.argmax(axis=1)
    count = np.bincount(labels.astype(int) * classes + said, minlength=classes**2).reshape(classes, classes)
    share = count / np.maximum(count.sum(axis=1, keepdims=True), 1)
    side = min(7.5, 2.4 + 0.55 * classes)
    figure, (axes,) = figure_of(1, width=side + 1.2, height=side)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(False)
    axes.set_xticks(range(classes), target.classes, rotation=35 if classes > 4 else 0)
    axes.set_yticks(range(classes), target.classes)
    if classes <= _WRITTEN:
        for came, taken in np.ndindex(classes, classes):
            colour = "white" if share[came, taken] > 0.55 else INK
            axes.text(
                taken, came, f"{share[came, taken]:.0%}", ha="center", va="center", fontsize=8, color=colour
            )
    titles(axes, "What came, and what the candidate says", "most probable class", "class that came")
    return png(figure)
