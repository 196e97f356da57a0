"""How often the gates promote, over many pairs of models whose truth is known. ``pytest -s`` prints the figures."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, norm

from ml_assets.evaluation.gates.policy import GatePolicy
from ml_assets.training.target import BINARY, REGRESSION, Target
from ml_assets_tests.evaluation.holdouts import (
    KINDS,
    gate,
    logistic,
    make_holdout,
    make_multiclass,
    make_regression,
)

PAIRS, ALPHA = 400, 0.05
MOST = int(binom.ppf(0.999, PAIRS, ALPHA))
"""Chance alone promotes more in one of a thousand runs."""


def promoted(
    frames: Iterator[pd.DataFrame], target: Target, name: str = "not_worse_than_champion", **policy
) -> int:
    """How many of the frames the gate lets through; without a baseline nothing else is resampled."""
    asked = GatePolicy(alpha=ALPHA, draws=400, **policy)
    groups = ("group",) if name == "treats_groups_alike" else ()
    return sum(
        gate(
            name,
            frame.drop(columns="score_baseline", errors="ignore"),
            policy=asked,
            target=target,
            slices=(),
            groups=groups,
        ).status
        == "PASS"
        for frame in frames
    )


def binormal(auc: float, champion: float, shared: float = 0.8, n: int = 800) -> Iterator[pd.DataFrame]:
    """Scores of normal distributions with these very AUCs: positives are sqrt(2) x the normal quantile higher."""
    for seed in range(PAIRS):
        random = np.random.default_rng([seed, 1])
        frame = make_holdout(n=n, seed=seed)
        label = frame["label"].to_numpy()
        common = np.sqrt(shared) * random.normal(size=n)
        scores = {
            role: norm.ppf(area) * np.sqrt(2) * label + common + np.sqrt(1 - shared) * random.normal(size=n)
            for role, area in (("candidate", auc), ("champion", champion))
        }
        yield frame.assign(**{f"score_{role}": score for role, score in scores.items()})


def equal_probabilities(seed: int) -> pd.DataFrame:
    random = np.random.default_rng([seed, 1])
    frame = make_holdout(n=600, seed=seed)
    odds = np.log(frame["score_candidate"] / (1 - frame["score_candidate"])).to_numpy()
    one, other = (logistic(odds + 0.4 * random.normal(size=600)) for _ in range(2))
    return frame.assign(score_candidate=one, score_champion=other)


def equal_amounts(seed: int) -> pd.DataFrame:
    random = np.random.default_rng([seed, 1])
    frame = make_regression(n=600, seed=seed)
    truth = frame["score_candidate"]
    one, other = (truth * np.exp(0.3 * random.normal(size=600) - 0.045) for _ in range(2))
    return frame.assign(score_candidate=one, score_champion=other)


def equal_shares(seed: int) -> pd.DataFrame:
    one, random = make_multiclass(n=600, seed=seed), np.random.default_rng([seed, 1])
    logits = np.log(one[[f"score_candidate_{k}" for k in range(3)]].to_numpy())
    odds = np.exp(logits + 0.5 * random.normal(size=(600, 3)))
    one[[f"score_candidate_{k}" for k in range(3)]] = odds / odds.sum(axis=1, keepdims=True)
    return one


EQUAL: dict[str, Callable[[int], pd.DataFrame]] = {
    "binary": equal_probabilities,
    "regression": equal_amounts,
    "multiclass": equal_shares,
}


@pytest.mark.parametrize(
    "kind", ["binary", *(pytest.param(k, marks=pytest.mark.proof) for k in ("regression", "multiclass"))]
)
def test_equal_models_are_promoted_as_better_at_most_at_alpha(kind):
    frames = (EQUAL[kind](seed) for seed in range(PAIRS))
    found = promoted(frames, KINDS[kind][0], replace_if="better")
    print(f"\nequal {kind} models promoted as better: {found} of {PAIRS} (alpha {ALPHA:.0%}, at most {MOST})")
    assert found <= MOST, "a gate that asks for >= promotes half of them"


@pytest.mark.proof
@pytest.mark.parametrize("gain", [0.02, 0.04])
def test_better_models_are_promoted(gain):
    found = promoted(binormal(0.78 + gain, 0.78), BINARY, replace_if="better")
    print(f"\nmodels better by {gain} AUC promoted as better: {found} of {PAIRS}")
    assert found >= {0.02: 0.3, 0.04: 0.8}[gain] * PAIRS


@pytest.mark.proof
def test_a_model_worse_by_the_margin_is_promoted_at_most_at_alpha():
    found = promoted(binormal(0.78, 0.80), BINARY, replace_if="not_worse", margin=0.02)
    print(f"\nmodels worse by the margin promoted as not worse: {found} of {PAIRS} (at most {MOST})")
    assert found <= MOST


@pytest.mark.proof
def test_equal_models_are_mostly_promoted_as_not_worse():
    found = promoted(binormal(0.80, 0.80, shared=0.9), BINARY, replace_if="not_worse", margin=0.02)
    print(f"\nequal models promoted as not worse: {found} of {PAIRS}")
    assert found >= 0.6 * PAIRS


@pytest.mark.proof
@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_groups_treated_alike_are_refused_at_most_at_alpha(kind):
    def fair() -> Iterator[pd.DataFrame]:
        for seed in range(PAIRS):
            frame = make_holdout(n=600, seed=seed) if kind == "binary" else make_regression(n=600, seed=seed)
            random = np.random.default_rng([seed, 1])
            yield frame.assign(group=random.choice(["a", "b"], 600))

    target = BINARY if kind == "binary" else REGRESSION
    given = {"minimum_positives": 5}
    refused = PAIRS - promoted(fair(), target, "treats_groups_alike", **given)
    print(f"\nfair {kind} models refused for two groups of 300: {refused} of {PAIRS} (at most {2 * MOST})")
    assert refused <= 2 * MOST, "two rates are compared, each at alpha"
