"""XGBoost: boosted trees by histograms, on the CPU or a CUDA device."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from ml_assets.training.estimators.estimator import (
    Estimator,
    NotTrainable,
    Parameters,
    Rows,
    Task,
    check_not_negative,
)
from ml_assets.training.frames import categories_of, to_floats

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xgboost as xgb

CATEGORIES, CURVES = "ml_assets.categories", "ml_assets.curves"
FILE = "booster.ubj"
SECONDS_BETWEEN_CHECKPOINTS = 60.0
ROUNDS_BETWEEN_RESTARTS = 25
"""XGBoost draws the columns of all rounds from one stream, which a Booster read from a file has lost. So every fit
begins a new stream after so many rounds, and a checkpoint is written nowhere else."""
OBJECTIVES = {
    "binary": ("binary:logistic", "logloss"),
    "multiclass": ("multi:softprob", "mlogloss"),
    "squared_error": ("reg:squarederror", "rmse"),
    "absolute_error": ("reg:absoluteerror", "mae"),
    "poisson": ("count:poisson", "poisson-nloglik"),
    "tweedie": ("reg:tweedie", "tweedie-nloglik@1.5"),
}


class XGBoostParameters(Parameters):
    """The defaults suit a few thousand to a few million rows."""

    rounds: int = Field(600, ge=1, description="Boosting rounds at most.")
    early_stopping: int = Field(30, ge=1, description="Rounds without a better tune loss before it stops.")
    learning_rate: float = Field(0.05, gt=0, le=1)
    max_depth: int = Field(4, ge=1, le=16)
    min_child_weight: float = Field(5.0, ge=0)
    subsample: float = Field(0.8, gt=0, le=1)
    colsample_bytree: float = Field(0.8, gt=0, le=1)
    reg_lambda: float = Field(5.0, ge=0)
    max_bin: int = Field(256, ge=2)
    loss: Literal["squared_error", "absolute_error", "poisson", "tweedie"] = Field(
        "squared_error", description="Of a regression; poisson and tweedie are for labels of 0 and more."
    )


class XGBoost(Estimator[XGBoostParameters]):
    """A Booster, stopped early on the tune rows. The file is XGBoost's own format, UBJSON."""

    Parameters = XGBoostParameters
    space: ClassVar = {
        "learning_rate": (0.02, 0.2, "log"),
        "max_depth": (2, 8),
        "min_child_weight": (1, 50, "log"),
        "subsample": (0.5, 1.0),
        "colsample_bytree": (0.4, 1.0),
        "reg_lambda": (0.5, 50, "log"),
    }
    keeps_monotone = True
    devices = ("cpu", "cuda")

    booster: "xgb.Booster"

    def fit(self, train: Rows, tune: Rows) -> None:
        """Boost on ``train`` until the loss of ``tune`` is no better for ``early_stopping`` rounds.

        With a checkpoint, a fit that was killed goes on from there, to the same Booster. Raises NotTrainable.
        """
        import xgboost as xgb

        if self.parameters.loss in ("poisson", "tweedie") and self.task.target.kind == "regression":
            check_not_negative(self.parameters.loss, train, tune)
        categories = categories_of(train.features, self.task.columns)
        columns = list(self.task.columns)
        kinds = ["c" if c in categories else "float" for c in columns]

        def matrix(rows: Rows) -> "xgb.DMatrix":
            return xgb.DMatrix(
                to_floats(rows.features, columns, categories),
                label=rows.label,
                weight=rows.weight,
                feature_names=columns,
                feature_types=kinds,
            )

        trained, tuned = matrix(train), matrix(tune)
        booster = self._boost(trained, tuned)
        losses = self.curves["tune"]
        self.rounds = losses.index(min(losses)) + 1
        self.booster = booster[: self.rounds]
        self.booster.set_attr(**{CATEGORIES: json.dumps(categories), CURVES: None})

    def _boost(self, trained: "xgb.DMatrix", tuned: "xgb.DMatrix") -> "xgb.Booster":
        """All rounds up to the one that shows it is enough, from the checkpoint on if there is one."""
        import xgboost as xgb

        splits, kept = [(trained, "train"), (tuned, "tune")], self._kept()
        booster = xgb.Booster(self.xgboost_parameters, [trained, tuned], model_file=kept)
        self.curves = json.loads(booster.attr(CURVES) or '{"train": [], "tune": []}')
        kept_at = time.monotonic()
        for n in range(booster.num_boosted_rounds(), self.parameters.rounds):
            if n % ROUNDS_BETWEEN_RESTARTS == 0:
                _restart(booster)
                if time.monotonic() - kept_at >= SECONDS_BETWEEN_CHECKPOINTS:
                    self._keep(booster)
                    kept_at = time.monotonic()
            booster.update(trained, n)
            for found, losses in zip(
                str(booster.eval_set(splits, n)).split("\t")[1:], self.curves.values(), strict=True
            ):
                losses.append(float(found.rpartition(":")[2]))
            self.task.report(n + 1, self.curves["tune"][-1])
            if n == 0 and self.task.device == "cuda":
                _check_on_cuda(booster)
            if self._has_stopped():
                break
        return booster

    @property
    def xgboost_parameters(self) -> dict[str, Any]:
        """The parameters of the Booster, by the names of XGBoost."""
        own, target = self.parameters, self.task.target
        objective, metric = OBJECTIVES[own.loss if target.kind == "regression" else target.kind]
        return {
            "objective": objective,
            "eval_metric": metric,
            **({"num_class": len(target.classes)} if target.kind == "multiclass" else {}),
            "tree_method": "hist",
            "device": self.task.device,
            **own.model_dump(exclude={"rounds", "early_stopping", "loss"}),
            "monotone_constraints": {c: way for c, way in self.task.monotone.items() if way},
            "seed": self.task.seed,
            "seed_per_iteration": True,
        }

    def _has_stopped(self) -> bool:
        """Whether the loss of tune has got no better for as long as it may."""
        losses = self.curves["tune"]
        return len(losses) - losses.index(min(losses)) > self.parameters.early_stopping

    def _keep(self, booster: "xgb.Booster") -> None:
        """Write the checkpoint: whole or not at all."""
        if self.task.checkpoint is None:
            return
        booster.set_attr(**{CURVES: json.dumps(self.curves)})
        self.task.checkpoint.mkdir(parents=True, exist_ok=True)
        new = self.task.checkpoint / f"new_{FILE}"
        booster.save_model(new)
        os.replace(new, self.task.checkpoint / FILE)

    def _kept(self) -> Path | None:
        if self.task.checkpoint is None or not (self.task.checkpoint / FILE).is_file():
            return None
        return self.task.checkpoint / FILE

    def predict_proba(self, features: "pd.DataFrame") -> "np.ndarray":
        """Probabilities of the classes, shape (n, classes), float64."""
        import numpy as np

        found = self._raw(features)
        return np.column_stack([1 - found, found]) if found.ndim == 1 else found

    def predict(self, features: "pd.DataFrame") -> "np.ndarray":
        """Expected labels, shape (n,), float64."""
        return self._raw(features)

    def _raw(self, features: "pd.DataFrame") -> "np.ndarray":
        import numpy as np

        return np.asarray(self.booster.predict(self._matrix(features)), dtype="float64")

    def _matrix(self, features: "pd.DataFrame") -> "xgb.DMatrix":
        import xgboost as xgb

        categories: dict[str, Sequence[str]] = json.loads(self.booster.attr(CATEGORIES) or "{}")
        columns = list(self.task.columns)
        floats = to_floats(features, columns, categories)
        return xgb.DMatrix(floats, feature_names=columns, feature_types=self.booster.feature_types)

    def contributions(self, features: "pd.DataFrame") -> "np.ndarray":
        """SHAP values by TreeSHAP (Lundberg 2018), mean of absolute values over rows and classes: shape (columns,)."""
        import numpy as np

        found = np.abs(self.booster.predict(self._matrix(features), pred_contribs=True))
        return np.asarray(found.reshape(-1, found.shape[-1]).mean(axis=0)[:-1], dtype="float64")

    def save(self, folder: Path) -> None:
        """Write the Booster, categories within."""
        self.booster.save_model(folder / FILE)

    @classmethod
    def load(cls, folder: Path, task: Task, parameters: XGBoostParameters) -> Self:
        """The Booster of ``save``."""
        import xgboost as xgb

        found = cls(task, parameters)
        found.booster = xgb.Booster(model_file=folder / FILE)
        found.rounds = found.booster.num_boosted_rounds()
        return found


def _restart(booster: "xgb.Booster") -> None:
    """Make the parts of the Booster that hold a stream of random numbers anew: a change of method does, told or not."""
    booster.set_param("tree_method", "approx")
    booster.save_config()
    booster.set_param("tree_method", "hist")


def _check_on_cuda(booster: "xgb.Booster") -> None:
    """Raise NotTrainable where XGBoost has gone back to the CPU, which it does with a warning only."""
    device = json.loads(booster.save_config())["learner"]["generic_param"]["device"]
    if not device.startswith("cuda"):
        raise NotTrainable(
            "train.device is cuda, and XGBoost finds no CUDA device here: either there is none (see nvidia-smi), or the "
            "package is xgboost-cpu, which is built without CUDA (install xgboost in its place). Or leave device out, "
            "to fit on the CPU."
        )
