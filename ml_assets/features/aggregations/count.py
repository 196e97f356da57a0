"""The number of events."""

from collections.abc import Mapping

from ml_assets.features.aggregations.aggregation import Folded, Part


class Count(Folded):
    """How many events there are, or how many have a value."""

    key = "count"
    means = 'Number of events; "*", or a column that must not be null.'
    takes = 'anything, or "*"'
    gives = "BIGINT"
    unit = "events"
    empty = "0"

    @property
    def read(self) -> str | None:
        return None if self.expression == "*" else self.expression

    @property
    def parts(self) -> Mapping[str, Part]:
        counted = self.counted(needs_value=self.expression != "*")
        return {"n": Part("BIGINT", f"COUNT({self.expression}){counted}", "SUM")}

    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        return parts["n"]
