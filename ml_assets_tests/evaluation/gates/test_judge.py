from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.evaluation import GATES
from ml_assets_tests.evaluation.holdouts import (
    CUTOFF,
    FACTS,
    FIRST,
    QUICK,
    SERVED,
    decide,
    gate,
    make_holdout,
    measured,
    statuses,
)

MEASURED = (
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


# holdout_is_honest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"champion_knows_until": CUTOFF + timedelta(days=7)},
            "champion knows the days before 2017-10-08.*7 days",
        ),
        (
            {"candidate_knows_until": CUTOFF + timedelta(days=1)},
            "candidate knows the days before 2017-10-02.*1 days",
        ),
        ({"digest_champion": "0" * 64}, "not scored on the same rows"),
        ({"digest_champion": None}, "not scored on the same rows"),
        ({"digest_candidate": ""}, "digest is empty"),
        ({"champion_knows_until": None}, "nothing says until when"),
        ({"labels_mature": False}, "marked as not mature"),
        ({"landed_through": date(2017, 10, 27)}, "read the days through 2017-10-28, and events.*2017-10-27"),
        ({"landed_through": None}, "no day has landed"),
        ({"holdout_from": date(2017, 10, 2), "holdout_to": date(2017, 10, 3)}, "said to be 2017-10-02"),
    ],
)
def test_dishonest_facts_are_refused(good, change, said):
    found = gate("holdout_is_honest", good, facts=replace(FACTS, **change))
    assert found.status == "FAIL"
    assert pd.Series([found.reason]).str.contains(said).all(), found.reason


def test_a_champion_from_the_very_cutoff_has_not_seen_the_holdout(good):
    facts = replace(FACTS, champion_knows_until=CUTOFF)
    assert gate("holdout_is_honest", good, facts=facts).status == "PASS"


def test_every_problem_is_named_at_once(good):
    facts = replace(FACTS, digest_champion="0" * 64, champion_knows_until=date(2017, 11, 1))
    reason = gate("holdout_is_honest", good.head(30), facts=facts).reason
    for said in ("30 rows, and 200", "20 are needed", "same rows", "31 days"):
        assert said in reason


def test_too_few_positives_are_refused(good):
    few = pd.concat([good[good["label"] == 0], good[good["label"] == 1].head(19)])
    found = gate("holdout_is_honest", few)
    assert found.status == "FAIL"
    assert "19 rows with label 1" in found.reason


def test_repeated_rows_are_refused(good):
    found = gate("holdout_is_honest", pd.concat([good, good.head(3)]))
    assert found.status == "FAIL"
    assert "3 rows repeat a household_id" in found.reason


def test_an_entity_at_several_as_of_is_no_repetition(good):
    later = good.assign(as_of=pd.Timestamp("2017-10-08", tz="UTC"))
    facts = replace(FACTS, holdout_to=date(2017, 10, 8), landed_through=date(2017, 11, 4))
    assert decide(pd.concat([good, later]), facts=facts).passed


def test_as_of_may_be_dates(good):
    assert decide(good.assign(as_of=CUTOFF)).passed


# what can't be measured


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
    assert all("empty" in g.reason for g in decision.gates[:6])


def test_an_empty_holdout_without_a_champion_passes_nothing_either(good):
    first = decide(good.head(0).drop(columns="score_champion"), facts=FIRST)
    assert statuses(first)["not_worse_than_champion"] == "NOT EVALUATED"


def test_immature_labels_are_not_measured(good):
    decision = decide(
        good, facts=replace(FACTS, labels_mature=False, landed_through=date(2017, 10, 15)), **GROUPED
    )
    assert {statuses(decision)[name] for name in MEASURED} == {"NOT EVALUATED"}
    assert all("not mature" in g.reason for g in decision.gates[:6])
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


# beats_baseline


def test_a_candidate_as_good_as_the_baseline_is_refused(good):
    found = gate("beats_baseline", good.assign(score_candidate=good["score_baseline"]))
    assert found.status == "FAIL"
    assert "+0.0000 with lower bound +0.0000" in found.reason


def test_a_candidate_below_the_floor_is_refused(good):
    found = gate("beats_baseline", good, policy=QUICK.model_copy(update={"minimum": 0.95}))
    assert found.status == "FAIL"
    assert "below the floor 0.95" in found.reason


def test_the_lift_that_is_asked_for_is_of_the_lower_bound(good):
    bound = float(gate("beats_baseline", good).observed.split("lower bound ")[1])
    less, more = (QUICK.model_copy(update={"min_lift_over_baseline": bound + by}) for by in (-0.001, 0.001))
    assert gate("beats_baseline", good, policy=less).status == "PASS"
    assert gate("beats_baseline", good, policy=more).status == "FAIL"


def test_the_bound_is_one_sided_at_alpha(good):
    found = measured(good).compared
    assert found is not None
    one_sided, two_sided = (found.difference("candidate", "baseline", c).low for c in (0.90, 0.95))
    assert f"95% lower bound {one_sided:+.4f}" in gate("beats_baseline", good).observed
    assert f"{one_sided:+.4f}" != f"{two_sided:+.4f}"


# not_worse_than_champion


def test_the_first_model_needs_no_champion(good):
    decision = decide(good.drop(columns="score_champion"), facts=FIRST)
    assert decision.passed
    assert "no champion yet" in decision.gates[2].reason


def test_a_clearly_worse_candidate_is_refused(good):
    worse = good.assign(score_candidate=good["score_baseline"], score_champion=good["score_candidate"])
    found = gate("not_worse_than_champion", worse)
    assert found.status == "FAIL"
    assert "superior (bound > 0): no; non-inferior (bound > -0.02): no" in found.observed


def test_an_equal_candidate_is_not_worse_but_not_better(good):
    equal = good.assign(score_champion=good["score_candidate"])
    better = QUICK.model_copy(update={"replace_if": "better"})
    assert gate("not_worse_than_champion", equal).status == "PASS"
    found = gate("not_worse_than_champion", equal, policy=better)
    assert found.status == "FAIL"
    assert "superior (bound > 0): no; non-inferior (bound > -0.02): yes" in found.observed


def test_a_better_candidate_is_better():
    weak = make_holdout(champion_noise=1.5)
    better = QUICK.model_copy(update={"replace_if": "better"})
    found = gate("not_worse_than_champion", weak, policy=better)
    assert found.status == "PASS"
    assert "superior (bound > 0): yes" in found.observed


# slices_hold


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


# is_calibrated


@pytest.mark.parametrize(("factor", "status"), [(1.0, "PASS"), (0.5, "FAIL"), (2.0, "FAIL")])
def test_calibration(good, factor, status):
    found = gate("is_calibrated", good.assign(score_candidate=(good["score_candidate"] * factor).clip(0, 1)))
    assert found.status == status


def test_scores_that_are_no_probabilities_are_not_calibrated(good):
    found = gate("is_calibrated", good.assign(score_candidate=np.log(good["score_candidate"])))
    assert found.status == "FAIL"
    assert "between 0 and 1" in found.reason


# is_fast_and_small, reloads_and_predicts


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
