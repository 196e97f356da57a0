import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from ml_assets.evaluation import GATE_DESCRIPTIONS, GATES, GatePolicy
from ml_assets.evaluation.bootstrap import resample
from ml_assets.evaluation.costs import Costs
from ml_assets.evaluation.policy import MUST_HOLD
from ml_assets.training.target import BINARY, REGRESSION, Kind, Target
from ml_assets_tests.evaluation.holdouts import (
    CUTOFF,
    FACTS,
    FIRST,
    KINDS,
    QUICK,
    SERVED,
    SIZES,
    decide,
    gate,
    make_holdout,
    make_multiclass,
    make_regression,
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


def statuses(decision) -> dict[str, str]:
    return {g.name: g.status for g in decision.gates}


def test_a_good_candidate_passes_every_gate_in_order(good):
    decision = decide(good, **GROUPED)
    assert [g.name for g in decision.gates] == list(GATES) == list(GATE_DESCRIPTIONS)
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
    given: dict[str, Any] = {"entity": ["household_id"], "draws": QUICK.draws, "seed": QUICK.seed}
    found = resample(BINARY, good, ["candidate", "champion", "baseline"], **given)
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
    found = gate("slices_hold", good.assign(department=good["household_id"].astype(str)))
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


# treats_groups_alike


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


# is_fast_and_small, reloads_and_predicts


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latency_p99_ms": 51.0}, "take 51.00 ms, and 50 are allowed"),
        ({"size_bytes": 120_000_000}, "has 120.00 MB, and 100 are allowed"),
        ({"latency_p99_ms": float("nan")}, "measured no latency"),
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


# every target


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_target_passes_and_is_refused(kind):
    target, make = KINDS[kind]
    frame = make()
    decision = decide(frame, target=target)
    assert decision.passed, decision
    luckless = {c: c.replace("candidate", "baseline") for c in frame if c.startswith("score_candidate")}
    worse = frame.assign(**{own: frame[other] for own, other in luckless.items()})
    refused = statuses(decide(worse, target=target))
    assert (refused["beats_baseline"], refused["not_worse_than_champion"]) == ("FAIL", "FAIL")
    assert not decide(frame.assign(score_baseline=float("nan")), target=target).passed


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_target_finds_the_slice_that_loses(kind):
    target, make = KINDS[kind]
    frame = make()
    meat = frame["department"] == "MEAT"
    columns = [c for c in frame if c.startswith("score_candidate")]
    frame.loc[meat, columns] = frame.loc[meat, columns].sample(frac=1, random_state=1).to_numpy()
    found = gate("slices_hold", frame, target=target)
    assert found.status == "FAIL"
    assert "department = MEAT" in found.reason
    assert "GROCERY" not in found.reason


@pytest.mark.parametrize("kind", ["regression", "multiclass"])
def test_too_much_promised_is_not_calibrated(kind):
    target, make = KINDS[kind]
    frame = make()
    if kind == "regression":
        frame["score_candidate"] *= 1.5
    else:
        shares = frame[[f"score_candidate_{k}" for k in range(3)]].to_numpy() * [1, 1, 3]
        shares /= shares.sum(axis=1, keepdims=True)
        frame[[f"score_candidate_{k}" for k in range(3)]] = shares
    found = gate("is_calibrated", frame, target=target)
    assert found.status == "FAIL"
    assert "outside 0.7 to 1.4" in found.reason
    assert ("Class large is furthest" in found.reason) is (kind == "multiclass")


def test_a_regression_needs_no_positives_but_labels_that_differ():
    frame = make_regression()
    assert gate("holdout_is_honest", frame, target=REGRESSION).status == "PASS"
    same = decide(frame.assign(label=3.5), target=REGRESSION)
    assert statuses(same)["holdout_is_honest"] == "FAIL"
    assert statuses(same)["beats_baseline"] == "NOT EVALUATED"
    infinite = decide(frame.assign(label=float("inf")), target=REGRESSION)
    assert "1500 of 1500 labels are not finite numbers" in infinite.gates[0].reason


def test_the_rarest_class_needs_rows():
    frame = make_multiclass()
    few = pd.concat([frame[frame["label"] != 1], frame[frame["label"] == 1].head(19)])
    found = gate("holdout_is_honest", few, target=SIZES)
    assert found.status == "FAIL"
    assert "19 rows of the rarest class" in found.reason
    assert "19 of class medium" in found.observed


def test_probabilities_that_do_not_sum_to_one_fail():
    frame = make_multiclass()
    frame.loc[3, "score_candidate_1"] += 0.2
    found = gate("beats_baseline", frame, target=SIZES)
    assert found.status == "FAIL"
    assert "one row's sum is 0.2 off" in found.reason
    missing = gate("beats_baseline", frame.drop(columns="score_baseline_2"), target=SIZES)
    assert (missing.status, "no column score_baseline_2" in missing.reason) == ("FAIL", False)
    missing = gate("beats_baseline", make_multiclass().drop(columns="score_baseline_2"), target=SIZES)
    assert missing.status == "NOT EVALUATED"
    assert "no column score_baseline_2" in missing.reason


def test_a_binary_target_may_be_compared_by_average_precision(good):
    policy = QUICK.model_copy(update={"metric": "average_precision"})
    found = gate("beats_baseline", good, policy=policy)
    assert found.status == "PASS"
    assert found.required.startswith("average precision >= 0;")


# warnings


def test_a_gate_that_may_only_warn_refuses_nobody(good):
    slow = replace(SERVED, latency_p99_ms=80.0)
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


@pytest.mark.parametrize("name", [*MUST_HOLD, "slices"])
def test_what_must_hold_may_not_only_warn(name):
    with pytest.raises(ValidationError, match=f"warn_only: {name} (must always hold|is no gate)"):
        GatePolicy.model_validate({"warn_only": [name]})


# the policy


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
