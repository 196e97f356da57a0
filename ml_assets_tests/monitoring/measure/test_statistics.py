import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.monitoring.measure.statistics import (
    Histogram,
    chi_square,
    jensen_shannon,
    kolmogorov_smirnov,
    psi,
    psi_by_chance,
    share_by_chance,
    wasserstein,
    wasserstein_by_chance,
)
from ml_assets_tests.profiles import examples

counts = st.lists(st.integers(0, 10_000), min_size=1, max_size=12)
pairs = st.integers(1, 12).flatmap(
    lambda bins: st.tuples(*[st.lists(st.integers(0, 10_000), min_size=bins, max_size=bins)] * 2)
)


@examples(100)
@given(pairs)
def test_is_never_negative_always_finite_and_symmetric(pair: tuple[list[int], list[int]]) -> None:
    value = psi(*pair)
    assert value >= 0
    assert math.isfinite(value)
    assert value == pytest.approx(psi(*reversed(pair)), abs=1e-9)


@examples(100)
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


SAMPLES = {
    "normal": lambda rng, n: rng.normal(3, 2, n),
    "lognormal": lambda rng, n: rng.lognormal(0, 1, n),
    "whole": lambda rng, n: rng.poisson(2, n).astype(float),
    "mostly_zero": lambda rng, n: np.where(rng.random(n) < 0.6, 0, rng.exponential(2, n)),
}


def edges_of(values: np.ndarray) -> np.ndarray:
    quantiles = np.quantile(values, [0.001, 0.005, 0.01, *np.arange(1, 50) / 50, 0.99, 0.995, 0.999])
    found, times = np.unique(quantiles, return_counts=True)
    return np.union1d(found, np.nextafter(found[times > 1], -np.inf))


def histogram(values: np.ndarray, edges: np.ndarray) -> Histogram:
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    return Histogram(edges.tolist(), counts.tolist(), float(values.min()), float(values.max()))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_wasserstein_and_ks_are_near_those_of_all_values(name: str, scale: float) -> None:
    from scipy.stats import ks_2samp, wasserstein_distance

    rng = np.random.default_rng(11)
    before, after = SAMPLES[name](rng, 20_000), SAMPLES[name](rng, 3_000) * scale
    after = np.round(after) if name == "whole" else after
    edges = edges_of(before)
    ours, theirs = histogram(before, edges), histogram(after, edges)
    distance = wasserstein(ours, theirs)
    assert distance == pytest.approx(wasserstein_distance(before, after), rel=0.1, abs=0.02 * before.std())
    gap, p = kolmogorov_smirnov(ours.counts, theirs.counts)
    exact = ks_2samp(before, after, method="asymp")
    assert exact.statistic - 0.02 <= gap <= exact.statistic + 1e-12
    assert p >= exact.pvalue - 1e-12
    assert (p < 0.001) == (exact.pvalue < 0.001)


def test_wasserstein_of_points_and_of_a_plain_shift_is_exact() -> None:
    point, other = Histogram([2.0], [5, 0], 1.0, 1.0), Histogram([2.0], [0, 7], 4.0, 4.0)
    assert wasserstein(point, other) == pytest.approx(3)
    assert wasserstein(point, point) == 0
    even, shifted = Histogram([1.0], [50, 50], 0.0, 2.0), Histogram([1.5], [50, 50], 0.5, 2.5)
    assert wasserstein(even, shifted) == pytest.approx(0.5)
    assert wasserstein(even, Histogram([1.0], [50, 50], 0.5, 1.5)) == pytest.approx(0.25)


@pytest.mark.parametrize("name", SAMPLES)
def test_chance_exceeds_the_limit_of_wasserstein_a_few_times_in_a_thousand(name: str) -> None:
    rng = np.random.default_rng(5)
    before = SAMPLES[name](rng, 20_000)
    edges = edges_of(before)
    ours = histogram(before, edges)
    limit = wasserstein_by_chance(ours, 400)
    drawn = [wasserstein(ours, histogram(SAMPLES[name](rng, 400), edges)) for _ in range(1_500)]
    assert np.mean(np.array(drawn) > limit) < 0.008
    assert max(drawn) > 0.6 * limit


def test_chance_of_a_constant_or_of_no_rows_is_no_distance() -> None:
    assert wasserstein_by_chance(Histogram([1.0], [5, 0], 1.0, 1.0), 50) == pytest.approx(0, abs=1e-12)
    assert wasserstein_by_chance(Histogram([1.0], [5, 5], 0.0, 2.0), 0) == 0


@examples(50)
@given(pairs.filter(lambda pair: all(sum(side) > 0 for side in pair)))
def test_jensen_shannon_and_chi_square_agree_with_scipy(pair: tuple[list[int], list[int]]) -> None:
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import chi2_contingency

    assert jensen_shannon(*pair) == pytest.approx(float(np.nan_to_num(jensenshannon(*pair))), abs=1e-6)
    table = np.array(pair)[:, np.sum(pair, axis=0) > 0]
    expected = chi2_contingency(table, correction=False)
    statistic, freedom, p = chi_square(*pair)
    assert statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert freedom == expected.dof
    assert p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
