"""The value of the first event."""

from collections.abc import Mapping

from ml_assets.features.aggregations.aggregation import Folded, Part

END_OF_TIME = "TIMESTAMPTZ '9999-12-31 00:00:00+00'"
"""Microseconds before it make the first event the greatest, so that ties are broken as those of the last are."""


class First(Folded):
    """The value of the first event that has one; of several at the same moment the greatest."""

    key = "first"
    means = "Value of the first event that has one."
    takes = "anything that has an order"
    gives = "{value}"
    windowed = False

    @property
    def parts(self) -> Mapping[str, Part]:
        before = f"DATE_DIFF('microsecond', occurred_at, {END_OF_TIME})"
        earliest = f"MAX(STRUCT_PACK(before := {before}, value := {self.expression})){self.counted()}"
        return {"first": Part('STRUCT("before" BIGINT, "value" {value})', earliest, "MAX")}

    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        return f"{parts['first']}.value"
