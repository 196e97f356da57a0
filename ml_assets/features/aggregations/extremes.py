"""The smallest and the largest value."""

from collections.abc import Mapping

from ml_assets.features.aggregations.aggregation import Folded, Part


class Smallest(Folded):
    """The smallest value."""

    key = "min"
    means = "Smallest value."
    takes = "anything that has an order"
    gives = "{value}"

    @property
    def parts(self) -> Mapping[str, Part]:
        return {"min": Part("{value}", f"MIN({self.expression}){self.counted()}", "MIN")}

    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        return parts["min"]


class Largest(Folded):
    """The largest value."""

    key = "max"
    means = "Largest value."
    takes = "anything that has an order"
    gives = "{value}"

    @property
    def parts(self) -> Mapping[str, Part]:
        return {"max": Part("{value}", f"MAX({self.expression}){self.counted()}", "MAX")}

    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        return parts["max"]
