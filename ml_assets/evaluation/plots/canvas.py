"""What all pictures of an evaluation share: the colours of roles, and what can be drawn."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ml_assets.evaluation.arrays import Floats
from ml_assets.training.target import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Scores = dict[str, Floats]
"""Role -> what it says of each row, as ``arrays.predicted``; the candidate first."""

COLOURS = {"candidate": "#1f6feb", "champion": "#d97706", "baseline": "#9ca3af"}
SMALL: dict[str, Any] = {"fontsize": 7.5, "color": "#6b7280"}
_POINTS = 400
"""A curve is drawn through at most so many points."""


def look(role: str) -> dict[str, Any]:
    """Colour and name of a role's line."""
    return {"color": COLOURS[role], "label": role}


def check_drawable(target: Target, labels: Floats, scores: Scores) -> None:
    """Raises ValueError where there is nothing to draw: labels that don't differ, scores that are not finite."""
    found = np.unique(labels)
    if len(found) < 2:
        said = f"{found[0]:g}" if len(found) else "none"
        what = "both classes" if target.kind == "binary" else "different labels"
        raise ValueError(f"a curve needs rows of {what}; the labels are {said}")
    for role, values in scores.items():
        if not np.isfinite(values).all():
            raise ValueError(f"the {role} has scores that are not finite numbers")


def thinned(length: int) -> "np.typing.NDArray[np.int64]":
    """Positions of at most 400 points of a curve of so many, the ends included."""
    return np.unique(np.linspace(0, length - 1, min(length, _POINTS)).round().astype(np.int64))


def legend(axes: "Axes", where: Literal["best", "lower right", "upper right", "upper left"] = "best") -> None:
    """The roles drawn, the candidate first: they are drawn last to first, so that it lies on top."""
    handles: list[Any]
    handles, names = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], names[::-1], loc=where, frameon=False, fontsize=8)
