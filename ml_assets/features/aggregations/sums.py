"""Exact sums, and what is computed of them: order and grouping make no difference, down to the last bit."""

from collections.abc import Mapping

from ml_assets.features.aggregations.aggregation import Folded, Part


class _OfExactNumbers(Folded):
    """Sums are those of integers: of a DOUBLE they would differ from run to run."""

    takes = "an exact number: an integer or a DECIMAL"

    def why_not(self, type: str) -> str | None:
        if type not in ("DOUBLE", "FLOAT"):
            return None
        return (
            f"{self.expression} is a {type}, whose sums differ from run to run. Declare the column as DECIMAL in the "
            f"contract, or cast the expression: CAST({self.expression} AS DECIMAL(18, 4))"
        )

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
    means = "Sample standard deviation of an exact number, to 6 decimals; of one event none."
    gives = "DOUBLE"

    @property
    def parts(self) -> Mapping[str, Part]:
        value = f"CAST({self.expression} AS DECIMAL(18, 6))"
        squares = f"CAST(SUM({value} * {value}){self.counted()} AS DECIMAL(38, 12))"
        return {
            "n": self._n,
            "sum": Part("DECIMAL(38, 6)", f"SUM({value}){self.counted()}", "SUM"),
            "squares": Part("DECIMAL(38, 12)", squares, "SUM"),
        }

    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        n, total, squares = parts["n"], parts["sum"], parts["squares"]
        return f"SQRT(CAST({n} * {squares} - {total} * {total} AS DOUBLE) / NULLIF({n} * ({n} - 1), 0))"
