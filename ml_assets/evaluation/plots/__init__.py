"""Pictures of an evaluation, as small PNG files that a page or Dagster's metadata can hold in place."""

from collections.abc import Callable

from ml_assets.evaluation.arrays import Floats
from ml_assets.evaluation.plots.binary import binary_pictures
from ml_assets.evaluation.plots.canvas import COLOURS, Scores, check_drawable
from ml_assets.evaluation.plots.history import importance_plot, walk_forward_plot
from ml_assets.evaluation.plots.multiclass import multiclass_pictures
from ml_assets.evaluation.plots.regression import regression_pictures
from ml_assets.training.target import Kind, Target

__all__ = ["COLOURS", "importance_plot", "pictures", "walk_forward_plot"]


def pictures(target: Target, labels: Floats, scores: Scores) -> dict[str, bytes]:
    """What can be drawn of a holdout: the title of each picture, and its PNG; the most telling first.

    Labels have the shape (n,), scores are what each role says of them. Raises ValueError where there is nothing to
    draw: labels all alike, or a score that is not a finite number.
    """
    check_drawable(target, labels, scores)
    draw: dict[Kind, Callable[[Target, Floats, Scores], dict[str, bytes]]] = {
        "binary": binary_pictures,
        "regression": regression_pictures,
        "multiclass": multiclass_pictures,
    }
    return draw[target.kind](target, labels, scores)
