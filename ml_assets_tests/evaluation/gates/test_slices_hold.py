import pandas as pd
import pytest

from ml_assets_tests.evaluation.holdouts import (
    QUICK,
    gate,
    make_holdout,
)


@pytest.fixture
def good() -> pd.DataFrame:
    return make_holdout()


def test_a_slice_that_loses_is_named(good):
    meat = good["department"] == "MEAT"
    good.loc[meat, "score_candidate"] = (
        good.loc[meat, "score_candidate"].sample(frac=1, random_state=1).to_numpy()
    )
    found = gate("slices_hold", good)
    assert found.status == "FAIL"
    assert "department = MEAT" in found.reason
    assert "GROCERY" not in found.reason


def test_a_small_slice_is_not_judged(good):
    good.loc[:60, "department"] = "FLORAL"
    good.loc[:60, "score_candidate"] = 1 - good.loc[:60, "score_candidate"]
    found = gate("slices_hold", good)
    assert found.status == "PASS"
    assert found.observed.startswith("3 of 4 slices judged")
    judged = QUICK.model_copy(update={"slice_minimum_n": 50})
    assert gate("slices_hold", good, policy=judged).status == "FAIL"


def test_rows_without_a_value_are_a_slice(good):
    meat = good["department"] == "MEAT"
    good.loc[meat, "department"] = None
    good.loc[meat, "score_candidate"] = 1 - good.loc[meat, "score_candidate"]
    found = gate("slices_hold", good)
    assert found.status == "FAIL"
    assert "department = (none)" in found.reason


def test_a_missing_slice_column_fails(good):
    found = gate("slices_hold", good, slices=("department", "aisle"))
    assert (found.status, found.reason) == ("FAIL", "The holdout has no slice column aisle.")


def test_only_small_slices_are_no_evidence(good):
    found = gate("slices_hold", good.assign(department=(good["household_id"] // 50).astype(str)))
    assert found.status == "NOT EVALUATED"
    assert "No value of department has 100 rows" in found.reason


def test_a_large_slice_of_one_class_is_not_evaluated(good):
    good.loc[good["label"].eq(0) & good["household_id"].lt(400), "department"] = "FLORAL"
    found = gate("slices_hold", good)
    assert found.status == "NOT EVALUATED"
    assert "department = FLORAL" in found.reason


def test_a_model_without_slices_holds_them(good):
    assert gate("slices_hold", good, slices=()).status == "PASS"
