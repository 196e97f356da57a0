"""The trivial model that a candidate must beat: what came of rows with a like value of one feature."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_assets.training.predictor import Scores, scores_of
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PRIOR = 20
"""A bin counts as if it had so many rows more, of the overall mean."""


@dataclass(frozen=True)
class Baseline:
    """Per bin of one feature, the mean label of a regression or the share of each class."""

    target: Target
    feature: str
    edges: tuple[float, ...]
    """Inner edges of the bins, increasing; len(means) is one more. Nulls take ``missing``."""
    means: tuple[tuple[float, ...], ...]
    missing: tuple[float, ...]

    def score(self, frame: "pd.DataFrame") -> Scores:
        """Scores of the rows of a frame that has the feature."""
        import numpy as np

        values = frame[self.feature].to_numpy(dtype="float64")
        bins = np.searchsorted(np.asarray(self.edges), values, side="right")
        found = np.asarray(self.means)[bins.clip(0, len(self.means) - 1)]
        found = np.where(np.isnan(values)[:, None], np.asarray(self.missing), found)
        return scores_of(self.target, found[:, 0] if self.target.kind == "regression" else found)

    def to_json(self) -> str:
        """As JSON, read back by ``from_json``."""
        return json.dumps(
            {
                "kind": self.target.kind,
                "classes": self.target.classes,
                "feature": self.feature,
                "edges": self.edges,
                "means": self.means,
                "missing": self.missing,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Baseline":
        """The baseline that ``to_json`` wrote."""
        raw = json.loads(text)
        return cls(
            Target(raw["kind"], tuple(raw["classes"])),
            raw["feature"],
            tuple(raw["edges"]),
            tuple(map(tuple, raw["means"])),
            tuple(raw["missing"]),
        )


def fit_baseline(frame: "pd.DataFrame", feature: str, target: Target, bins: int = 10) -> Baseline:
    """Fit on the rows with ``split`` 'train': means in up to ``bins`` equal-count bins of the feature."""
    import numpy as np

    train = frame[frame["split"] == "train"]
    values, labels = train[feature].to_numpy(dtype="float64"), train["label"].to_numpy(dtype="float64")
    shares = labels[:, None]
    if target.kind != "regression":
        shares = (labels[:, None] == np.arange(len(target.classes))).astype("float64")
    known = ~np.isnan(values)
    overall = shares.mean(axis=0)
    edges = (
        np.unique(np.quantile(values[known], np.linspace(0, 1, bins + 1)[1:-1]))
        if known.any()
        else np.array([])
    )
    where = np.searchsorted(edges, values[known], side="right")
    means = [_mean(shares[known][where == b], overall) for b in range(len(edges) + 1)]
    return Baseline(target, feature, tuple(map(float, edges)), tuple(means), _mean(shares[~known], overall))


def _mean(shares: "np.ndarray", overall: "np.ndarray") -> tuple[float, ...]:
    return tuple(map(float, (shares.sum(axis=0) + PRIOR * overall) / (len(shares) + PRIOR)))
