"""Calendars, held against the partitions that Dagster makes of them."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.components.shared.partitions import partitions_of
from ml_assets.instance import clock
from ml_assets.project.calendar import DAY, WEEK, Calendar
from ml_assets_tests.profiles import examples

START = date(2024, 1, 1)
days = st.integers(0, 60).map(lambda n: START + timedelta(days=n))


@examples(60)
@given(first=days, length=st.integers(0, 40), step=st.sampled_from([DAY, WEEK]))
def test_its_slots_are_the_partitions_of_dagster(first: date, length: int, step: timedelta) -> None:
    calendar = Calendar(first, first + length * step, step)
    slots = [date.fromisoformat(key) for key in partitions_of(calendar).get_partition_keys()]
    far = timedelta(days=400)
    assert calendar.between(first - far, first + far) == slots
    around = [first + timedelta(days=n) for n in range(-9, 60)]
    assert [day for day in around if calendar.has(day)] == [day for day in around if day in slots]


@pytest.mark.parametrize("step", [DAY, WEEK])
def test_one_that_goes_on_has_the_slots_that_have_ended_by_now(step: timedelta) -> None:
    calendar = Calendar(START, None, step)
    ended = datetime(2024, 1, 15, tzinfo=UTC)
    last = date(2024, 1, 15) - step
    for now, newest in ((ended, last), (ended - timedelta(microseconds=1), last - step)):
        with clock.at(lambda now=now: now):  # type: ignore[misc]
            assert calendar.between(START, date(2030, 1, 1))[-1] == newest
            assert calendar.has(newest)
            assert not calendar.has(newest + step)
            assert calendar.allows(newest + step), "there will be"
            keys = partitions_of(calendar).get_partition_keys(current_time=now)
            assert keys[-1] == str(newest)


def test_a_slot_begins_and_ends_at_midnight_utc() -> None:
    weeks = Calendar(START, None, WEEK)
    assert weeks.begin(date(2024, 1, 8)) == datetime(2024, 1, 8, tzinfo=UTC)
    assert weeks.end(date(2024, 1, 8)) == datetime(2024, 1, 15, tzinfo=UTC)
    assert not weeks.has(date(2024, 1, 9)), "no cutoff lies within a week"


def test_the_last_slots_before_a_day() -> None:
    calendar = Calendar(START, date(2024, 1, 31), WEEK)
    assert calendar.before(date(2024, 1, 16), 2) == [date(2024, 1, 8), date(2024, 1, 15)]
    assert calendar.before(date(2024, 1, 16), 9) == [START, date(2024, 1, 8), date(2024, 1, 15)]
    assert calendar.before(date(2023, 12, 31), 1) == []
    assert calendar.before(date(2024, 1, 16), 0) == []
