from dataclasses import replace

import pandas as pd
import pytest

from ml_assets_tests.evaluation.holdouts import (
    FACTS,
    FIRST,
    QUICK,
    decide,
    gate,
    make_holdout,
    measured,
)


@pytest.fixture
def good() -> pd.DataFrame:
    return make_holdout()


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


def test_the_first_model_needs_no_champion(good):
    decision = decide(good.drop(columns="score_champion"), facts=FIRST)
    assert decision.passed
    assert "no champion yet" in decision.gates[2].reason


def test_a_champion_that_could_not_score_is_not_evaluated_and_says_why(good):
    facts = replace(FACTS, digest_champion=None, champion_uncompared="It was trained otherwise.")
    decision = decide(good.drop(columns="score_champion"), facts=facts)
    found = {result.name: (result.status, result.reason) for result in decision.gates}
    assert found["not_worse_than_champion"] == ("NOT EVALUATED", "It was trained otherwise.")
    assert found["holdout_is_honest"][0] == found["beats_baseline"][0] == "PASS"
    assert not decision.passed


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
