"""Estimators: what a model is fitted with, by name or by the dotted path of a class of one's own."""

from ml_assets.training.estimators.estimator import Estimator, NotTrainable, Parameters, Rows, Task
from ml_assets.training.estimators.named import NAMED, UnknownEstimator, estimator_class

__all__ = [
    "NAMED",
    "Estimator",
    "NotTrainable",
    "Parameters",
    "Rows",
    "Task",
    "UnknownEstimator",
    "estimator_class",
]
