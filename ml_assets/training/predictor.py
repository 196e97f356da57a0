"""A fitted model as it is used: scores from a frame of features, and the folder it is kept in."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.training.estimators import Estimator, Parameters, Task, estimator_class
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

DESCRIPTION = "estimator.json"
AWAY_FROM_1 = 1e-5
"""So far the sum of probabilities may be from 1: XGBoost counts in 32 bits."""


class PredictionError(Exception):
    """An estimator gave something else than scores, or a folder holds none; the message says what was found."""


@dataclass(frozen=True)
class Scores:
    """The expected labels of n rows, and of a target of several classes the probability of each."""

    expected: "np.ndarray"
    """Shape (n,): the probability of 1, the expected amount, or the mean class."""
    classes: "np.ndarray | None" = None
    """Shape (n, classes), for more than two classes."""

    def of(self, rows: "np.ndarray") -> "Scores":
        """The scores of some rows; ``rows`` is a mask of shape (n,)."""
        return Scores(self.expected[rows], None if self.classes is None else self.classes[rows])

    def columns(self, role: str) -> dict[str, "np.ndarray"]:
        """As columns of a frame: ``score_<role>``, and for several classes ``score_<role>_<k>``."""
        several = (
            {} if self.classes is None else {f"score_{role}_{k}": c for k, c in enumerate(self.classes.T)}
        )
        return {f"score_{role}": self.expected, **several}


def scores_of(target: Target, found: "np.ndarray") -> Scores:
    """Scores from expected labels of shape (n,) of a regression, or probabilities of shape (n, classes)."""
    import numpy as np

    if target.kind == "regression":
        return Scores(found)
    if target.kind == "binary":
        return Scores(found[:, 1])
    return Scores(found @ np.arange(len(target.classes), dtype="float64"), found)


@dataclass(frozen=True)
class Predictor:
    """An estimator with all it takes to ask it.

    ``class_weights`` are those it was fitted with, one per class, or empty; probabilities are corrected for them:
    p_k / w_k, normalised (Elkan 2001, "The foundations of cost-sensitive learning", theorem 2).
    """

    name: str
    estimator: Estimator[Parameters]
    class_weights: tuple[float, ...] = ()

    @property
    def task(self) -> Task:
        """What it was fitted for."""
        return self.estimator.task

    def score(self, frame: "pd.DataFrame") -> Scores:
        """Scores of the rows of a frame that has the feature columns. Raises PredictionError."""
        import numpy as np

        missing = [column for column in self.task.columns if column not in frame]
        if missing:
            raise PredictionError(
                f"The model was trained on {', '.join(missing)}, which the frame lacks; it has "
                f"{', '.join(map(str, frame.columns))}."
            )
        target, features = self.task.target, frame[list(self.task.columns)]
        if target.kind == "regression":
            found = np.asarray(self.estimator.predict(features), dtype="float64")
            wanted: tuple[int, ...] = (len(frame),)
        else:
            found = np.asarray(self.estimator.predict_proba(features), dtype="float64")
            wanted = (len(frame), len(target.classes))
        _check_scores(self.name, found, wanted)
        if self.class_weights:
            found = found / np.asarray(self.class_weights)
            found = found / found.sum(axis=1, keepdims=True)
        return scores_of(target, found)

    def save(self, folder: Path) -> None:
        """Write it into a new or empty folder, from which ``load_predictor`` reads it in another process."""
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty; a predictor is saved into a folder of its own")
        self.estimator.save(folder)
        task = self.task
        (folder / DESCRIPTION).write_text(
            json.dumps(
                {
                    "estimator": self.name,
                    "parameters": self.estimator.parameters.model_dump(mode="json"),
                    "target": {"kind": task.target.kind, "classes": list(task.target.classes)},
                    "columns": dict(task.columns),
                    "monotone": dict(task.monotone),
                    "seed": task.seed,
                    "class_weights": list(self.class_weights),
                },
                indent=1,
            )
        )


def _check_scores(name: str, found: "np.ndarray", wanted: tuple[int, ...]) -> None:
    """Raise PredictionError unless ``found`` has the wanted shape and holds amounts, or probabilities."""
    import numpy as np

    if found.shape != wanted:
        method = "predict" if len(wanted) == 1 else "predict_proba"
        raise PredictionError(
            f"{method} of estimator {name} gives shape {found.shape}; {wanted} expected: rows"
            f"{', classes' if len(wanted) == 2 else ''}."
        )
    if not np.isfinite(found).all():
        rows = np.flatnonzero(~np.isfinite(found.reshape(len(found), -1)).all(axis=1))
        raise PredictionError(
            f"Estimator {name} gives {len(rows)} of {len(found)} rows no finite score; the first is row {rows[0]}."
        )
    if len(wanted) == 2 and len(found):
        wrong = np.abs(found.sum(axis=1) - 1) + np.maximum(-found.min(axis=1), 0)
        if wrong.max() > AWAY_FROM_1:
            row = int(wrong.argmax())
            raise PredictionError(
                f"predict_proba of estimator {name} gives no probabilities that sum to 1: {found[row].tolist()} in "
                f"row {row}."
            )


def load_predictor(folder: Path) -> Predictor:
    """The predictor that ``Predictor.save`` wrote. It predicts on the CPU, whatever it was fitted on.

    Raises PredictionError where there is none, UnknownEstimator where its class can't be found here.
    """
    if not (folder / DESCRIPTION).is_file():
        raise PredictionError(f"There is no model in {folder}: it has no {DESCRIPTION}.")
    known = json.loads((folder / DESCRIPTION).read_text())
    kind = estimator_class(known["estimator"])
    task = Task(
        target=Target(known["target"]["kind"], tuple(known["target"]["classes"])),
        columns=known["columns"],
        monotone=known["monotone"],
        seed=known["seed"],
    )
    parameters = kind.Parameters.model_validate(known["parameters"])
    return Predictor(known["estimator"], kind.load(folder, task, parameters), tuple(known["class_weights"]))


def files_hash(folder: Path) -> str:
    """SHA-256 over the names and bytes of all files of a folder: two models of one hash are equal to the byte."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
