"""Exact sums, and what is computed of them: order and grouping make no difference, down to the last bit."""

import re
from collections.abc import Mapping
from typing import ClassVar

from ml_assets.features.aggregations.aggregation import Folded, Part

COLUMN = re.compile(r"[A-Za-z_]\w*")
"""A value that is a column as it is can't overflow."""
DECIMALS = 6
"""Sums keep so many decimals, and those of a value with more as many as the value has."""
MOST_DECIMALS = 10
"""Of a value with more decimals, sums that are large enough don't fit into 38 digits."""
TOO_LARGE = 100_000_000
"""From here on a value isn't squared: sums of smaller squares stay exact in 38 digits, ten billion of them."""
UNKNOWN = -1_000_000_000_000
"""Stands for the number of values of a tile with one that is too large: no window with such a tile has a number above 0."""
EXACT = "1e25"
"""Below it products of sums fit into 38 digits, 12 of them decimals."""
TOO_LARGE_TO_ADD = "1e18"
"""From here on a value isn't added, nor is one that overflows as it is computed."""
NO_SUM = "1000000000000000000000000"
"""Stands for the sum of a tile with such a value, and is added up as sums are."""
LARGEST_SUM = "5e23"
"""From here on a sum is none: with a tile that has none in it, it is larger."""


class _OfExactNumbers(Folded):
    """Sums are those of integers: of a DOUBLE they would differ from run to run."""

    decimals: ClassVar[int] = MOST_DECIMALS
    """As many may a value have."""
    takes = f"an exact number: an integer, or a DECIMAL of at most {MOST_DECIMALS} decimals"

    def why_not(self, type: str) -> str | None:
        if type in ("DOUBLE", "FLOAT"):
            return (
                f"{self.expression} is a {type}, whose sums differ from run to run. Declare the column as DECIMAL in the "
                f"contract, or cast the expression: CAST({self.expression} AS DECIMAL(18, 4))"
            )
        found = re.fullmatch(r"DECIMAL\(\d+,(\d+)\)", type)
        if found and int(found[1]) > self.decimals:
            return (
                f"{self.expression} is a {type}, and {self.key} is exact up to {self.decimals} decimals: smaller values "
                f"would count as 0. Take a smaller unit, such as CAST({self.expression} * 1000000 AS DECIMAL(24, 6)) for "
                f"millionths, or round it yourself: CAST({self.expression} AS DECIMAL(18, 6))"
            )
        return None

    @property
    def _tried(self) -> str:
        """The value in a list, NULL where it overflows as it is computed: always in this form, as DuckDB computes what
        two expressions share before either is tried."""
        return f"TRY([{self.expression}])"

    @property
    def _value(self) -> str:
        return self.expression if COLUMN.fullmatch(self.expression) else f"{self._tried}[1]"

    @property
    def _is_there(self) -> str:
        """The SQL condition of an event that counts: it has a value, be it one that overflows."""
        has_value = f"{self._value} IS NOT NULL"
        if not COLUMN.fullmatch(self.expression):
            has_value = f"({has_value} OR {self._tried} IS NULL)"
        return " AND ".join([*self.conditions(needs_value=False), has_value])


class _Added(_OfExactNumbers):
    """An entity and window with a value that is too large have no sum; all others keep theirs."""

    @property
    def _n(self) -> Part:
        return Part("BIGINT", f"COUNT(*) FILTER (WHERE {self._is_there})", "SUM")

    @property
    def _sum(self) -> Part:
        is_small = f"COALESCE(ABS(CAST({self._value} AS DOUBLE)) < {TOO_LARGE_TO_ADD}, FALSE)"
        small = f"SUM(CASE WHEN {is_small} THEN {self._value} ELSE 0 END) FILTER (WHERE {self._is_there})"
        any_large = f"COUNT(*) FILTER (WHERE {self._is_there} AND NOT {is_small}) > 0"
        typed = f"CAST(CASE WHEN {any_large} THEN {NO_SUM} ELSE 0 END AS DECIMAL(31, {DECIMALS}))"
        return Part(f"DECIMAL(38, {DECIMALS})", f"{small} + {typed}", "SUM")


class Sum(_Added):
    """What the values add up to."""

    key = "sum"
    means = "Sum of an exact number: an integer or a DECIMAL; none where a value is 1e18 or more."
    gives = "DECIMAL(38,6)"
    empty = "0"

    @property
    def parts(self) -> Mapping[str, Part]:
        return {"sum": self._sum}

    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        total = parts["sum"]
        return f"CASE WHEN {total} IS NULL THEN 0 WHEN ABS({total}) < {LARGEST_SUM} THEN {total} END"

    def or_empty(self, value: str) -> str:
        """As it is: ``finish`` tells no events from values that are too large."""
        return value


class Mean(_Added):
    """The exact sum by the number of values."""

    key = "mean"
    means = "Mean of an exact number, per event; none where a value is 1e18 or more."
    gives = "DOUBLE"

    @property
    def parts(self) -> Mapping[str, Part]:
        return {"sum": self._sum, "n": self._n}

    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        total = parts["sum"]
        mean = f"CAST({total} AS DOUBLE) / NULLIF({parts['n']}, 0)"
        return f"CASE WHEN ABS({total}) < {LARGEST_SUM} THEN {mean} END"


class Stddev(_OfExactNumbers):
    """The sample standard deviation, from sums of values and of squares whose difference is exact too."""

    key = "stddev"
    means = "Sample standard deviation of an exact number; of one event none, nor where a value is 100 million or more."
    gives = "DOUBLE"
    decimals = DECIMALS
    takes = f"an exact number: an integer, or a DECIMAL of at most {DECIMALS} decimals"

    @property
    def parts(self) -> Mapping[str, Part]:
        value = f"TRY_CAST({self._value} AS DECIMAL(19, 6))"
        counts, is_small = self._is_there, f"ABS({value}) < {TOO_LARGE}"
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
