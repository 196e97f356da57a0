"""Pictures of an evaluation, as small PNG files that a page or Dagster's metadata can hold in place."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.evaluation.metrics import Floats, as_floats, calibration_bins, roles_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"candidate": "#1f6feb", "champion": "#d97706", "baseline": "#9ca3af"}

_INK, _FAINT = "#374151", "#e5e7eb"
_DPI = 110
_POINTS = 400
"""A curve is drawn through at most so many points."""


def evaluation_plot(holdout: "pd.DataFrame") -> bytes:
    """ROC, precision and recall, and calibration of every ``score_<role>`` column, as one PNG.

    Raises ValueError where there is nothing to draw: without both classes, or with a score that is null.
    """
    labels = _drawable(holdout)
    figure, (roc, pr, calibration) = _figure(3, width=11.4, height=3.7)
    roles = roles_of(holdout)
    roc.plot([0, 1], [0, 1], color=_FAINT, lw=1)
    pr.axhline(labels.mean(), color=_FAINT, lw=1)
    calibration.plot([0, 1], [0, 1], color=_FAINT, lw=1)
    top = 0.0
    for role in reversed(roles):
        score, look = as_floats(holdout[f"score_{role}"]), _look(role)
        false_rate, recall, precision = _curves(labels, score)
        roc.plot(false_rate, recall, lw=1.6, **look)
        pr.step(recall[1:], precision[1:], where="pre", lw=1.6, **look)
        mean, rate, count = calibration_bins(labels, score)
        calibration.plot(mean, rate, lw=1.2, alpha=0.8, color=COLOURS[role])
        calibration.scatter(mean, rate, s=6 + 60 * count / count.max(), lw=0, alpha=0.9, **look)
        top = max(top, float(mean.max()), float(rate.max()))
    _titles(roc, "ROC", "false positive rate", "true positive rate")
    _titles(pr, "Precision and recall", "recall", "precision")
    _titles(calibration, f"Calibration, bins of about {len(labels) // 10:,} rows", "mean score", "label rate")
    for axes in (roc, pr):
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
    edge = min(1.02, top * 1.15 + 0.02)
    calibration.set(xlim=(0, edge), ylim=(0, edge))
    handles, names = roc.get_legend_handles_labels()
    roc.legend(handles[::-1], names[::-1], loc="lower right", frameon=False, fontsize=8)
    pr.annotate("base rate", (0.02, labels.mean()), (0, 3), textcoords="offset points", **_SMALL)
    return _png(figure)


def walk_forward_plot(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """AUC and average precision over cutoffs, one line per role, as one PNG.

    ``rows`` have cutoff (a date), role, auc and average_precision; undefined numbers leave a gap. Raises
    ValueError without rows.
    """
    if not rows:
        raise ValueError("there are no metrics to draw: rows is empty")
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    figure, panels = _figure(2, width=11.4, height=3.2)
    named = (("auc", "AUC by cutoff"), ("average_precision", "Average precision by cutoff"))
    for axes, (metric, title) in zip(panels, named, strict=True):
        for role in reversed(COLOURS):
            found = sorted((row for row in rows if row["role"] == role), key=lambda row: row["cutoff"])
            if found:
                values = [float("nan") if row[metric] is None else float(row[metric]) for row in found]
                moments: Any = [row["cutoff"] for row in found]
                axes.plot(moments, values, color=COLOURS[role], label=role, lw=1.6, marker="o", ms=3)
        _titles(axes, title, "", "")
        locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    handles, names = panels[0].get_legend_handles_labels()
    panels[0].legend(handles[::-1], names[::-1], loc="best", frameon=False, fontsize=8)
    return _png(figure)


def score_histogram(holdout: "pd.DataFrame", role: str = "candidate", bins: int = 40) -> bytes:
    """The scores of one role by label, each as a share of its own class, as one PNG.

    Raises ValueError where there is nothing to draw: without both classes, or with a score that is null.
    """
    labels, score = _drawable(holdout), as_floats(holdout[f"score_{role}"])
    figure, (axes,) = _figure(1, width=5.6, height=3.0)
    edges = np.linspace(min(0.0, float(score.min())), max(float(score.max()), 1e-9), bins + 1)
    for value, colour in ((0, COLOURS["baseline"]), (1, COLOURS[role])):
        own = score[labels == value]
        share, name = np.full(len(own), 1 / len(own)), f"label {value} ({len(own):,})"
        axes.hist(own, bins=list(edges), weights=share, color=colour, alpha=0.6, lw=0, label=name)
    _titles(axes, f"Scores of the {role}", "score", "share of the class")
    axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def as_markdown(png: bytes, alt: str) -> str:
    """A PNG as a Markdown image that holds its own data, for Dagster's ``MetadataValue.md``."""
    return f"![{alt}]({data_uri(png)})"


def data_uri(png: bytes) -> str:
    """A PNG as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


_SMALL: dict[str, Any] = {"fontsize": 7.5, "color": "#6b7280"}


def _look(role: str) -> dict[str, Any]:
    return {"color": COLOURS[role], "label": role}


def _drawable(holdout: "pd.DataFrame") -> Floats:
    labels = as_floats(holdout["label"])
    found = sorted({f"{label:g}" for label in labels})
    if found != ["0", "1"]:
        raise ValueError(f"a curve needs rows of both classes; the labels are {', '.join(found) or 'none'}")
    for role in roles_of(holdout):
        if not np.isfinite(as_floats(holdout[f"score_{role}"])).all():
            raise ValueError(f"score_{role} has values that are not finite numbers")
    return labels


def _curves(labels: Floats, score: Floats) -> tuple[Floats, Floats, Floats]:
    """False positive rate, recall and precision at every distinct score, highest first, thinned."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.r_[score[order][1:] != score[order][:-1], True])
    found = np.cumsum(labels[order])[last]
    wrong = last + 1 - found
    recall, false_rate = np.r_[0.0, found / found[-1]], np.r_[0.0, wrong / wrong[-1]]
    precision = np.r_[1.0, found / (last + 1)]
    kept = np.unique(np.linspace(0, len(recall) - 1, min(len(recall), _POINTS)).round().astype(int))
    return false_rate[kept], recall[kept], precision[kept]


def _figure(panels: int, *, width: float, height: float) -> tuple["Figure", list["Axes"]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, panels, i + 1) for i in range(panels)]
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["left", "bottom"]].set_color("#d1d5db")
        panel.tick_params(colors=_INK, labelsize=8, length=0)
        panel.grid(True, color="#f3f4f6", lw=0.8)
        panel.set_axisbelow(True)
    return figure, axes


def _titles(axes: "Axes", title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10, color=_INK, loc="left", fontweight="bold", pad=8)
    axes.set_xlabel(x, fontsize=8, color="#6b7280")
    axes.set_ylabel(y, fontsize=8, color="#6b7280")


def _png(figure: "Figure") -> bytes:
    """The figure in 64 colours: a third of the size, and nobody sees it."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    drawn.seek(0)
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(small, format="PNG", optimize=True)
    return small.getvalue()
