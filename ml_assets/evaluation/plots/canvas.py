"""What all pictures of an evaluation share: colours, axes, and small PNG files."""

import base64
import io
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ml_assets.evaluation.arrays import Floats, labels_of, predicted, roles_of
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"candidate": "#1f6feb", "champion": "#d97706", "baseline": "#9ca3af"}
INK, FAINT = "#374151", "#e5e7eb"
SMALL: dict[str, Any] = {"fontsize": 7.5, "color": "#6b7280"}
WIDTH = 11.4
"""Inches of a picture across the page."""

DPI = 110
_POINTS = 400
"""A curve is drawn through at most so many points."""


def as_markdown(png: bytes, alt: str) -> str:
    """A PNG as a Markdown image that holds its own data, for Dagster's ``MetadataValue.md``."""
    return f"![{alt}]({data_uri(png)})"


def data_uri(png: bytes) -> str:
    """A PNG as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def look(role: str) -> dict[str, Any]:
    """Colour and name of a role's line."""
    return {"color": COLOURS[role], "label": role}


def drawable(target: Target, holdout: "pd.DataFrame") -> tuple[Floats, dict[str, Floats]]:
    """Labels that differ, and the finite scores (or probabilities) of every role.

    Raises ValueError where there is nothing to draw.
    """
    labels = labels_of(target, holdout)
    found = np.unique(labels)
    if len(found) < 2:
        said = f"{found[0]:g}" if len(found) else "none"
        what = "both classes" if target.kind == "binary" else "different labels"
        raise ValueError(f"a curve needs rows of {what}; the labels are {said}")
    scores = {role: predicted(target, holdout, role) for role in roles_of(holdout)}
    for role, values in scores.items():
        if not np.isfinite(values).all():
            raise ValueError(f"score_{role} has values that are not finite numbers")
    return labels, scores


def thinned(length: int) -> "np.typing.NDArray[np.int64]":
    """Positions of at most 400 points of a curve of so many, the ends included."""
    return np.unique(np.linspace(0, length - 1, min(length, _POINTS)).round().astype(np.int64))


def figure_of(
    panels: int, *, width: float = WIDTH, height: float, rows: int = 1
) -> tuple["Figure", list["Axes"]]:
    """A figure with plain panels, filled row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    columns = -(-panels // rows)
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(panels)]
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["left", "bottom"]].set_color("#d1d5db")
        panel.tick_params(colors=INK, labelsize=8, length=0)
        panel.grid(True, color="#f3f4f6", lw=0.8)
        panel.set_axisbelow(True)
    return figure, axes


def titles(axes: "Axes", title: str, x: str, y: str) -> None:
    """Name a panel and its axes."""
    axes.set_title(title, fontsize=10, color=INK, loc="left", fontweight="bold", pad=8)
    axes.set_xlabel(x, fontsize=8, color="#6b7280")
    axes.set_ylabel(y, fontsize=8, color="#6b7280")


def legend(axes: "Axes", where: Literal["best", "lower right", "upper right", "upper left"] = "best") -> None:
    """The roles drawn, the candidate first: they are drawn last to first, so that it lies on top."""
    handles: list[Any]
    handles, names = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], names[::-1], loc=where, frameon=False, fontsize=8)


def png(figure: "Figure") -> bytes:
    """The figure in 128 colours: a third of the size, and nobody sees it."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    drawn.seek(0)
    with Image.open(drawn) as image:
        few = image.convert("RGB").quantize(128, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        few.save(small, format="PNG", optimize=True)
    return small.getvalue()
