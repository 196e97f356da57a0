"""The value of the last event."""

from collections.abc import Mapping

from ml_assets.features.aggregations.aggregation import Folded, Part


class Last(Folded):
    """The value of the last event that has one; of several at the same moment the greatest."""

    key = "last"
    means = "Value of the last event that has one."
    takes = "anything that has an order"
    gives = "{value}"
    windowed = False

    @property
    def parts(self) -> Mapping[str, Part]:
        latest = f"MAX(STRUCT_PACK(at := occurred_at, value := {self.expression})){self.counted()}"
        return {"last": Part('STRUCT("at" TIMESTAMP WITH TIME ZONE, "value" {value})', latest, "MAX")}

    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        return f"{parts['last']}.value"


class Attribute(Folded):
    """The value in force; of several at the same moment the greatest, none only where none is given."""

    key = "attribute"
    means = "Value in force: that of the last event, empty where the last event has none."
    takes = "anything that has an order"
    gives = "{value}"
    windowed = False

    @property
    def parts(self) -> Mapping[str, Part]:
        given = f"at := occurred_at, given := ({self.expression}) IS NOT NULL, value := {self.expression}"
        latest = f"MAX(STRUCT_PACK({given})){self.counted(needs_value=False)}"
        kind = 'STRUCT("at" TIMESTAMP WITH TIME ZONE, given BOOLEAN, "value" {value})'
        return {"last": Part(kind, latest, "MAX")}

    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        return f"{parts['last']}.value"
