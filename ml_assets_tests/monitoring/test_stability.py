import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.monitoring.stability import psi, psi_by_chance, share_by_chance

counts = st.lists(st.integers(0, 10_000), min_size=1, max_size=12)
pairs = st.integers(1, 12).flatmap(
    lambda bins: st.tuples(*[st.lists(st.integers(0, 10_000), min_size=bins, max_size=bins)] * 2)
)


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_is_never_negative_always_finite_and_symmetric(pair: tuple[list[int], list[int]]) -> None:
    value = psi(*pair)
    assert value >= 0
    assert math.isfinite(value)
    assert value == pytest.approx(psi(*reversed(pair)), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(counts, st.integers(1, 50))
def test_is_zero_for_identical_shares_of_any_size(histogram: list[int], times: int) -> None:
    assert psi(histogram, [count * times for count in histogram]) == pytest.approx(0, abs=1e-12)


def test_agrees_with_the_formula_where_the_half_rows_vanish() -> None:
    expected = (0.6 - 0.5) * math.log(0.6 / 0.5) + (0.4 - 0.5) * math.log(0.4 / 0.5)
    assert psi([5_000_000, 5_000_000], [6_000_000, 4_000_000]) == pytest.approx(expected, rel=1e-5)


def test_empty_bins_on_both_sides_add_nothing_but_their_half_row() -> None:
    assert psi([100, 100, 0, 0], [1_000, 1_000, 0, 0]) == 0
    assert 0 < psi([100, 100, 0], [100, 0, 100]) < 10


def test_no_rows_are_no_shift() -> None:
    assert psi([0, 0], [3, 4]) == 0
    assert psi([], []) == 0


def test_chance_exceeds_its_limit_about_once_in_a_thousand() -> None:
    rng = np.random.default_rng(7)
    shares = np.full(10, 0.1)
    drawn = [psi((shares * 5_000).tolist(), rng.multinomial(300, shares).tolist()) for _ in range(3_000)]
    limit = psi_by_chance(10, 5_000, 300)
    assert np.mean(np.array(drawn) > limit) < 0.004
    assert max(drawn) > 0.6 * limit


def test_chance_of_one_bin_or_no_rows_is_none() -> None:
    assert psi_by_chance(1, 100, 100) == 0
    assert psi_by_chance(10, 100, 0) == 0
    assert share_by_chance(0.3, 0) == 0
    assert share_by_chance(0.5, 100) == pytest.approx(3.09 * 0.05)
