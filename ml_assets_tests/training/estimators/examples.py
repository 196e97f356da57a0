"""Rows that can be learnt from, for each kind of target."""

import numpy as np
import pandas as pd

from ml_assets.training import Train
from ml_assets.training.target import BINARY, REGRESSION, Target

CLASSES = Target("multiclass", ("soon", "later", "never"))
TARGETS = {"binary": BINARY, "regression": REGRESSION, "multiclass": CLASSES}
SCHEMA = {"recency": "DOUBLE", "trips": "BIGINT", "favourite": "VARCHAR", "loyal": "BOOLEAN"}
QUICK = {
    "xgboost": {"rounds": 40, "early_stopping": 8, "learning_rate": 0.3, "max_depth": 3},
    "hist_gradient_boosting": {"rounds": 40, "early_stopping": 8, "learning_rate": 0.3, "max_leaf_nodes": 8},
    "logistic_regression": {},
}
SERVED = [
    (name, kind)
    for name in QUICK
    for kind in TARGETS
    if (name, kind) != ("logistic_regression", "regression")
]


def quick(name: str, **given: object) -> Train:
    """A spec whose fit takes a blink."""
    return Train.model_validate({"estimator": name, "parameters": QUICK.get(name, {}), **given})


def make_frame(kind: str = "binary", rows: int = 600, seed: int = 7) -> pd.DataFrame:
    """Rows whose label follows recency and the favourite; the last quarter is for tuning."""
    random = np.random.default_rng(seed)
    recency = random.uniform(0, 56, rows)
    favourite = random.choice(["DELI", "FUEL", "MEAT"], rows)
    odds = 0.15 * (recency - 28) + np.where(favourite == "FUEL", 1.5, -0.5)
    chance = random.random(rows)
    label = {
        "binary": (chance < 1 / (1 + np.exp(-odds))).astype(int),
        "regression": np.round(np.exp(odds / 3) + chance, 2),
        "multiclass": np.digitize(odds + 3 * (chance - 0.5), [-1.5, 1.5]),
    }[kind]
    return pd.DataFrame(
        {
            "recency": np.where(random.random(rows) < 0.05, np.nan, recency),
            "trips": random.integers(0, 20, rows).astype("float64"),
            "favourite": pd.Series(favourite, dtype=object).mask(random.random(rows) < 0.05, None),
            "loyal": pd.Series(random.choice(["false", "true"], rows), dtype=object),
            "label": label,
            "split": np.where(np.arange(rows) < rows * 3 // 4, "train", "tune"),
        }
    )
