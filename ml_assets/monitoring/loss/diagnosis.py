"""Data drift and concept drift told apart: whether the features moved, and whether the model loses more."""

from typing import Literal

Diagnosis = Literal["stable", "data drift", "concept drift", "data drift with loss"]

MEANING: dict[Diagnosis, str] = {
    "stable": "the features are those of training, and the model is no worse than on its holdout",
    "data drift": "the features moved, and the model is no worse than on its holdout",
    "concept drift": "the features are those of training, and the model loses more: what it learnt no longer holds",
    "data drift with loss": "the features moved, and the model loses more than on its holdout",
}
"""What each diagnosis says, in words."""


def diagnose(moved: bool, worse: bool) -> Diagnosis:
    """The diagnosis of a day whose features ``moved`` or not, and whose predictions turned out ``worse`` or not.

    Data drift changes P(x), concept drift P(y | x): J. Gama et al., "A survey on concept drift adaptation", ACM
    Computing Surveys 46 (2014).
    """
    if worse:
        return "data drift with loss" if moved else "concept drift"
    return "data drift" if moved else "stable"


def explain(diagnosis: Diagnosis, share: float, unexpected: bool | None) -> str:
    """The diagnosis in one sentence, with what it rests on.

    ``share`` is the model's weight in features that moved; ``unexpected`` is whether more was lost than the scores
    let expect, None where that is not known.
    """
    words = f"{diagnosis.capitalize()}: {MEANING[diagnosis]}; moved features carry {share:.0%} of its weight"
    if diagnosis == "data drift with loss" and unexpected is not None:
        words += ", and the loss is more than that explains" if unexpected else ", which explains the loss"
    return words + "."
