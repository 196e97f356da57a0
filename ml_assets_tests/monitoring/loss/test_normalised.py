import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, r2_score

from ml_assets.monitoring.loss.normalised import Growth, loss_of
from ml_assets.training.target import BINARY, REGRESSION
from ml_assets_tests.monitoring.scored import CLASSES, TARGETS, draw
from ml_assets_tests.profiles import examples


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_of_classes_it_is_the_log_loss_over_the_entropy_of_the_rates(kind: str) -> None:
    labels, said = draw(TARGETS[kind], 400, seed=1)
    rates = np.unique(labels, return_counts=True)[1] / 400
    entropy = -(rates * np.log(rates)).sum()
    assert loss_of(TARGETS[kind], labels, said).value == pytest.approx(log_loss(labels, said) / entropy)


def test_of_amounts_it_is_the_unexplained_share_of_the_variance() -> None:
    labels, said = draw(REGRESSION, 400, seed=1)
    assert loss_of(REGRESSION, labels, said).value == pytest.approx(1 - r2_score(labels, said))


@pytest.mark.parametrize("kind", TARGETS)
def test_who_knows_the_rates_alone_loses_1_exactly(kind: str) -> None:
    labels, said = draw(TARGETS[kind], 400, seed=1)
    shares = [(labels == k).mean() for k in range(3)]
    same = np.tile(shares, (400, 1)) if kind == "multiclass" else np.full(400, labels.mean())
    found = loss_of(TARGETS[kind], labels, same)
    assert found.value == pytest.approx(1)
    assert found.deviation == pytest.approx(0, abs=1e-9)
    assert loss_of(TARGETS[kind], labels, said).value < 0.95


@pytest.mark.parametrize("kind", TARGETS)
def test_the_standard_error_is_how_much_the_loss_varies(kind: str) -> None:
    found = [loss_of(TARGETS[kind], *draw(TARGETS[kind], 500, seed)) for seed in range(300)]
    spread = np.std([loss.value for loss in found])
    assert np.mean([loss.deviation for loss in found]) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize(
    ("target", "labels", "said", "words"),
    [
        (BINARY, [], [], "there are no rows"),
        (BINARY, [0, 0, 0], [0.1, 0.2, 0.3], "all 3 labels are 0"),
        (REGRESSION, [2.5, 2.5], [1, 2], "all 2 labels are 2.5"),
        (CLASSES, [1, 1], [[0.2, 0.5, 0.3]] * 2, "all 2 labels are later"),
        (BINARY, [0, 1], [0.1, 1.2], "a probability is between 0 and 1, and scores go from 0.1 to 1.2"),
        (REGRESSION, [1, 2], [1, np.nan], "1 of 2 scores are not finite numbers"),
    ],
)
def test_what_defines_no_loss_says_so(target, labels, said, words) -> None:  # type: ignore[no-untyped-def]
    found = loss_of(target, np.asarray(labels, float), np.asarray(said, float))
    assert (found.value, found.deviation, found.undefined) == (None, None, words)


def test_a_label_of_another_target_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 labels are neither 0 nor 1"):
        loss_of(BINARY, np.array([0.0, 2.0]), np.array([0.1, 0.2]))


@examples(30)
@given(st.integers(0, 1_000), st.integers(2, 5))
def test_every_row_twice_changes_the_error_alone(seed: int, times: int) -> None:
    labels, said = draw(BINARY, 60, seed)
    once, often = loss_of(BINARY, labels, said), loss_of(BINARY, np.tile(labels, times), np.tile(said, times))
    if once.value is not None and once.deviation is not None:
        assert often.value == pytest.approx(once.value)
        assert often.deviation == pytest.approx(once.deviation / np.sqrt(times))


def test_a_growth_is_real_beyond_the_limit_and_beyond_chance() -> None:
    assert Growth(0.06, 0.05, 0.019).is_real
    assert str(Growth(0.06, 0.05, 0.01)) == "+0.060, beyond the limit of 0.05 and beyond chance (0.031)"
    assert not Growth(0.06, 0.05, 0.02).is_real
    assert "beyond the limit of 0.05 but within chance (0.062)" in str(Growth(0.06, 0.05, 0.02))
    assert not Growth(0.04, 0.05, 0.001).is_real
    assert "within the limit" in str(Growth(0.04, 0.05, 0.001))
    assert not Growth(float("nan"), 0.05, 0.001).is_real
