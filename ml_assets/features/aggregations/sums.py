"""Exact sums, and what is computed of them: order and grouping make no difference, down to the last bit."""

import re
from collections.abc import Mapping

from ml_assets.features.aggregations.aggregation import Folded, Part

DECIMALS = 6
"""Sums keep so many decimals."""
TOO_LARGE = 100_000_000
"""From here on a value isn't squared: sums of smaller squares stay exact in 38 digits, ten billion of them."""
UNKNOWN = -1_000_000_000_000
"""Stands for the number of values of a tile with one that is too large: no window with such a tile has a number above 0."""
EXACT = "1e25"
"""Below it products of sums fit into 38 digits, 12 of them decimals."""


class _OfExactNumbers(Folded):
    """Sums are those of integers: of a DOUBLE they would differ from run to run."""

    takes = "an exact number: an integer, or a DECIMAL of at most 6 decimals"

    def why_not(self, type: str) -> str | None:
        if type in ("DOUBLE", "FLOAT"):
            return (
                f"{self.expression} is a {type}, whose sums differ from run to run. Declare the column as DECIMAL in the "
                f"contract, or cast the expression: CAST({self.expression} AS DECIMAL(18, 4))"
            )
        decimals = re.fullmatch(r"DECIMAL\(\d+,(\d+)\)", type)
        if decimals and int(decimals[1]) > DECIMALS:
            return (
                f"{self.expression} is a {type}, and sums keep {DECIMALS} decimals: smaller values would count as 0. Sum "
                f"in a smaller unit, such as CAST({self.expression} * 1000000 AS DECIMAL(24, 6)) for millionths, or round "
                f"it yourself: CAST({self.expression} AS DECIMAL(18, 6))"
            )
        return None

    @property
    def _n(self) -> Part:
        return Part("BIGINT", f"COUNT({self.expression}){self.counted()}", "SUM")

    @property
    def _sum(self) -> Part:
        total = f"CAST(SUM({self.expression}){self.counted()} AS DECIMAL(38, 6))"
        return Part("DECIMAL(38, 6)", total, "SUM")


class Sum(_OfExactNumbers):
    """What the values add up to."""

    key = "sum"
    means = "Sum of an exact number: an integer or a DECIMAL."
    gives = "DECIMAL(38,6)"
    empty = "0"

    @property
    def parts(self) -> Mapping[str, Part]:
        return {"sum": self._sum}

    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        return parts["sum"]


class Mean(_OfExactNumbers):
    """The exact sum by the number of values."""

    key = "mean"
    means = "Mean of an exact number, per event."
    gives = "DOUBLE"

    @property
    def parts(self) -> Mapping[str, Part]:
        return {"sum": self._sum, "n": self._n}

    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        return f"CAST({parts['sum']} AS DOUBLE) / NULLIF({parts['n']}, 0)"


class Stddev(_OfExactNumbers):
    """The sample standard deviation, from sums of values and of squares whose difference is exact too."""

    key = "stddev"
    means = "Sample standard deviation of an exact number; of one event none, nor where a value is 100 million or more."
    gives = "DOUBLE"

    @property
    def parts(self) -> Mapping[str, Part]:
        value = f"TRY_CAST({self.expression} AS DECIMAL(19, 6))"
        counts, is_small = " AND ".join(self.conditions()), f"ABS({value}) < {TOO_LARGE}"
        small = f"FILTER (WHERE {counts} AND {is_small})"
        large = f"COUNT(*) FILTER (WHERE {counts} AND NOT COALESCE({is_small}, FALSE))"
        n = f"CASE WHEN {large} > 0 THEN {UNKNOWN} ELSE COUNT(*) FILTER (WHERE {counts}) END"
        squares = f"CAST(SUM({value} * {value}) {small} AS DECIMAL(38, 12))"
        return {
            "n": Part("BIGINT", n, "SUM"),
            "sum": Part("DECIMAL(38, 6)", f"SUM({value}) {small}", "SUM"),
            "squares": Part("DECIMAL(38, 12)", squares, "SUM"),
        }

    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        n, total, squares = parts["n"], parts["sum"], parts["squares"]
        rough = f"CAST({n} AS DOUBLE) * {squares} - CAST({total} AS DOUBLE) * {total}"
        exact = f"CAST({n} * {squares} - {total} * {total} AS DOUBLE)"
        spread = (
            f"CASE WHEN CAST({n} AS DOUBLE) * {squares} < {EXACT} THEN {exact} ELSE GREATEST({rough}, 0) END"
        )
        return f"CASE WHEN {n} > 1 THEN SQRT(({spread}) / (CAST({n} AS DOUBLE) * ({n} - 1))) END"
