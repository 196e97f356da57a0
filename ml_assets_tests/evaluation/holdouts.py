"""Synthetic holdouts whose truth is known."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from ml_assets.evaluation.facts import HoldoutFacts, Served
from ml_assets.evaluation.gates.judge import Decision, GateResult, judge
from ml_assets.evaluation.gates.policy import GatePolicy
from ml_assets.evaluation.measured import Measured, measure
from ml_assets.evaluation.spec import Costs, Standard
from ml_assets.training.target import BINARY, REGRESSION, Target

CUTOFF = date(2017, 10, 1)
DIGEST = "9f2c" * 16
QUICK = GatePolicy(draws=400)

FACTS = HoldoutFacts(
    cutoff=CUTOFF,
    holdout_from=CUTOFF,
    holdout_to=CUTOFF,
    horizon_days=28,
    labels_mature=True,
    landed_through=date(2017, 10, 28),
    candidate_knows_until=CUTOFF,
    champion_knows_until=date(2017, 9, 24),
    digest_candidate=DIGEST,
    digest_champion=DIGEST,
)
SERVED = Served(same_scores=True, differing=(), size_bytes=180_000, latency_ms=0.4, latency_p99_ms=1.9)
SIZES = Target("multiclass", ("small", "medium", "large"))
FIRST = replace(FACTS, champion_knows_until=None, digest_champion=None)


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def make_holdout(n: int = 1500, seed: int = 0, champion_noise: float = 0.3) -> pd.DataFrame:
    """A calibrated candidate, a champion with noise added, a weaker baseline, and a slice column."""
    random = np.random.default_rng(seed)
    x = random.normal(size=n)
    truth = logistic(-2.2 + 1.4 * x)
    return pd.DataFrame(
        {
            "household_id": np.arange(n),
            "as_of": pd.Timestamp(CUTOFF, tz="UTC"),
            "label": (random.random(n) < truth).astype(int),
            "score_candidate": truth,
            "score_champion": logistic(-2.2 + 1.4 * x + champion_noise * random.normal(size=n)),
            "score_baseline": logistic(-2.2 + 0.8 * x + random.normal(size=n)),
            "department": random.choice(["GROCERY", "PRODUCE", "MEAT"], n),
        }
    )


def make_regression(n: int = 1500, seed: int = 0, champion_noise: float = 0.3) -> pd.DataFrame:
    """Amounts spent, many of them small: a candidate that knows the expected one, and two that know it less well."""
    random = np.random.default_rng(seed)
    x = random.normal(size=n)
    truth = np.exp(3 + 0.6 * x)
    return _rows(n).assign(
        label=random.gamma(2, truth / 2),
        score_candidate=truth,
        score_champion=truth * np.exp(champion_noise * random.normal(size=n) - champion_noise**2 / 2),
        score_baseline=np.exp(3 + 0.2 * x + 0.15),
        department=random.choice(["GROCERY", "PRODUCE", "MEAT"], n),
    )


def make_multiclass(n: int = 1500, seed: int = 0, champion_noise: float = 0.5) -> pd.DataFrame:
    """Three sizes: a candidate that knows their probabilities, and two that know them less well."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 3)) * 1.3 + [0.5, 0.2, 0.0]
    frame = _rows(n).assign(department=random.choice(["GROCERY", "PRODUCE", "MEAT"], n))
    given = {
        "candidate": x,
        "champion": x + champion_noise * random.normal(size=(n, 3)),
        "baseline": 0.3 * x,
    }
    for role, logits in given.items():
        odds = np.exp(logits)
        shares = odds / odds.sum(axis=1, keepdims=True)
        frame[f"score_{role}"] = shares @ np.arange(3)
        frame[[f"score_{role}_{k}" for k in range(3)]] = shares
    drawn = random.random((n, 1)) > frame[[f"score_candidate_{k}" for k in range(3)]].to_numpy().cumsum(
        axis=1
    )
    return frame.assign(label=drawn.sum(axis=1).clip(max=2))


def _rows(n: int) -> pd.DataFrame:
    return pd.DataFrame({"household_id": np.arange(n), "as_of": pd.Timestamp(CUTOFF, tz="UTC")})


KINDS: dict[str, tuple[Target, Callable[..., pd.DataFrame]]] = {
    "binary": (BINARY, make_holdout),
    "regression": (REGRESSION, make_regression),
    "multiclass": (SIZES, make_multiclass),
}


def measured(
    holdout: pd.DataFrame,
    facts: HoldoutFacts = FACTS,
    policy: GatePolicy = QUICK,
    slices: tuple[str, ...] = ("department",),
    groups: tuple[str, ...] = (),
    costs: Costs | None = None,
    target: Target = BINARY,
) -> Measured:
    return measure(holdout, facts, Standard(target, ["household_id"], policy, slices, groups, costs))


def decide(
    holdout: pd.DataFrame, policy: GatePolicy = QUICK, served: Served | None = SERVED, **given: Any
) -> Decision:
    return judge(measured(holdout, policy=policy, **given), served, policy.warn_only)


def gate(name: str, holdout: pd.DataFrame, **given: Any) -> GateResult:
    decision = decide(holdout, **given)
    (result,) = [g for g in decision.gates if g.name == name]
    assert result.status == "PASS" or not decision.passed
    return result


def statuses(decision: Decision) -> dict[str, str]:
    return {result.name: result.status for result in decision.gates}
