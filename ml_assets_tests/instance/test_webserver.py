"""What our process of Dagster's webserver does otherwise than the stock one."""

from datetime import UTC, date, datetime

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import PartitionLoadingContext
from dagster._core.definitions.temporal_context import TemporalContext

from ml_assets.components.shared.partitions import partitions_of
from ml_assets.instance.webserver import list_newest_partitions_that_exist
from ml_assets.project.calendar import WEEK, Calendar


def newest(partitions: dg.TimeWindowPartitionsDefinition, at: datetime) -> list[str]:
    now = TemporalContext(effective_dt=at, last_event_id=None)
    context = PartitionLoadingContext(temporal_context=now, dynamic_partitions_store=None)
    found = partitions.get_paginated_partition_keys(context, 2, ascending=False)
    return list(found.results)


def test_the_newest_partitions_of_a_calendar_that_has_ended_are_its_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stock = dg.TimeWindowPartitionsDefinition._get_current_timestamp
    monkeypatch.setattr(dg.TimeWindowPartitionsDefinition, "_get_current_timestamp", stock)
    days = partitions_of(Calendar(date(2017, 1, 1), date(2017, 12, 31)))
    weeks = partitions_of(Calendar(date(2017, 1, 1), date(2017, 12, 31), WEEK))
    open_ended = partitions_of(Calendar(date(2017, 1, 1), None))
    later, before = datetime(2026, 11, 30, 12, tzinfo=UTC), datetime(2017, 3, 5, 12, tzinfo=UTC)
    assert newest(days, later)[0] == "2026-11-29", "what Dagster does: once it doesn't, this mend can go"
    list_newest_partitions_that_exist()
    assert newest(days, later) == ["2017-12-31", "2017-12-30"]
    assert newest(weeks, later) == ["2017-12-31", "2017-12-24"]
    assert newest(days, before) == newest(open_ended, before) == ["2017-03-04", "2017-03-03"]
    assert newest(open_ended, later) == ["2026-11-29", "2026-11-28"]
