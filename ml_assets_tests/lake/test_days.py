import itertools
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ml_assets.lake import as_ranges, days
from ml_assets_tests.profiles import examples

START = date(2024, 1, 1)


def test_days_are_closed_ranges() -> None:
    assert days(date(2024, 2, 28), date(2024, 3, 1)) == [
        date(2024, 2, 28),
        date(2024, 2, 29),
        date(2024, 3, 1),
    ]
    assert days(START, START) == [START]
    assert days(START, START - timedelta(days=1)) == []


@given(st.sets(st.integers(0, 60)), st.integers(1, 8))
@examples(60)
def test_ranges_cover_the_days_and_bridge_only_short_gaps(numbers: set[int], step: int) -> None:
    wanted = {START + timedelta(days=n) for n in numbers}
    ranges = as_ranges(wanted, timedelta(days=step))
    covered = [day for between in ranges for day in days(*between)]
    assert wanted <= set(covered)
    assert len(covered) == len(set(covered))
    assert all(first in wanted and last in wanted for first, last in ranges)
    for (_, last), (first, _) in itertools.pairwise(ranges):
        assert first - last > timedelta(days=step)
    for first, last in ranges:
        inside = sorted(day for day in wanted if first <= day <= last)
        assert all(b - a <= timedelta(days=step) for a, b in itertools.pairwise(inside))
