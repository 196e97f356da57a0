"""Pictures of an evaluation, as small PNG files that a page or Dagster's metadata can hold in place."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ml_assets.evaluation.plots.binary import binary_pictures
from ml_assets.evaluation.plots.canvas import COLOURS
from ml_assets.evaluation.plots.history import importance_plot, walk_forward_plot
from ml_assets.evaluation.plots.multiclass import multiclass_pictures
from ml_assets.evaluation.plots.regression import regression_pictures
from ml_assets.training.target import Kind, Target

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLOURS", "importance_plot", "pictures", "walk_forward_plot"]


def pictures(target: Target, holdout: "pd.DataFrame") -> dict[str, bytes]:
    """What can be drawn of a holdout: the title of each picture, and its PNG; the most telling first.

    ``holdout`` is what ``judge`` was given. Raises ValueError where there is nothing to draw: labels all alike,
    or a score that is not a finite number.
    """
    draw: dict[Kind, Callable[[Target, pd.DataFrame], dict[str, bytes]]] = {
        "binary": binary_pictures,
        "regression": regression_pictures,
        "multiclass": multiclass_pictures,
    }
    return draw[target.kind](target, holdout)
