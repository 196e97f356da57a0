"""A quantile of all values, exactly: lists of counts add up to the same list in whatever order they are merged."""

from dataclasses import dataclass
from decimal import Decimal

from ml_assets.features.aggregations.aggregation import Tally

TAKEN = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DECIMAL", "DATE", "TIMESTAMP")
"""What the names of the types begin with of which equal values are the same bits."""


@dataclass(frozen=True)
class Quantile(Tally):
    """The smallest value that at least the share ``q`` of all values don't exceed; the lower of two in the middle.

    That is one of the values, so it is exact, of their type, and fits dates; DuckDB's ``quantile_disc`` is the same.
    An interpolated one would be a DOUBLE that depends on how it is rounded, and that no event has had. Raises
    ValueError where q isn't between 0 and 1, with at most six decimals.
    """

    q: float = 0.5

    key = "quantile"
    means = "Smallest value that at least the share q of all values don't exceed; without q the lower median."
    takes = "an exact number, a date or a time: an integer, a DECIMAL, a DATE or a TIMESTAMP"
    gives = "{value}"

    def __post_init__(self) -> None:
        if not 0 < self.q < 1:
            raise ValueError(
                f"feature {self.name}: q is a share between 0 and 1, such as 0.5 for the median, not {self.q}; "
                "the smallest and the largest value are min and max"
            )
        if self.q != round(self.q, 6):
            raise ValueError(f"feature {self.name}: q has at most six decimals, not {self.q}")

    def why_not(self, type: str) -> str | None:
        if type.startswith(TAKEN) and not type.endswith("]"):
            return None
        cast = f"; cast it: CAST({self.expression} AS DECIMAL(18, 4))" if type in ("DOUBLE", "FLOAT") else ""
        return f"{self.expression} is a {type}, and quantile takes {self.takes}{cast}"

    def finish_counts(self, counts: str, keys: str, column: str) -> str:
        up_to = f"CAST(SUM(__n) OVER (PARTITION BY {keys} ORDER BY __value) AS BIGINT)"
        all_of = f"CAST(SUM(__n) OVER (PARTITION BY {keys}) AS BIGINT)"
        return (
            f"SELECT {keys}, MIN(__value) FILTER (WHERE __up_to >= {Decimal(str(self.q)):f} * __all) AS {column} "
            f"FROM (SELECT {keys}, __value, {up_to} AS __up_to, {all_of} AS __all FROM {counts}) AS ranked "
            f"GROUP BY {keys}"
        )
