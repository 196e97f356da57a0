"""The reference of a model version: its loss, its scores, and what came of them, on the holdout that judged it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np

from ml_assets.evaluation.arrays import Floats
from ml_assets.monitoring.loss.curve import Curve, expect, fit_curves, histogram
from ml_assets.monitoring.loss.normalised import loss_of, normalised
from ml_assets.monitoring.tables import REFERENCES
from ml_assets.training.target import Target


@dataclass(frozen=True)
class Reference:
    """What one version did on its own holdout, the population at its cutoff.

    ``rarest`` is how often the rarest class came, None of amounts. ``loss`` is the normalised loss, ``expected`` what
    the ``curves`` say it should have been, each with its standard error; where the holdout defines no loss they are
    None, ``undefined`` says why, and there are no curves. ``edges`` and ``shares`` are the distribution of the score
    (the expected label) in up to 20 bins, ``lowest`` and ``highest`` its range.
    """

    cutoff: date
    model_version: int
    rows: int
    rarest: int | None
    loss: float | None
    loss_deviation: float | None
    undefined: str | None
    expected: float | None
    expected_deviation: float | None
    edges: tuple[float, ...]
    shares: tuple[float, ...]
    lowest: float | None
    highest: float | None
    curves: tuple[Curve, ...]

    def row(self) -> dict[str, Any]:
        """As a row of the table ``references``."""
        return {
            **{name: getattr(self, name) for name in REFERENCES.types},
            "edges": list(self.edges),
            "shares": list(self.shares),
            "curves": json.dumps([asdict(curve) for curve in self.curves]),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Reference":
        """From a row of the table ``references``."""
        plain = {name: row[name] for name in REFERENCES.types}
        curves = tuple(Curve.from_json(curve) for curve in json.loads(row["curves"]))
        return cls(
            **{**plain, "edges": tuple(row["edges"]), "shares": tuple(row["shares"]), "curves": curves}
        )


def build_reference(
    target: Target, labels: Floats, said: Floats, *, cutoff: date, model_version: int
) -> Reference:
    """The reference of a version from the labels of its holdout, shape (n,), and what it said of them.

    ``said`` is as for ``loss_of``. Raises ValueError for a label the target doesn't have.
    """
    loss = loss_of(target, labels, said)
    curves: tuple[Curve, ...] = ()
    expected: tuple[float, float] | tuple[None, None] = (None, None)
    if loss.undefined is None:
        curves = fit_curves(target, labels, said)
        found = expect(target, curves, said)
        expected = normalised(found.losses, found.known)
    score = said @ np.arange(said.shape[1], dtype=np.float64) if said.ndim == 2 else said
    drawn = len(score) > 0 and bool(np.isfinite(score).all())
    edges, shares = histogram(score) if drawn else ((), ())
    rarest = None
    if target.is_classes:
        rarest = int(np.bincount(labels.astype(np.int64), minlength=len(target.classes)).min())
    return Reference(
        cutoff=cutoff,
        model_version=model_version,
        rows=len(labels),
        rarest=rarest,
        loss=loss.value,
        loss_deviation=loss.deviation,
        undefined=loss.undefined,
        expected=expected[0],
        expected_deviation=expected[1],
        edges=edges,
        shares=shares,
        lowest=float(score.min()) if drawn else None,
        highest=float(score.max()) if drawn else None,
        curves=curves,
    )
