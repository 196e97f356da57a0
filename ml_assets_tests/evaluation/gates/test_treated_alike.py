import numpy as np
import pandas as pd
import pytest

from ml_assets.evaluation.spec import Costs
from ml_assets_tests.evaluation.holdouts import (
    KINDS,
    QUICK,
    gate,
    make_holdout,
)


@pytest.fixture
def good() -> pd.DataFrame:
    return make_holdout()


def with_groups(frame: pd.DataFrame, seed: int = 4) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return frame.assign(gender=random.choice(["f", "m"], len(frame)))


def test_groups_that_are_treated_alike_pass(good):
    found = gate("treats_groups_alike", with_groups(good), groups=("gender",))
    assert found.status == "PASS"
    assert "gender, 2 of 2 groups" in found.observed


def test_a_model_without_groups_says_so(good):
    found = gate("treats_groups_alike", good)
    assert (found.status, found.observed) == ("PASS", "no groups")
    assert "declares no groups" in found.reason


def test_a_group_that_is_found_and_selected_less_is_named(good):
    grouped = with_groups(good)
    women = grouped["gender"] == "f"
    grouped.loc[women, "score_candidate"] *= 0.4
    found = gate("treats_groups_alike", grouped, groups=("gender",))
    assert found.status == "FAIL"
    assert "True positive rates differ by" in found.reason
    assert "gender = f is selected" in found.reason


def test_the_costs_decide_who_is_selected(good):
    grouped = with_groups(good)
    for costs, threshold in ((Costs(false_positive=1, false_negative=9), "0.1"), (Costs(), "0.5")):
        found = gate("treats_groups_alike", grouped, groups=("gender",), costs=costs, policy=ANYTHING_GOES)
        assert f"selected from score {threshold};" in found.observed
    nobody = gate("treats_groups_alike", grouped, groups=("gender",), costs=Costs(false_positive=10**6))
    assert nobody.status == "NOT EVALUATED"
    assert "Nobody is selected from score 1" in nobody.reason


ANYTHING_GOES = QUICK.model_copy(update={"equal_opportunity": 1.0, "disparate_impact": 0.0})


def test_small_groups_and_rows_without_a_group_are_not_compared(good):
    grouped = with_groups(good)
    grouped.loc[grouped["gender"] == "f", "gender"] = None
    found = gate("treats_groups_alike", grouped, groups=("gender",))
    assert found.status == "NOT EVALUATED"
    assert "No two groups of gender have 100 rows and 20 with label 1" in found.reason
    grouped["gender"] = np.where(grouped.index < 90, "f", "m")
    assert gate("treats_groups_alike", grouped, groups=("gender",)).status == "NOT EVALUATED"


def test_a_missing_group_column_fails(good):
    found = gate("treats_groups_alike", good, groups=("age",))
    assert (found.status, found.reason) == ("FAIL", "The holdout has no group column age.")


@pytest.mark.parametrize("kind", ["regression", "multiclass"])
def test_who_is_not_selected_is_compared_by_what_is_promised(kind):
    target, make = KINDS[kind]
    grouped = with_groups(make())
    fair = gate("treats_groups_alike", grouped, groups=("gender",), target=target)
    assert fair.status == "PASS"
    grouped.loc[grouped["gender"] == "f", "score_candidate"] *= 0.7
    found = gate("treats_groups_alike", grouped, groups=("gender",), target=target)
    assert found.status == "FAIL"
    assert "gender = f is promised 0." in found.reason
    assert f"a {kind} selects nobody" in found.reason


def test_a_gap_beyond_the_limit_that_may_be_chance_is_said_and_does_not_refuse(good):
    strict = QUICK.model_copy(update={"equal_opportunity": 0.0, "disparate_impact": 1.0})
    found = gate("treats_groups_alike", with_groups(good), groups=("gender",), policy=strict)
    assert found.status == "PASS"
    assert found.observed.count("(may be chance)") == 2


def test_of_many_groups_any_two_may_refuse(good):
    grouped = good.assign(shop=good["department"].where(good.index >= 300, "FAR"))
    far = grouped["shop"] == "FAR"
    grouped.loc[far, "score_candidate"] = grouped.loc[far, "score_candidate"].clip(upper=0.01)
    found = gate("treats_groups_alike", grouped, groups=("shop",))
    assert found.status == "FAIL"
    assert found.reason.count("shop = FAR is selected 0.00 times as often as") == 3
