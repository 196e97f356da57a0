"""A holdout that is too good is asked about, by the feature that carries it."""

from typing import Any

import numpy as np
import pytest

from ml_assets.evaluation.gates.judge import GateResult, judge
from ml_assets.evaluation.leak import alone
from ml_assets.evaluation.measured import measure
from ml_assets.evaluation.spec import Standard
from ml_assets_tests.evaluation.holdouts import FACTS, KINDS, QUICK, SERVED, make_holdout

FEATURES = ("spend", "refund", "department", "letter")


def judged(kind: str, leaking: str, **limits: Any) -> GateResult:
    """A holdout whose scores are the labels themselves, which a feature has as well."""
    target, make = KINDS[kind]
    frame = make(n=600)
    random = np.random.default_rng(5)
    label = frame["label"].to_numpy(dtype="float64")
    frame = frame.assign(
        spend=random.normal(size=600), refund=random.normal(size=600), letter=random.choice(list("abc"), 600)
    )
    frame[leaking] = (
        [f"code {value > np.median(label)}" for value in label] if leaking == "letter" else -label
    )
    if kind == "binary":
        frame["score_candidate"] = label * 0.98 + 0.01
    elif kind == "regression":
        frame["score_candidate"] = label
    else:
        shares = np.eye(3)[label.astype(int)] * 0.9999 + 0.0001 / 3
        frame["score_candidate"] = shares @ np.arange(3)
        frame[[f"score_candidate_{k}" for k in range(3)]] = shares
    policy = QUICK.model_copy(update=limits)
    found = measure(frame, FACTS, Standard(target, ["household_id"], policy, features=FEATURES))
    (result,) = [one for one in judge(found, SERVED, policy.warn_only).gates if one.name == "is_believable"]
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_good_is_refused_by_the_feature_that_carries_it(kind: str) -> None:
    found = judged(kind, "refund")
    assert found.status == "FAIL"
    measure = "AUC" if kind == "binary" else "rank correlation"
    assert f"a leak is suspected. Alone, refund ({measure} 1.000) knows the most" in found.reason
    assert "promote the version with --override" in found.reason


def test_a_category_may_carry_it() -> None:
    assert "Alone, letter (AUC 1.000) knows the most of the label" in judged("binary", "letter").reason


def test_a_person_may_allow_it() -> None:
    assert judged("binary", "refund", warn_only=("is_believable",)).status == "WARN"


def test_a_good_model_is_believed() -> None:
    found = measure(make_holdout(), FACTS, Standard(KINDS["binary"][0], ["household_id"], QUICK))
    (result,) = [one for one in judge(found, SERVED).gates if one.name == "is_believable"]
    assert (result.status, found.alone) == ("PASS", {})


def test_an_identifier_knows_nothing_and_a_gap_is_a_value() -> None:
    frame = make_holdout(n=400)
    frame["id"] = [f"h{n}" for n in range(400)]
    frame["gap"] = np.where(frame["label"] == 1, np.nan, 3.0)
    frame["same"] = 1.0
    known = alone(frame, ["id", "gap", "same"], KINDS["binary"][0])
    assert (known["gap"], known["same"]) == (1.0, 0.5)
    assert known["id"] == pytest.approx(0.5)
