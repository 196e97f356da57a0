"""Every named estimator on the same rows, with its defaults: CPU of fit and importance, and what it learns.

27 numbers and 3 categories; the label follows ten of the numbers and one category, with noise.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pandas as pd

from ml_assets.training import Train
from ml_assets.training.estimators import NAMED
from ml_assets.training.fit import fit
from ml_assets.training.importance import importance_of
from ml_assets.training.target import BINARY
from ml_assets_tests.markdown import table

ROWS, TRAINED = 50_000, 0.8
NUMBERS = [f"n{place}" for place in range(27)]
CATEGORIES = {f"c{place}": 5 * (place + 1) for place in range(3)}
"""Column -> how many categories."""
SCHEMA = dict.fromkeys(NUMBERS, "DOUBLE") | dict.fromkeys(CATEGORIES, "VARCHAR")
T = TypeVar("T")


def main() -> None:
    """Fit each and print."""
    frame, rows = _rows(), []
    for name in NAMED:
        fitted, fit_seconds = _cpu(lambda name=name: fit(frame, SCHEMA, Train(estimator=name), BINARY))
        _, importance_seconds = _cpu(lambda fitted=fitted: importance_of(fitted.predictor, frame, BINARY))
        rounds = fitted.rounds or ""
        rows.append(
            (
                f"`{name}`",
                f"{fit_seconds:.1f}",
                rounds,
                f"{fitted.tune_loss:.3f}",
                f"{importance_seconds:.1f}",
            )
        )
    print(
        f"{ROWS:,} rows of {len(NUMBERS)} numbers and {len(CATEGORIES)} categories, {TRAINED:.0%} of them train.\n"
    )
    print(table(("Estimator", "Fit, s of CPU", "Rounds", "Tune loss", "Importance, s of CPU"), rows))


def _cpu(does: Callable[[], T]) -> tuple[T, float]:
    started = time.process_time()
    return does(), time.process_time() - started


def _rows() -> pd.DataFrame:
    random = np.random.default_rng(0)
    numbers = random.normal(size=(ROWS, len(NUMBERS)))
    columns: dict[str, object] = {name: numbers[:, place] for place, name in enumerate(NUMBERS)}
    for name, count in CATEGORIES.items():
        columns[name] = random.choice([f"v{label}" for label in range(count)], ROWS)
    odds = numbers[:, :5].sum(axis=1) + (numbers[:, 5:10] ** 2).sum(axis=1) / 2 - 3 + (columns["c0"] == "v0")
    return pd.DataFrame(columns).assign(
        label=(random.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(int),
        split=np.where(np.arange(ROWS) < TRAINED * ROWS, "train", "tune"),
    )


if __name__ == "__main__":
    main()
