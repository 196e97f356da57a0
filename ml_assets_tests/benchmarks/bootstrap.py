"""A paired bootstrap of AUC: 10,000 draws of 100,000 rows, next to scikit-learn's metric in a loop.

Both sides draw the same entities and measure two models on each draw. The loop takes seconds a draw pair, so it
does few and its time is multiplied; each of its draws must give our numbers, or nothing is printed.
"""

import time

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from ml_assets.evaluation import bootstrap
from ml_assets.evaluation.bootstrap import BLOCK, resample
from ml_assets.evaluation.spec import COMPARED_BY
from ml_assets.training.target import BINARY, REGRESSION, Target
from ml_assets_tests.markdown import table

ROWS, DRAWS, LOOPED = 100_000, 10_000, BLOCK
REPEATED = 0.02
"""Share of the rows whose entity has another one."""
ROLES = ("candidate", "champion")


def main() -> None:
    """Measure and print."""
    frame = _rows()
    looped, drawn = _loop(frame)
    loop = looped * DRAWS / LOOPED
    rows = [(f"`roc_auc_score` in a loop, {LOOPED} draws, multiplied", f"{loop:.1f}", "")]
    for threads in (1, None):
        seconds = _ours(BINARY, frame, threads, drawn)
        rows.append(
            (f"AUC, {'1 thread' if threads else 'all processors'}", f"{seconds:.1f}", f"{loop / seconds:.0f}")
        )
    seconds = _ours(REGRESSION, frame.assign(label=frame["label"] * frame["score_champion"]), None, None)
    rows.append(("r2, all processors", f"{seconds:.1f}", ""))
    print(f"{DRAWS:,} paired draws by entity of {ROWS:,} rows, two models.\n")
    print(table(("Side", "Seconds", "The loop over it"), rows))


def _rows() -> pd.DataFrame:
    """One row in eight has label 1; a few entities have two rows; the champion is the candidate with noise."""
    random = np.random.default_rng(0)
    x, noise = random.normal(size=(2, ROWS))
    entity = np.arange(ROWS)
    twice = int(REPEATED * ROWS / 2)
    entity[:twice] = entity[twice : 2 * twice]
    chance = _logistic(-2.5 + 1.4 * x)
    return pd.DataFrame(
        {
            "household_id": entity,
            "label": (random.random(ROWS) < chance).astype(int),
            "score_candidate": chance,
            "score_champion": _logistic(-2.5 + 1.4 * x + 0.3 * noise),
        }
    )


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _loop(frame: pd.DataFrame) -> tuple[float, np.ndarray]:
    """Seconds of the first draws by weighted scikit-learn, and its numbers: (draws, roles)."""
    rows = frame.sort_values("label", kind="stable")
    codes, entities = bootstrap._entities(rows, ["household_id"])
    label, *scores = (rows[name].to_numpy() for name in ("label", *(f"score_{role}" for role in ROLES)))
    drawn = np.concatenate(list(bootstrap._counts(entities, LOOPED, 1, 7, 0)))
    started = time.perf_counter()
    found = []
    for counts in drawn:
        weights = counts[codes]
        found.append([roc_auc_score(label, score, sample_weight=weights) for score in scores])
    return time.perf_counter() - started, np.array(found)


def _ours(target: Target, frame: pd.DataFrame, threads: int | None, drawn: np.ndarray | None) -> float:
    started = time.perf_counter()
    metrics = [COMPARED_BY[target.kind][0]]
    found = resample(
        target, frame, ROLES, entity=["household_id"], metrics=metrics, draws=DRAWS, seed=7, threads=threads
    )[metrics[0]]
    seconds = time.perf_counter() - started
    if drawn is not None:
        for number, role in enumerate(ROLES):
            np.testing.assert_allclose(found.drawn[role][:LOOPED], drawn[:, number], rtol=0, atol=1e-12)
    return seconds


if __name__ == "__main__":
    main()
