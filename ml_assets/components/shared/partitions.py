"""Partitions: days and cutoffs, how they map onto each other, and which of them a run is about."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import dagster as dg

from ml_assets.lake import Between, Slot

RANGE_START, RANGE_END, SINGLE = (
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
    "dagster/partition",
)
AS_ONE_RUN = dg.BackfillPolicy.single_run()


def daily(start: date, end: date | None) -> dg.DailyPartitionsDefinition:
    """A partition for every UTC day from ``start``; ``end`` is the last day, or None to go on."""
    last = end + timedelta(days=1) if end else None
    return dg.DailyPartitionsDefinition(
        start_date=start.isoformat(), end_date=last.isoformat() if last else None
    )


def weekly(start: date, end: date | None) -> dg.WeeklyPartitionsDefinition:
    """A partition for every cutoff: a week apart from ``start``; ``end`` is the last cutoff."""
    last = end + timedelta(days=7) if end else None
    return dg.WeeklyPartitionsDefinition(
        start_date=start.isoformat(),
        end_date=last.isoformat() if last else None,
        day_offset=(start.weekday() + 1) % 7,
    )


@dataclass(frozen=True)
class SlotsOf:
    """The calendar that partitions follow."""

    partitions: dg.TimeWindowPartitionsDefinition

    def between(self, first: Slot, last: Slot) -> list[Slot]:
        """The slots from first to last, both included, oldest first."""
        slots = [date.fromisoformat(key) for key in self.partitions.get_partition_keys()]
        return [slot for slot in slots if first <= slot <= last]


def window(first: int, last: int) -> dg.TimeWindowPartitionMapping:
    """Depends on the partitions from ``first`` to ``last``, counted from its own, where they exist."""
    return dg.TimeWindowPartitionMapping(
        start_offset=first, end_offset=last, allow_nonexistent_upstream_partitions=True
    )


def between(context: dg.AssetExecutionContext) -> Between:
    """The closed range of partitions an asset is being materialized for."""
    keys = sorted(context.partition_keys)
    return date.fromisoformat(keys[0]), date.fromisoformat(keys[-1])


def between_of_run(tags: Any) -> Between | None:
    """The range of partitions a run is about, from its tags; None for a run about the whole table."""
    first = tags.get(RANGE_START) or tags.get(SINGLE)
    last = tags.get(RANGE_END) or tags.get(SINGLE)
    if not first or not last:
        return None
    return date.fromisoformat(first), date.fromisoformat(last)


def range_tags(first: date, last: date) -> dict[str, str]:
    """The run tags that ask for a range of partitions in one run."""
    return {RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}
