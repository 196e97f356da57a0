"""Partitions: days and cutoffs, how they map onto each other, and which of them a run is about."""

from datetime import date
from typing import Any

import dagster as dg

from ml_assets.lake import Between
from ml_assets.project.calendar import DAY, Calendar

RANGE_START, RANGE_END, SINGLE = (
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
    "dagster/partition",
)
AS_ONE_RUN = dg.BackfillPolicy.single_run()


def partitions_of(calendar: Calendar) -> dg.TimeWindowPartitionsDefinition:
    """A partition for every slot of a calendar: UTC days, or weeks from the first cutoff."""
    end = (calendar.last + calendar.step).isoformat() if calendar.last else None
    if calendar.step == DAY:
        return dg.DailyPartitionsDefinition(start_date=calendar.first.isoformat(), end_date=end)
    return dg.WeeklyPartitionsDefinition(
        start_date=calendar.first.isoformat(), end_date=end, day_offset=calendar.first.isoweekday() % 7
    )


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
