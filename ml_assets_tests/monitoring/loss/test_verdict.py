import numpy as np
import pytest

from ml_assets.monitoring.loss.reference import build_reference
from ml_assets.monitoring.loss.verdict import DayWatched, judge_cohort
from ml_assets.monitoring.spec import MonitoringPolicy
from ml_assets.training.target import BINARY, REGRESSION
from ml_assets_tests.monitoring.scored import CUTOFF, TARGETS, draw, reference

POLICY = MonitoringPolicy()  # type: ignore[call-arg]
STILL, MOVED = DayWatched(0.02, moved=False), DayWatched(0.6, moved=True)


@pytest.mark.parametrize("kind", TARGETS)
def test_a_world_that_changed_is_concept_drift(kind: str) -> None:
    target = TARGETS[kind]
    labels, said = draw(target, 5_000, seed=2, concept=0.6)
    found = judge_cohort(target, labels, said, reference(target, rows=5_000), STILL, POLICY)
    assert (found.worse, found.unexpected, found.diagnosis) == (True, True, "concept drift")
    assert found.loss > found.reference_loss + 0.05  # type: ignore[operator]
    assert found.expected_loss == pytest.approx(found.reference_loss, abs=0.03)
    assert "no longer mean what they did" in found.reason


@pytest.mark.parametrize("kind", TARGETS)
def test_a_population_that_changed_is_no_concept_drift(kind: str) -> None:
    target = TARGETS[kind]
    labels, said = draw(target, 5_000, seed=2, spread=0.4)
    found = judge_cohort(target, labels, said, reference(target, rows=5_000), MOVED, POLICY)
    assert (found.worse, found.unexpected, found.diagnosis) == (True, False, "data drift with loss")
    assert "which explains the loss" in found.reason


def test_a_population_that_moved_without_loss_is_data_drift() -> None:
    labels, said = draw(BINARY, 5_000, seed=2, shift=0.5)
    found = judge_cohort(BINARY, labels, said, reference(BINARY, rows=5_000), MOVED, POLICY)
    assert (found.worse, found.unexpected, found.diagnosis) == (False, False, "data drift")


def test_a_day_that_was_not_watched_has_no_diagnosis() -> None:
    labels, said = draw(BINARY, 1_000, seed=2)
    found = judge_cohort(BINARY, labels, said, reference(BINARY), None, POLICY)
    assert (found.worse, found.diagnosis) == (False, None)
    assert "Version 7 has a normalised loss of" in found.reason


@pytest.mark.parametrize(("rows", "sure"), [(300, 1.0), (2_000, 1.4)])
@pytest.mark.parametrize("kind", TARGETS)
def test_where_nothing_changes_there_is_hardly_ever_an_alarm(kind: str, rows: int, sure: float) -> None:
    target, worse, unexpected = TARGETS[kind], 0, 0
    for seed in range(300):
        made = reference(target, rows=rows, seed=2 * seed, sure=sure)
        labels, said = draw(target, rows, seed=2 * seed + 1, sure=sure)
        found = judge_cohort(target, labels, said, made, None, POLICY)
        worse, unexpected = worse + bool(found.worse), unexpected + bool(found.unexpected)
    assert worse <= 3
    assert unexpected <= 3


ONE_CLASS = build_reference(BINARY, np.zeros(300), np.full(300, 0.1), cutoff=CUTOFF, model_version=7)


@pytest.mark.parametrize(
    ("rows", "label", "held_against", "words"),
    [
        (100, None, None, "100 rows, and at least 200 are needed"),
        (300, 1.0, None, "its loss is not defined, all 300 labels are 1"),
        (300, None, "version 3 was judged before", "version 3 was judged before"),
        (300, None, ONE_CLASS, "the holdout of version 7 at 2017-09-03 defines no loss to compare with"),
    ],
)
def test_what_can_not_be_judged_is_neither_good_nor_worse(rows, label, held_against, words) -> None:  # type: ignore[no-untyped-def]
    labels, said = draw(BINARY, rows, seed=2)
    given = held_against or reference(BINARY)
    found = judge_cohort(
        BINARY, labels if label is None else np.full(rows, label), said, given, STILL, POLICY
    )
    assert (found.worse, found.unexpected, found.expected_loss, found.diagnosis) == (None, None, None, None)
    assert found.reason.startswith(f"Not judged: {words}")


def test_without_an_expected_loss_it_is_held_against_the_holdout_alone() -> None:
    amounts = np.repeat([10.0, 20.0], 200)
    made = build_reference(REGRESSION, amounts, amounts, cutoff=CUTOFF, model_version=7)
    found = judge_cohort(REGRESSION, amounts, np.full(400, 10.0), made, None, POLICY)
    assert (found.worse, found.unexpected, found.expected_loss) == (True, None, None)
    assert "let expect" not in found.reason
