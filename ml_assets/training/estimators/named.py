"""Which class an estimator's name in YAML stands for."""

from difflib import get_close_matches
from importlib import import_module

from ml_assets.training.estimators.estimator import Estimator, Parameters

NAMED = {
    "xgboost": "ml_assets.training.estimators.boosted_trees.XGBoost",
    "hist_gradient_boosting": "ml_assets.training.estimators.histogram_trees.HistGradientBoosting",
    "logistic_regression": "ml_assets.training.estimators.linear.LogisticRegression",
}


class UnknownEstimator(ValueError):
    """There is no such estimator; the message says which there are, or what its class lacks."""


def estimator_class(name: str) -> type[Estimator[Parameters]]:
    """The class of a built-in estimator by name, or of one's own by dotted path. Raises UnknownEstimator."""
    if name not in NAMED and "." not in name:
        near = get_close_matches(name, NAMED, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UnknownEstimator(
            f"no estimator {name}; {hint}there are {', '.join(NAMED)}, and any class of your own by its dotted path, "
            "such as package.module.Class"
        )
    path = NAMED.get(name, name)
    module, _, attribute = path.rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownEstimator(f"estimator {path} can't be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Estimator)):
        raise UnknownEstimator(
            f"estimator {path} is no class that derives from ml_assets.training.estimators.Estimator"
        )
    missing = [*sorted(getattr(found, "__abstractmethods__", ())), *_unanswered(found)]
    if missing:
        raise UnknownEstimator(f"estimator {path} lacks {', '.join(missing)}")
    if not issubclass(found.Parameters, Parameters):
        raise UnknownEstimator(
            f"estimator {path}: its Parameters are no class that derives from "
            "ml_assets.training.estimators.Parameters"
        )
    return found


def _unanswered(found: type[Estimator[Parameters]]) -> list[str]:
    """The methods that the targets it says it serves need, and that it leaves to the protocol."""
    needed = {"predict" if kind == "regression" else "predict_proba" for kind in found.kinds}
    return [
        f"{method} (or a target fewer in kinds)"
        for method in sorted(needed)
        if getattr(found, method) is getattr(Estimator, method)
    ]
