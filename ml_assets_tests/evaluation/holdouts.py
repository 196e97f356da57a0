"""Synthetic holdouts whose truth is known."""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from ml_assets.evaluation.gates import Decision, GatePolicy, GateResult, HoldoutFacts, judge

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


def decide(
    holdout: pd.DataFrame,
    facts: HoldoutFacts = FACTS,
    policy: GatePolicy = QUICK,
    slices: tuple[str, ...] = ("department",),
    reloads: bool | None = True,
) -> Decision:
    return judge(holdout, facts, policy, entity=["household_id"], slices=slices, reloads=reloads)


def gate(name: str, holdout: pd.DataFrame, **given: Any) -> GateResult:
    decision = decide(holdout, **given)
    (result,) = [g for g in decision.gates if g.name == name]
    assert result.status == "PASS" or not decision.passed
    return result
