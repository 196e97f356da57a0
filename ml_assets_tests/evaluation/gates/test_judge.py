from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd
import pytest

from ml_assets.evaluation.gates.every import GATES
from ml_assets_tests.evaluation.holdouts import (
    FACTS,
    FIRST,
    decide,
    gate,
    make_holdout,
    statuses,
)

MEASURED = (
    "is_believable",
    "beats_baseline",
    "not_worse_than_champion",
    "slices_hold",
    "is_calibrated",
    "treats_groups_alike",
)
GROUPED: dict[str, Any] = {"groups": ("department",)}


@pytest.fixture
def good() -> pd.DataFrame:
    return make_holdout()


def test_a_good_candidate_passes_every_gate_in_order(good):
    decision = decide(good, **GROUPED)
    assert [g.name for g in decision.gates] == [g.name for g in GATES]
    assert set(statuses(decision).values()) == {"PASS"}
    assert decision.passed
    assert all(g.observed and g.required and g.reason.endswith(".") for g in decision.gates)


def test_the_decision_is_deterministic(good):
    assert decide(good) == decide(good)


@pytest.mark.parametrize("columns", [True, False])
def test_an_empty_holdout_passes_nothing_and_raises_nothing(good, columns):
    decision = decide(good.head(0) if columns else pd.DataFrame(), **GROUPED)
    assert statuses(decision) == {
        "holdout_is_honest": "FAIL",
        **dict.fromkeys(MEASURED, "NOT EVALUATED"),
        "is_fast_and_small": "PASS",
        "reloads_and_predicts": "PASS",
    }
    assert not decision.passed
    assert all("empty" in g.reason for g in decision.gates[:7])


def test_an_empty_holdout_without_a_champion_passes_nothing_either(good):
    first = decide(good.head(0).drop(columns="score_champion"), facts=FIRST)
    assert statuses(first)["not_worse_than_champion"] == "NOT EVALUATED"


def test_immature_labels_are_not_measured(good):
    decision = decide(
        good, facts=replace(FACTS, labels_mature=False, landed_through=date(2017, 10, 15)), **GROUPED
    )
    assert {statuses(decision)[name] for name in MEASURED} == {"NOT EVALUATED"}
    assert all("not mature" in g.reason for g in decision.gates[:7])
    assert not decision.passed


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_not_measured(good, label):
    decision = decide(good.assign(label=label), **GROUPED)
    assert statuses(decision)["holdout_is_honest"] == "FAIL"
    assert {statuses(decision)[name] for name in MEASURED} == {"NOT EVALUATED"}


@pytest.mark.parametrize(
    ("label", "said"),
    [([None], "1 of 1500 labels"), ([2], "1 of 1500 labels"), (["yes"], "labels are not numbers")],
)
def test_labels_that_are_no_labels_are_refused(good, label, said):
    spoiled = good.assign(label=pd.Series([*label, *good["label"].iloc[1:]], dtype=object))
    decision = decide(spoiled)
    assert said in decision.gates[0].reason
    assert not decision.passed


@pytest.mark.parametrize(
    ("role", "failing"),
    [
        ("candidate", set(MEASURED)),
        ("champion", {"not_worse_than_champion", "slices_hold"}),
        ("baseline", {"beats_baseline", "slices_hold"}),
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_one_score_that_is_no_number_fails_every_gate_that_reads_it(good, role, failing, value):
    good.loc[7, f"score_{role}"] = value
    decision = decide(good, **GROUPED)
    assert {name for name, status in statuses(decision).items() if status == "FAIL"} == failing
    assert all(f"1 of 1500 scores of the {role}" in g.reason for g in decision.gates if g.status == "FAIL")
    assert not decision.passed


@pytest.mark.parametrize(
    ("role", "unmeasured"),
    [
        ("candidate", set(MEASURED)),
        ("champion", {"not_worse_than_champion", "slices_hold"}),
        ("baseline", {"beats_baseline", "slices_hold"}),
    ],
)
def test_a_missing_score_column_is_not_evaluated(good, role, unmeasured):
    decision = decide(good.drop(columns=f"score_{role}"), **GROUPED)
    assert {n for n, status in statuses(decision).items() if status == "NOT EVALUATED"} == unmeasured
    assert not decision.passed


def test_a_score_of_text_fails_in_words(good):
    found = gate("beats_baseline", good.assign(score_candidate="high"))
    assert found.status == "FAIL"
    assert "does not hold numbers" in found.reason


@pytest.mark.parametrize("column", ["household_id", "as_of", "label"])
def test_a_missing_key_column_passes_nothing(good, column):
    decision = decide(good.drop(columns=column), **GROUPED)
    assert decision.gates[0].status == "FAIL"
    assert f"no column {column}" in decision.gates[0].reason
    assert {statuses(decision)[name] for name in MEASURED} == {"NOT EVALUATED"}


def test_rows_without_an_entity_pass_nothing(good):
    good["household_id"] = good["household_id"].astype("Int64")
    good.loc[3, "household_id"] = pd.NA
    assert "1 of 1500 rows have no household_id" in decide(good).gates[0].reason
