"""The population stability index (PSI), and how large it gets by chance alone."""

import math
from collections.abc import Sequence

Z = 3.09
"""The 99.9% quantile of the standard normal distribution: what chance exceeds once in 1,000 times."""


def psi(reference: Sequence[float], current: Sequence[float]) -> float:
    """The PSI between two histograms over the same bins: sum of (p - q) * ln(p / q), never negative.

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
    Risk Model Validation 14, 2020); its quantile by the approximation of E. Wilson and M. Hilferty (1931).
    """
    freedom = bins - 1
    if freedom < 1 or reference_rows <= 0 or current_rows <= 0:
        return 0.0
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + Z * math.sqrt(spread)) ** 3
    return float(quantile * (1 / reference_rows + 1 / current_rows))


def share_by_chance(share: float, rows: float) -> float:
    """How far a share observed in ``rows`` rows may lie above its true value, but once in 1,000 times."""
    return Z * math.sqrt(share * (1 - share) / rows) if rows > 0 else 0.0
