"""Fit a candidate on train, with tune to say when to stop; the same frame and spec give the same model."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.training.estimators import NotTrainable, Rows, Task, estimator_class
from ml_assets.training.predictor import Predictor, Scores
from ml_assets.training.spec import Train
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Fitted", "NotTrainable", "check_trainable", "fit", "loss_of"]


@dataclass(frozen=True)
class Fitted:
    """A fitted model and how the fit went."""

    predictor: Predictor
    rounds: int | None
    """How many steps it has, where it is made in steps."""
    curves: dict[str, list[float]]
    scores: Scores
    """Of all rows of the frame, in its order."""
    train_loss: float
    """As ``loss_of``, like ``tune_loss``."""
    tune_loss: float
    seconds: float


def check_trainable(frame: "pd.DataFrame", cutoff: object, target: Target) -> None:
    """Raise NotTrainable where train or tune is empty, has one class or amount only, or train lacks a class."""
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
    if target.kind == "multiclass":
        seen = set(frame.loc[frame["split"] == "train", "label"])
        unseen = [name for k, name in enumerate(target.classes) if k not in seen]
        if unseen:
            raise NotTrainable(
                f"The training set of cutoff {cutoff} has no train row of class {', '.join(unseen)}. Materialize labels "
                "and snapshots further back, or give the label wider classes."
            )


def fit(
    frame: "pd.DataFrame",
    schema: Mapping[str, str],
    spec: Train,
    target: Target,
    *,
    parameters: Mapping[str, Any] | None = None,
    report: Callable[[int, float], None] | None = None,
    checkpoint: Path | None = None,
) -> Fitted:
    """Fit on the rows with ``split`` 'train', stop on those with 'tune'.

    ``frame`` has the feature columns of ``schema`` (column -> DuckDB type), ``label``, ``split``, and ``weight`` if
    the spec asks for weights. ``parameters`` take the place of the spec's own where they are given. ``report`` and
    ``checkpoint`` are those of ``Task``. Raises NotTrainable, and ValueError where the spec can't serve the target.
    """
    spec.check_serves(target, schema)
    kind = estimator_class(spec.estimator)
    chosen = kind.Parameters.model_validate({**spec.parameters, **(parameters or {})})
    listening = {"report": report} if report else {}
    task = Task(
        target=target,
        columns=dict(schema),
        seed=spec.seed,
        monotone=spec.monotone_ways,
        device=spec.device,
        checkpoint=checkpoint,
        **listening,
    )
    rows = {split: frame[frame["split"] == split] for split in ("train", "tune")}
    weights = {split: _weights(part, spec, split) for split, part in rows.items()}
    class_weights = _class_weights(rows["train"], weights["train"], target) if spec.balance else ()
    given = {split: _rows(part, task, weights[split], class_weights) for split, part in rows.items()}
    started = time.perf_counter()
    estimator = kind(task, chosen)
    estimator.fit(given["train"], given["tune"])
    seconds = time.perf_counter() - started
    predictor = Predictor(spec.estimator, estimator, class_weights)
    scores = predictor.score(frame)
    losses = {}
    for split in rows:
        of_split = (frame["split"] == split).to_numpy()
        losses[split] = loss_of(target, frame["label"].to_numpy()[of_split], scores.of(of_split))
    return Fitted(
        predictor, estimator.rounds, estimator.curves, scores, losses["train"], losses["tune"], seconds
    )


def _weights(part: "pd.DataFrame", spec: Train, split: str) -> "np.ndarray":
    """What each row weighs, shape (n,). Raises NotTrainable."""
    import numpy as np

    if spec.weight is None:
        return np.ones(len(part))
    weights = part["weight"].to_numpy(dtype="float64", na_value=np.nan)
    wrong = ~(np.isfinite(weights) & (weights > 0))
    if wrong.any():
        raise NotTrainable(
            f"train.weight gives {wrong.sum()} of {len(part)} {split} rows no weight above 0, for example "
            f"{weights[wrong][0]:g}: {spec.weight}. Use coalesce and greatest in it, or narrow the population."
        )
    return weights


def _class_weights(train: "pd.DataFrame", weights: "np.ndarray", target: Target) -> tuple[float, ...]:
    """What each class weighs so that all weigh the same: the weight of all rows / (classes x that of its own)."""
    labels = train["label"].to_numpy()
    classes = len(target.classes)
    return tuple(float(weights.sum() / (classes * weights[labels == k].sum())) for k in range(classes))


def _rows(part: "pd.DataFrame", task: Task, weights: "np.ndarray", class_weights: tuple[float, ...]) -> Rows:
    import numpy as np

    label = part["label"].to_numpy()
    if class_weights:
        weights = weights * np.asarray(class_weights)[label.astype(int)]
    return Rows(part[list(task.columns)], label, weights)


def loss_of(target: Target, labels: "pd.Series | np.ndarray", scores: Scores) -> float:
    """The mean loss of scores: log loss in nats for classes, the root of the mean squared error for a regression."""
    import numpy as np

    label = np.asarray(labels)
    if target.kind == "regression":
        return float(np.sqrt(np.mean((scores.expected - label) ** 2)))
    smallest = np.finfo("float64").eps
    if scores.classes is None:
        of_label = np.where(label == 1, scores.expected, 1 - scores.expected)
    else:
        of_label = scores.classes[np.arange(len(label)), label.astype(int)]
    return float(-np.log(of_label.clip(smallest, 1)).mean())
