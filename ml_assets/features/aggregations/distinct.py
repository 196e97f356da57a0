"""The number of different values: sets, which unite and can't be taken apart again."""

from collections.abc import Mapping

from ml_assets.features.aggregations.aggregation import Aggregation, Part


class Distinct(Aggregation):
    """How many different values there are."""

    key = "count_distinct"
    means = "Number of different values."
    takes = "anything"
    gives = "BIGINT"
    unit = "different values"
    empty = "0"

    @property
    def parts(self) -> Mapping[str, Part]:
        listed = f"LIST_SORT(LIST(DISTINCT {self.expression}){self.counted()})"
        return {"values": Part("{value}[]", listed, "UNION")}

    @property
    def list(self) -> str:
        """The column of tiles that holds the set, as a sorted list."""
        return f"{self.name}__values"
