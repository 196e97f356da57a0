from dataclasses import replace

import numpy as np
import pytest

from ml_assets.evaluation.metrics import binary_metrics, multiclass_metrics, regression_metrics
from ml_assets.monitoring.loss.estimate import estimate
from ml_assets.monitoring.loss.normalised import loss_of
from ml_assets.monitoring.loss.reference import build_reference
from ml_assets.monitoring.spec import MonitoringPolicy
from ml_assets.training.target import BINARY, REGRESSION
from ml_assets_tests.monitoring.scored import CUTOFF, TARGETS, draw, reference

POLICY = MonitoringPolicy()  # type: ignore[call-arg]
MEASURES = {"binary": binary_metrics, "regression": regression_metrics, "multiclass": multiclass_metrics}


@pytest.mark.parametrize("sure", [1.0, 1.5])
@pytest.mark.parametrize("shift", [0.0, 0.7])
@pytest.mark.parametrize("kind", TARGETS)
def test_the_estimate_is_close_to_what_comes_true(kind: str, shift: float, sure: float) -> None:
    target = TARGETS[kind]
    made = reference(target, rows=20_000, seed=1, sure=sure)
    labels, said = draw(target, 20_000, seed=2, shift=shift, sure=sure)
    found, loss = estimate(target, made, said, POLICY), loss_of(target, labels, said)
    assert found.loss == pytest.approx(loss.value, abs=0.025, rel=0.03)
    measured = MEASURES[kind](labels, said)
    assert found.metrics
    for name, value in found.metrics.items():
        assert value == pytest.approx(measured[name], rel=0.05, abs=0.035), name


@pytest.mark.parametrize("kind", TARGETS)
def test_the_estimate_of_the_holdout_is_its_loss(kind: str) -> None:
    made, (_, said) = reference(TARGETS[kind]), draw(TARGETS[kind], 2_000, seed=0)
    found = estimate(TARGETS[kind], made, said, POLICY)
    assert found.loss == pytest.approx(made.loss)
    assert (found.worse, found.trusted, found.rows) == (False, True, 2_000)
    assert found.deviation == pytest.approx(made.expected_deviation)


@pytest.mark.parametrize("kind", TARGETS)
def test_a_population_that_is_harder_to_tell_apart_is_estimated_worse(kind: str) -> None:
    target = TARGETS[kind]
    made = reference(target, rows=5_000, seed=1)
    _, said = draw(target, 5_000, seed=2, spread=0.4)
    found = estimate(target, made, said, POLICY)
    assert found.worse
    assert "estimated to have a normalised loss of" in found.reason
    assert "beyond the limit of 0.05 and beyond chance" in found.reason


@pytest.mark.parametrize("kind", TARGETS)
def test_without_a_shift_it_is_not_worse(kind: str) -> None:
    target = TARGETS[kind]
    worse = 0
    for seed in range(100):
        made = reference(target, rows=500, seed=2 * seed)
        worse += bool(estimate(target, made, draw(target, 500, 2 * seed + 1)[1], POLICY).worse)
    assert worse == 0


def test_nothing_speaks_against_a_day_like_the_holdout() -> None:
    last = {"as_of": CUTOFF, "unexpected": False, "loss": 0.7, "expected_loss": 0.7}
    found = estimate(BINARY, reference(BINARY), draw(BINARY, 1_000, seed=5)[1], POLICY, last)
    assert found.doubts == ()


def test_scores_outside_the_holdout_are_doubted() -> None:
    _, said = draw(BINARY, 1_000, seed=5)
    said[:60] = 0.9999
    (words,) = estimate(BINARY, reference(BINARY), said, POLICY).doubts
    assert words == "6% of the scores lie outside the range of the holdout, at most 5% may"


def test_few_rows_are_doubted() -> None:
    (words,) = estimate(BINARY, reference(BINARY), draw(BINARY, 150, seed=5)[1], POLICY).doubts
    assert words == "there are 150 rows, and at least 200 are needed"


def test_scores_that_few_rows_of_the_holdout_had_are_doubted() -> None:
    made = reference(BINARY)
    top = np.full(500, np.sort(draw(BINARY, 2_000, seed=0)[1])[-3])
    (words,) = estimate(BINARY, made, top, POLICY).doubts
    assert words.startswith("of the 2000 rows of the holdout, in effect 99 have such scores")
    small = estimate(BINARY, reference(BINARY, rows=150), draw(BINARY, 500, seed=5)[1], POLICY)
    assert any(words.startswith("of the 150 rows") for words in small.doubts)


def test_a_holdout_with_few_positives_is_doubted() -> None:
    few = replace(reference(BINARY), rarest=29)
    (words,) = estimate(BINARY, few, draw(BINARY, 500, seed=5)[1], POLICY).doubts
    assert words.startswith("the rarest class came 29 times")


def test_after_concept_drift_it_is_doubted() -> None:
    last = {"as_of": CUTOFF, "unexpected": True, "loss": 0.9, "expected_loss": 0.7}
    (words,) = estimate(BINARY, reference(BINARY), draw(BINARY, 500, seed=5)[1], POLICY, last).doubts
    assert "of 2017-09-03, lost 0.900 where 0.700 was estimated" in words


@pytest.mark.parametrize("said", [[], [0.1, np.nan], [0.1, 1.7]])
def test_without_scores_there_is_no_estimate(said: list[float]) -> None:
    found = estimate(BINARY, reference(BINARY), np.asarray(said, float), POLICY)
    assert (found.loss, found.worse, found.trusted) == (None, None, False)
    assert found.reason.startswith("No loss is estimated for version 7: ")


def test_without_a_loss_of_the_holdout_there_is_no_estimate() -> None:
    one_class = build_reference(BINARY, np.zeros(300), np.full(300, 0.1), cutoff=CUTOFF, model_version=7)
    found = estimate(BINARY, one_class, np.full(300, 0.1), POLICY)
    assert (found.loss, found.worse, found.trusted) == (None, None, False)
    assert "all 300 labels are 0" in found.reason


def test_amounts_that_are_all_expected_to_be_one_have_no_estimate() -> None:
    amounts = np.repeat([10.0, 20.0], 200)
    made = build_reference(REGRESSION, amounts, amounts, cutoff=CUTOFF, model_version=7)
    found = estimate(REGRESSION, made, np.full(300, 10.0), POLICY)
    assert (found.loss, found.worse, found.trusted) == (None, None, False)
    assert "expected to be the same amount" in found.reason
