"""Training: labels, point-in-time training sets, the fit and the trivial baseline."""

from ml_assets.training.spec import Cutoffs, Label, Train

__all__ = ["Cutoffs", "Label", "Train"]
