"""Logistic regression: the plain model that says how far the features go by themselves."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from ml_assets.training.estimators.estimator import Estimator, Parameters, Rows, Task
from ml_assets.training.frames import categories_of, to_matrix

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FILE = "coefficients.json"
TOLERANCE = 1e-7
"""Where L-BFGS stops: close enough to the optimum that the way there leaves no mark."""


class LogisticRegressionParameters(Parameters):
    """As in scikit-learn."""

    C: float = Field(1.0, gt=0, description="The smaller, the closer to 0 the coefficients are held.")
    max_iter: int = Field(1000, ge=1, description="Steps of L-BFGS at most.")


class LogisticRegression(Estimator[LogisticRegressionParameters]):
    """Log odds that are linear in the features; the file is JSON with the coefficients by name.

    A number is scaled to mean 0 and deviation 1 of the weighted train rows; a missing one takes the mean, and a
    column of its own says so where train has missing ones. A category is a column of 0 and 1; one that train has not
    seen, or a missing one, is 0 in all of them.
    """

    Parameters = LogisticRegressionParameters
    space: ClassVar = {"C": (0.0001, 100, "log")}
    kinds = ("binary", "multiclass")

    mean: Mapping[str, float]
    scale: Mapping[str, float]
    """Of the numbers; 1 where the column is constant."""
    told_missing: Sequence[str]
    """The numbers that have missing values in train."""
    categories: Mapping[str, Sequence[str]]
    coefficients: "np.ndarray"
    """Shape (classes, inputs); of a binary target (1, inputs)."""
    intercepts: "np.ndarray"

    def fit(self, train: Rows, tune: Rows) -> None:
        """Fit on ``train`` by L-BFGS; ``tune`` is not looked at."""
        from sklearn.linear_model import LogisticRegression as Fit

        self.categories = categories_of(train.features, self.task.columns)
        self._scale_by(train)
        model = Fit(C=self.parameters.C, max_iter=self.parameters.max_iter, tol=TOLERANCE)
        model.fit(self._inputs(train.features), train.label, sample_weight=train.weight)
        self.coefficients, self.intercepts = model.coef_, model.intercept_

    @property
    def _numbers(self) -> list[str]:
        return [c for c in self.task.columns if c not in self.categories]

    def _scale_by(self, train: Rows) -> None:
        import numpy as np

        self.mean, self.scale = {}, {}
        self.told_missing = [c for c in self._numbers if train.features[c].isna().any()]
        for column in self._numbers:
            values = train.features[column].to_numpy(dtype="float64")
            known = ~np.isnan(values)
            if not known.any():
                self.mean[column], self.scale[column] = 0.0, 1.0
                continue
            mean = float(np.average(values[known], weights=train.weight[known]))
            variance = float(np.average((values[known] - mean) ** 2, weights=train.weight[known]))
            constant = variance <= (1e-9 * mean) ** 2
            self.mean[column], self.scale[column] = mean, 1.0 if constant else variance**0.5

    def _inputs(self, features: "pd.DataFrame") -> Any:
        """The scaled numbers, what is missing, and the categories, shape (n, inputs): dense without categories."""
        import numpy as np
        from scipy import sparse

        codes = to_matrix(features, list(self.task.columns), self.categories)
        numbers = codes[self._numbers].to_numpy()
        means, scales = (np.array([by[c] for c in self._numbers]) for by in (self.mean, self.scale))
        scaled = np.nan_to_num((numbers - means) / scales)
        missing = codes[list(self.told_missing)].isna().to_numpy(dtype="float64")
        dense = np.hstack([scaled, missing])
        if not self.categories:
            return dense
        one_hot = [_one_hot(codes[c].to_numpy(), len(known)) for c, known in self.categories.items()]
        return sparse.hstack([sparse.csr_array(dense), *one_hot], format="csr")

    def predict_proba(self, features: "pd.DataFrame") -> "np.ndarray":
        """Probabilities of the classes, shape (n, classes), float64."""
        import numpy as np
        from scipy.special import expit, softmax

        odds = np.asarray(self._inputs(features) @ self.coefficients.T + self.intercepts)
        if self.task.target.kind == "binary":
            return np.column_stack([expit(-odds[:, 0]), expit(odds[:, 0])])
        found: np.ndarray = softmax(odds, axis=1)
        return found

    def save(self, folder: Path) -> None:
        """Write what scales the inputs, and the coefficients, to the last bit."""
        known = {
            "mean": self.mean,
            "scale": self.scale,
            "told_missing": self.told_missing,
            "categories": self.categories,
            "coefficients": self.coefficients.tolist(),
            "intercepts": self.intercepts.tolist(),
        }
        (folder / FILE).write_text(json.dumps(known, indent=1))

    @classmethod
    def load(cls, folder: Path, task: Task, parameters: LogisticRegressionParameters) -> Self:
        """The model of ``save``."""
        import numpy as np

        found, known = cls(task, parameters), json.loads((folder / FILE).read_text())
        found.mean, found.scale = known["mean"], known["scale"]
        found.told_missing, found.categories = known["told_missing"], known["categories"]
        found.coefficients = np.array(known["coefficients"])
        found.intercepts = np.array(known["intercepts"])
        return found


def _one_hot(codes: "np.ndarray", count: int) -> Any:
    """Codes of shape (n,), NaN for none, as a sparse matrix of 0 and 1, shape (n, count)."""
    import numpy as np
    from scipy import sparse

    rows = np.flatnonzero(~np.isnan(codes))
    shape = (len(codes), count)
    return sparse.csr_array((np.ones(len(rows)), (rows, codes[rows].astype(int))), shape=shape)
