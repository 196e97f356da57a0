"""How far two samples of one feature are apart, from their histograms, and how far chance alone takes them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

CHANCE = 0.001
"""How often chance alone may go beyond a bound."""
Z = 3.09
"""What the standard normal distribution exceeds that often."""


@dataclass(frozen=True)
class Histogram:
    """A sample of numbers: counts between strictly increasing ``edges``, and its least and greatest value.

    A bin includes its upper edge; the outer bins are open, so there is one count more than edges. Within a bin
    the values count as spread evenly, in the outer ones up to ``lowest`` and ``highest``.
    """

    edges: Sequence[float]
    counts: Sequence[float]
    lowest: float
    highest: float

    @cached_property
    def rows(self) -> float:
        """How many values there are."""
        return math.fsum(self.counts)

    @cached_property
    def curve(self) -> "tuple[np.ndarray, np.ndarray]":
        """Places, increasing, and the share of values up to each: the distribution function, linear between them."""
        import numpy as np

        inner = np.clip(self.edges, self.lowest, self.highest)
        places = np.concatenate([[np.nextafter(self.lowest, -np.inf)], inner, [self.highest]])
        return places, np.concatenate([[0.0], np.cumsum(self.counts) / self.rows])

    @cached_property
    def high_bridge_area(self) -> float:
        """What the area under a Brownian bridge's absolute value |B(F(x))| exceeds about once in 1,000 times."""
        import numpy as np

        places, shares = self.curve
        middle, widths = (shares[:-1] + shares[1:]) / 2, np.diff(places)
        inside = (middle > 0) & (middle < 1)
        share, width = middle[inside], widths[inside]
        deviations = np.sqrt(share * (1 - share)) * width
        odds = share / (1 - share)
        correlation = np.sqrt(np.minimum.outer(odds, odds) / np.maximum.outer(odds, odds)).clip(0, 1)
        covariance = np.sqrt(1 - correlation**2) + correlation * np.arcsin(correlation) - 1
        mean = math.sqrt(2 / math.pi) * float(deviations.sum())
        variance = 2 / math.pi * float(deviations @ covariance @ deviations)
        if not variance:
            return 0.0
        freedom = 2 * mean**2 / variance
        return mean / freedom * _high_chi_square(freedom)


def psi(reference: Sequence[float], current: Sequence[float]) -> float:
    """The population stability index (PSI) of two histograms: sum of (p - q) * ln(p / q), never negative.

    ``reference`` and ``current`` are counts by bin. Both are brought to the size of the smaller of the two,
    and then half a row is added to every bin: an empty bin stays finite, and identical shares give 0
    whatever the sizes. 0 if either has no rows.

    Sources: S. Kullback, R. A. Leibler, "On Information and Sufficiency" (1951), the symmetric divergence J;
    N. Siddiqi, "Credit Risk Scorecards" (2006), its use as PSI; R. Krichevsky, V. Trofimov, "The Performance
    of Universal Encoding" (1981), half a count for every bin.
    """
    rows = min(sum(reference), sum(current))
    if rows <= 0:
        return 0.0
    q, p = _smoothed(reference, rows), _smoothed(current, rows)
    return max(0.0, math.fsum((b - a) * math.log(b / a) for a, b in zip(q, p, strict=True)))


def _smoothed(counts: Sequence[float], rows: float) -> list[float]:
    scale = rows / math.fsum(counts)
    return [(count * scale + 0.5) / (rows + 0.5 * len(counts)) for count in counts]


def psi_by_chance(bins: int, reference_rows: float, current_rows: float) -> float:
    """The PSI that two samples of one distribution exceed once in 1,000 times.

    Without a shift, PSI / (1/n + 1/m) follows a chi-square distribution with ``bins`` - 1 degrees of
    freedom (B. Yurdakul, J. Naranjo, "Statistical properties of the population stability index", Journal of
    Risk Model Validation 14, 2020).
    """
    freedom = bins - 1
    if freedom < 1 or reference_rows <= 0 or current_rows <= 0:
        return 0.0
    return _high_chi_square(freedom) * (1 / reference_rows + 1 / current_rows)


def wasserstein(reference: Histogram, current: Histogram) -> float:
    """The 1-Wasserstein distance, in the feature's own unit: the area between the two distribution functions.

    As far as every value must be moved on average to turn one sample into the other. The functions are straight
    lines within bins, so the area is exact for them (S. Vallender, "Calculation of the Wasserstein distance
    between probability distributions on the line", 1974). Both sides need rows.
    """
    import numpy as np

    before, after = reference.curve, current.curve
    places = np.union1d(before[0], after[0])
    gap = np.interp(places, *before) - np.interp(places, *after)
    left, right = np.abs(gap[:-1]), np.abs(gap[1:])
    crossing = gap[:-1] * gap[1:] < 0
    sizes = left + right
    heights = np.where(crossing, (left**2 + right**2) / np.where(crossing, sizes, 1.0), sizes) / 2
    return float(heights @ np.diff(places))


def wasserstein_by_chance(reference: Histogram, current_rows: float) -> float:
    """The 1-Wasserstein distance that a sample of the reference's own distribution exceeds about once in 1,000 times.

    The gap between the distribution functions of two samples goes to sqrt(1/n + 1/m) times a Brownian bridge B(F(x)),
    so the distance goes to the area under its absolute value (E. del Barrio, E. Giné, C. Matrán, "Central limit
    theorems for the Wasserstein distance between the empirical and the true distributions", Annals of Probability
    27, 1999). Its mean and variance follow from those of |B|; the quantile is that of a gamma distribution with
    this mean and variance. Rows count as independent.
    """
    if reference.rows <= 0 or current_rows <= 0:
        return 0.0
    return reference.high_bridge_area * math.sqrt(1 / reference.rows + 1 / current_rows)


def kolmogorov_smirnov(reference: Sequence[float], current: Sequence[float]) -> tuple[float, float]:
    """The largest gap between two distribution functions at the edges of common bins, and its p-value.

    The p-value is the two-sample asymptotic one (N. Smirnov, "Table for estimating the goodness of fit of empirical
    distributions", 1948); rows count as independent. Gaps within a bin stay unseen, so the statistic is at most
    that of all values. Both sides need rows.
    """
    import numpy as np
    from scipy.special import kolmogorov

    n, m = math.fsum(reference), math.fsum(current)
    gap = float(np.abs(np.cumsum(reference) / n - np.cumsum(current) / m).max())
    return gap, float(kolmogorov(gap * math.sqrt(n * m / (n + m))))


def jensen_shannon(reference: Sequence[float], current: Sequence[float]) -> float:
    """The Jensen-Shannon distance of two histograms: 0 for equal shares, sqrt(ln 2) at most.

    The square root of the divergence in natural logarithms, as SciPy and Evidently have it (D. Endres, J. Schindelin,
    "A new metric for probability distributions", 2003). Both sides need rows.
    """
    n, m = math.fsum(reference), math.fsum(current)
    total = 0.0
    for before, after in zip(reference, current, strict=True):
        q, p = before / n, after / m
        middle = (p + q) / 2
        total += (q * math.log(q / middle) if q else 0.0) + (p * math.log(p / middle) if p else 0.0)
    return math.sqrt(max(0.0, total / 2))


def chi_square(reference: Sequence[float], current: Sequence[float]) -> tuple[float, int, float]:
    """Pearson's chi-square test of homogeneity: statistic, degrees of freedom and p-value.

    Both are samples: a table of two rows, the expected counts from both together (K. Pearson, "On the probability
    that two independent distributions of frequency are really samples from the same population", Biometrika 8,
    1911). Bins empty on both sides are left out; rows count as independent. Both sides need rows.
    """
    from scipy.special import chdtrc

    n, m = math.fsum(reference), math.fsum(current)
    used = [(a, b) for a, b in zip(reference, current, strict=True) if a + b > 0]
    statistic = math.fsum((a * m - b * n) ** 2 / (a + b) for a, b in used) / (n * m)
    freedom = len(used) - 1
    return statistic, freedom, float(chdtrc(freedom, statistic)) if freedom else 1.0


def share_by_chance(share: float, rows: float) -> float:
    """How far a share observed in ``rows`` rows may lie above its true value, but once in 1,000 times."""
    return Z * math.sqrt(share * (1 - share) / rows) if rows > 0 else 0.0


def _high_chi_square(freedom: float) -> float:
    """What chi-square exceeds once in 1,000 times."""
    from scipy.special import chdtri

    return float(chdtri(freedom, CHANCE))
