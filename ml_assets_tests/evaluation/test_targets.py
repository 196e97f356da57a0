import pandas as pd
import pytest

from ml_assets.training.target import REGRESSION
from ml_assets_tests.evaluation.holdouts import (
    KINDS,
    QUICK,
    SIZES,
    decide,
    gate,
    make_holdout,
    make_multiclass,
    make_regression,
    statuses,
)


@pytest.fixture
def good() -> pd.DataFrame:
    return make_holdout()


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
