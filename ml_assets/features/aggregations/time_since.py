"""Days since the last and since the first event."""

from collections.abc import Mapping

from ml_assets.features.aggregations.aggregation import Folded, Part


class _TimeSince(Folded):
    """Days from a moment to as_of; the expression is the unit, ``day``."""

    takes = "day"
    gives = "DOUBLE"
    unit = "days"
    windowed = False

    @property
    def read(self) -> str | None:
        return None

    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        return f"DATE_DIFF('microsecond', {parts['at']}, {as_of}) / 86400000000"


class TimeSinceLast(_TimeSince):
    """Days since the last event."""

    key = "time_since_last"
    means = "Days since the last event."

    @property
    def parts(self) -> Mapping[str, Part]:
        latest = f"MAX(occurred_at){self.counted(needs_value=False)}"
        return {"at": Part("TIMESTAMP WITH TIME ZONE", latest, "MAX")}


class TimeSinceFirst(_TimeSince):
    """Days since the first event."""

    key = "time_since_first"
    means = "Days since the first event."

    @property
    def parts(self) -> Mapping[str, Part]:
        first = f"MIN(occurred_at){self.counted(needs_value=False)}"
        return {"at": Part("TIMESTAMP WITH TIME ZONE", first, "MIN")}
