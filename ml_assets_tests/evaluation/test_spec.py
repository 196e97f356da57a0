import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
from pydantic import ValidationError

from ml_assets.evaluation.gates.every import GATES
from ml_assets.evaluation.gates.policy import GatePolicy
from ml_assets.training.target import Kind, Target
from ml_assets_tests.evaluation.holdouts import (
    QUICK,
    SERVED,
    decide,
    make_holdout,
    statuses,
)


@pytest.fixture
def good() -> pd.DataFrame:
    return make_holdout()


def test_a_gate_that_may_only_warn_refuses_nobody(good):
    slow = replace(SERVED, latency_ms=80.0)
    policy = QUICK.model_copy(update={"warn_only": ("is_fast_and_small",)})
    assert not decide(good, served=slow).passed
    decision = decide(good, served=slow, policy=policy)
    assert statuses(decision)["is_fast_and_small"] == "WARN"
    assert decision.passed


def test_what_cannot_be_measured_is_more_than_a_warning(good):
    policy = QUICK.model_copy(update={"warn_only": ("is_calibrated", "is_fast_and_small", "slices_hold")})
    assert not decide(good, served=None, policy=policy).passed
    missing = decide(good, slices=("aisle",), policy=policy)
    assert (statuses(missing)["slices_hold"], missing.passed) == ("FAIL", False)
    nan = decide(good.assign(score_candidate=float("nan")), policy=policy)
    assert (statuses(nan)["is_calibrated"], nan.passed) == ("FAIL", False)


@pytest.mark.parametrize("name", [*(gate.name for gate in GATES if not gate.may_only_warn), "slices"])
def test_what_must_hold_may_not_only_warn(name):
    with pytest.raises(ValidationError, match=f"warn_only: {name} (must always hold|is no gate)"):
        GatePolicy.model_validate({"warn_only": [name]})


@pytest.mark.parametrize(
    "wrong",
    [
        {"margn": 0.1},
        {"margin": -0.1},
        {"margin": float("nan")},
        {"alpha": 0.5},
        {"replace_if": "equal"},
        {"calibration_ratio": [1.4, 0.7]},
        {"calibration_ratio": [0.7]},
        {"minimum_rows": 0},
        {"draws": 10},
        {"metric": "accuracy"},
        {"minimum": float("nan")},
        {"disparate_impact": 1.2},
        {"max_latency_ms": 0},
    ],
)
def test_a_wrong_policy_is_refused(wrong):
    with pytest.raises(ValidationError):
        GatePolicy.model_validate(wrong)


def test_a_policy_is_frozen_and_takes_a_list_from_yaml():
    policy = GatePolicy.model_validate({"calibration_ratio": [0.8, 1.25]})
    assert policy.calibration_ratio == (0.8, 1.25)
    with pytest.raises(ValidationError):
        policy.margin = 0.5


@pytest.mark.parametrize(
    ("kind", "metric", "floor"),
    [("binary", "auc", 0.55), ("regression", "r2", 0.0), ("multiclass", "skill", 0.0)],
)
def test_the_metric_and_its_floor_follow_the_target(kind: Kind, metric, floor):
    target = Target(kind, ("a", "b", "c"))
    assert (GatePolicy().metric_of(target), GatePolicy().floor(target)) == (metric, floor)
    assert GatePolicy(minimum=0.6).floor(target) == 0.6


def test_a_metric_of_another_target_is_refused_in_words(good):
    with pytest.raises(ValueError, match="a binary target is compared by auc or average_precision, not r2"):
        decide(good, policy=GatePolicy(metric="r2"))


def test_loading_the_gates_loads_no_heavy_package():
    heavy = "numpy pandas sklearn matplotlib scipy dagster"
    code = f"import sys, ml_assets.evaluation; print([m for m in '{heavy}'.split() if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
