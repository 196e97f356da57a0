"""The most frequent value."""

from ml_assets.features.aggregations.aggregation import Tally


class Mode(Tally):
    """The most frequent value, as text."""

    key = "mode"
    means = "Most frequent value; the first in the alphabet among equals."
    takes = "anything; it is counted as text"
    gives = "VARCHAR"
    counted_type = "VARCHAR"

    @property
    def value(self) -> str:
        return f"CAST({self.expression} AS TEXT)"

    def finish_counts(self, counts: str, keys: str, column: str) -> str:
        most = "MIN(STRUCT_PACK(fewer := -__n, value := __value)).value"
        return f"SELECT {keys}, {most} AS {column} FROM {counts} GROUP BY {keys}"
