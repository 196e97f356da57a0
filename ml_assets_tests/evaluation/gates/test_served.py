from dataclasses import replace

import pandas as pd
import pytest

from ml_assets_tests.evaluation.holdouts import (
    SERVED,
    decide,
    gate,
    make_holdout,
)


@pytest.fixture
def good() -> pd.DataFrame:
    return make_holdout()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latency_ms": 51.0}, "takes 51.00 ms, and 50 are allowed"),
        ({"size_bytes": 120_000_000}, "has 120.00 MB, and 100 are allowed"),
        ({"latency_ms": float("nan")}, "measured no latency"),
        ({"size_bytes": 0}, "no size"),
    ],
)
def test_a_slow_or_large_model_is_refused(good, change, said):
    found = gate("is_fast_and_small", good, served=replace(SERVED, **change))
    assert found.status == "FAIL"
    assert said in found.reason


@pytest.mark.parametrize(
    ("served", "status", "said"),
    [
        (SERVED, "PASS", "same scores"),
        (replace(SERVED, same_scores=False), "FAIL", "other scores"),
        (
            replace(SERVED, differing=("xgboost 3.2.0 is pinned, 3.1.3 is installed",)),
            "FAIL",
            "xgboost 3.2.0 is pinned, 3.1.3 is installed",
        ),
        (replace(SERVED, same_scores=None, error="no file model.ubj"), "FAIL", "no file model.ubj"),
        (None, "NOT EVALUATED", "not read back"),
    ],
)
def test_reloads(good, served, status, said):
    decision = decide(good, served=served)
    assert decision.gates[-1].status == status
    assert said in decision.gates[-1].reason
    assert decision.passed is (status == "PASS")


def test_without_a_process_that_served_speed_and_size_are_not_evaluated(good):
    assert gate("is_fast_and_small", good, served=None).status == "NOT EVALUATED"
