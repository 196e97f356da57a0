"""HistGradientBoosting of scikit-learn: boosted trees by histograms, with categories as they are."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from ml_assets.training.estimators.estimator import (
    Estimator,
    Parameters,
    Rows,
    Task,
    check_not_negative,
)
from ml_assets.training.estimators.skops_file import read_model, write_model
from ml_assets.training.frames import categories_of, to_matrix

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FILE, COLUMNS = "model.skops", "columns.json"
MOST_CATEGORIES = 255
"""What a histogram of scikit-learn holds."""

_log = logging.getLogger(__name__)


class HistGradientBoostingParameters(Parameters):
    """The defaults suit a few thousand to a few million rows."""

    rounds: int = Field(600, ge=1, description="Boosting rounds at most.")
    early_stopping: int = Field(30, ge=1, description="Rounds without a better tune loss before it stops.")
    learning_rate: float = Field(0.05, gt=0, le=1)
    max_leaf_nodes: int = Field(15, ge=2)
    min_samples_leaf: int = Field(20, ge=1)
    l2_regularization: float = Field(1.0, ge=0)
    max_features: float = Field(0.8, gt=0, le=1, description="Share of the features that a split may use.")
    loss: Literal["squared_error", "absolute_error", "poisson"] = Field(
        "squared_error", description="Of a regression; poisson is for labels of 0 and more."
    )


class HistGradientBoosting(Estimator[HistGradientBoostingParameters]):
    """A classifier or regressor of scikit-learn, stopped early on the tune rows, in a skops file.

    Of a column with more than 255 categories the 255 most frequent are told apart; the others count as missing, as
    one that train has not seen. A column without a value in train is left out.
    """

    Parameters = HistGradientBoostingParameters
    space: ClassVar = {
        "learning_rate": (0.02, 0.2, "log"),
        "max_leaf_nodes": (4, 64, "log"),
        "min_samples_leaf": (5, 200, "log"),
        "l2_regularization": (0.1, 50, "log"),
        "max_features": (0.4, 1.0),
    }
    keeps_monotone = True

    columns: Sequence[str]
    """Those that have a value in train."""
    categories: Mapping[str, Sequence[str]]
    model: Any

    def fit(self, train: Rows, tune: Rows) -> None:
        """Boost on ``train`` until the loss of ``tune`` is no better for ``early_stopping`` rounds.

        Raises NotTrainable.
        """
        if self.parameters.loss == "poisson" and self.task.target.kind == "regression":
            check_not_negative("poisson", train, tune)
        self.columns = [c for c in self.task.columns if train.features[c].notna().any()]
        self.categories = _most_frequent(train.features, {c: self.task.columns[c] for c in self.columns})
        model = self._new()
        self._listen(model)
        model.fit(
            self._matrix(train.features),
            train.label,
            sample_weight=train.weight,
            X_val=self._matrix(tune.features),
            y_val=tune.label,
            sample_weight_val=tune.weight,
        )
        losses = self.curves["tune"]
        self.rounds = losses.index(min(losses)) + 1
        _keep_best(model, self.rounds)
        self.model = model

    def _new(self) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        own, monotone = self.parameters, self.task.monotone
        given = {
            "max_iter": own.rounds,
            "early_stopping": True,
            "categorical_features": [c in self.categories for c in self.columns],
            "monotonic_cst": [monotone.get(c, 0) for c in self.columns] if monotone else None,
            "random_state": self.task.seed,
            **own.model_dump(exclude={"rounds", "early_stopping", "loss"}),
        }
        if self.task.target.kind == "regression":
            return HistGradientBoostingRegressor(loss=own.loss, **given)
        return HistGradientBoostingClassifier(**given)

    def _listen(self, model: Any) -> None:
        """Have the model ask us after each round, and once before the first, whether it has come to its end.

        scikit-learn tells nobody how a fit goes: this takes the place of its method ``_should_stop``.
        """
        self.curves = {"train": [], "tune": []}

        def should_stop(scores: Sequence[float]) -> bool:
            if len(scores) == 1:
                return False
            self.curves["train"].append(-float(model.train_score_[-1]))
            self.curves["tune"].append(-float(scores[-1]))
            losses = self.curves["tune"]
            self.task.report(len(losses), losses[-1])
            return len(losses) - losses.index(min(losses)) > self.parameters.early_stopping

        model._should_stop = should_stop

    def _matrix(self, features: "pd.DataFrame") -> "np.ndarray":
        return to_matrix(features, self.columns, self.categories).to_numpy()

    def predict_proba(self, features: "pd.DataFrame") -> "np.ndarray":
        """Probabilities of the classes, shape (n, classes), float64."""
        found: np.ndarray = self.model.predict_proba(self._matrix(features))
        return found

    def predict(self, features: "pd.DataFrame") -> "np.ndarray":
        """Expected labels, shape (n,), float64."""
        found: np.ndarray = self.model.predict(self._matrix(features))
        return found

    def save(self, folder: Path) -> None:
        """Write the model, and its columns and categories beside it."""
        write_model(self.model, folder / FILE)
        (folder / COLUMNS).write_text(json.dumps({"columns": self.columns, "categories": self.categories}))

    @classmethod
    def load(cls, folder: Path, task: Task, parameters: HistGradientBoostingParameters) -> Self:
        """The model of ``save``."""
        found = cls(task, parameters)
        known = json.loads((folder / COLUMNS).read_text())
        found.columns, found.categories = known["columns"], known["categories"]
        found.model = read_model(folder / FILE)
        found.rounds = found.model.n_iter_
        return found


def _keep_best(model: Any, rounds: int) -> None:
    """Drop the rounds after the best, which scikit-learn keeps, and what tells of this process alone."""
    del model._should_stop
    model._predictors = model._predictors[:rounds]
    model._bin_mapper.n_threads = 1


def _most_frequent(features: "pd.DataFrame", schema: Mapping[str, str]) -> dict[str, list[str]]:
    """The categories of each text column, sorted; of more than a histogram holds, the most frequent."""
    found = categories_of(features, schema)
    for column, categories in found.items():
        if len(categories) > MOST_CATEGORIES:
            counts = features[column].value_counts().sort_index()
            kept = counts.sort_values(ascending=False, kind="stable").index[:MOST_CATEGORIES]
            found[column] = sorted(kept)
            _log.warning(
                "%s has %d categories; hist_gradient_boosting tells the %d most frequent apart, the others count as "
                "missing. xgboost has no such limit.",
                column,
                len(categories),
                MOST_CATEGORIES,
            )
    return found
