"""Fit a candidate: XGBoost on train, stopped early on tune; and the trivial baseline beside it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_assets.training.frames import categories_of, to_matrix
from ml_assets.training.spec import Train

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xgboost as xgb

CATEGORIES = "ml_assets.categories"


class NotTrainable(Exception):
    """There is nothing to learn from yet; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Fitted:
    """A fitted Booster, what it was fitted on, and how the fit went."""

    booster: "xgb.Booster"
    categories: dict[str, list[str]]
    best_iteration: int
    curves: dict[str, list[float]]
    importance: dict[str, float]
    """Share of total gain by feature; sums to 1."""


def check_trainable(frame: "pd.DataFrame", cutoff: object) -> None:
    """Raise NotTrainable where train or tune is empty or has one class only."""
    if frame.empty:
        raise NotTrainable(
            f"The training set of cutoff {cutoff} has no rows: no label has matured by then, or the population is "
            "empty. Take a later cutoff, or look at the labels' metadata for when they mature."
        )
    for split in ("train", "tune"):
        labels = frame.loc[frame["split"] == split, "label"]
        if labels.empty:
            raise NotTrainable(
                f"The training set of cutoff {cutoff} has no {split} rows: it needs labels of more cutoffs before it. "
                "Materialize labels and snapshots further back, take a later cutoff, or shorten train.history."
            )
        if labels.nunique() == 1:
            raise NotTrainable(
                f"All {len(labels)} {split} labels of cutoff {cutoff} are {labels.iloc[0]}: with one class there is "
                "nothing to tell apart. Check the label's condition and the population."
            )


def fit(frame: "pd.DataFrame", schema: Mapping[str, str], spec: Train) -> Fitted:
    """Fit on rows with ``split`` 'train', stop on those with 'tune'.

    ``frame`` has the feature columns of ``schema`` (column -> DuckDB type), ``label`` and ``split``.
    The same frame and spec give the same Booster.
    """
    import xgboost as xgb

    columns = list(schema)
    train, tune = (frame[frame["split"] == split] for split in ("train", "tune"))
    categories = categories_of(train, schema)
    matrices = {
        name: xgb.DMatrix(
            to_matrix(rows, columns, categories),
            label=rows["label"],
            feature_types=["c" if c in categories else "float" for c in columns],
        )
        for name, rows in (("train", train), ("tune", tune))
    }
    curves: dict[str, dict[str, list[float]]] = {}
    booster = xgb.train(
        parameters(spec),
        matrices["train"],
        num_boost_round=spec.rounds,
        evals=[(matrices["train"], "train"), (matrices["tune"], "tune")],
        early_stopping_rounds=spec.early_stopping,
        evals_result=curves,
        verbose_eval=False,
    )
    best = booster.best_iteration
    booster = booster[: best + 1]
    booster.set_attr(**{CATEGORIES: json.dumps(categories)})
    gain = booster.get_score(importance_type="total_gain")
    total = sum(map(_number, gain.values())) or 1.0
    return Fitted(
        booster=booster,
        categories=categories,
        best_iteration=best,
        curves={name: curve["logloss"] for name, curve in curves.items()},
        importance={c: _number(gain.get(c, 0.0)) / total for c in columns},
    )


def _number(value: object) -> float:
    return float(value)  # type: ignore[arg-type]


def parameters(spec: Train) -> dict[str, object]:
    """The parameters given to ``xgboost.train``."""
    return {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "learning_rate": spec.learning_rate,
        "max_depth": spec.max_depth,
        "min_child_weight": spec.min_child_weight,
        "subsample": spec.subsample,
        "colsample_bytree": spec.colsample_bytree,
        "reg_lambda": spec.reg_lambda,
        "seed": spec.seed,
    }


def score(booster: "xgb.Booster", frame: "pd.DataFrame") -> "np.ndarray":
    """Probabilities of label 1, shape (rows,), float64. The Booster knows its columns and categories."""
    import numpy as np
    import xgboost as xgb

    categories: dict[str, list[str]] = json.loads(booster.attr(CATEGORIES) or "{}")
    columns = list(booster.feature_names or [])
    matrix = xgb.DMatrix(to_matrix(frame, columns, categories), feature_types=booster.feature_types)
    return np.asarray(booster.predict(matrix), dtype="float64")


@dataclass(frozen=True)
class Baseline:
    """The trivial model: how often the label was 1 among rows with a like value of one feature."""

    feature: str
    edges: tuple[float, ...]
    """Inner edges of the bins, increasing; len(rates) is one more. Nulls take ``missing``."""
    rates: tuple[float, ...]
    missing: float

    def score(self, frame: "pd.DataFrame") -> "np.ndarray":
        """Probabilities of label 1, shape (rows,)."""
        import numpy as np

        values = frame[self.feature].to_numpy(dtype="float64")
        bins = np.searchsorted(np.asarray(self.edges), values, side="right")
        rates = np.asarray(self.rates)[bins.clip(0, len(self.rates) - 1)]
        return np.where(np.isnan(values), self.missing, rates)

    def to_json(self) -> str:
        """As JSON, read back by ``from_json``."""
        return json.dumps(
            {"feature": self.feature, "edges": self.edges, "rates": self.rates, "missing": self.missing}
        )

    @classmethod
    def from_json(cls, text: str) -> "Baseline":
        """The baseline that ``to_json`` wrote."""
        raw = json.loads(text)
        return cls(raw["feature"], tuple(raw["edges"]), tuple(raw["rates"]), raw["missing"])


def fit_baseline(frame: "pd.DataFrame", feature: str, bins: int = 10) -> Baseline:
    """Fit the baseline on the rows with ``split`` 'train': label rates in up to ``bins`` equal-count bins."""
    import numpy as np

    train = frame[frame["split"] == "train"]
    values, labels = train[feature].to_numpy(dtype="float64"), train["label"].to_numpy(dtype="float64")
    known = ~np.isnan(values)
    overall = float(labels.mean())
    edges = (
        np.unique(np.quantile(values[known], np.linspace(0, 1, bins + 1)[1:-1]))
        if known.any()
        else np.array([])
    )
    where = np.searchsorted(edges, values[known], side="right")
    rates = [_rate(labels[known][where == b], overall) for b in range(len(edges) + 1)]
    return Baseline(feature, tuple(map(float, edges)), tuple(rates), _rate(labels[~known], overall))


def _rate(labels: "np.ndarray", overall: float, prior: int = 20) -> float:
    return float((labels.sum() + prior * overall) / (len(labels) + prior))
