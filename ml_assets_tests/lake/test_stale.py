from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from ml_assets.lake import Commit, Mark, Marks, Provenance, days, stale_days
from ml_assets.lake.marks import replayed
from ml_assets_tests.profiles import examples

START = date(2024, 1, 1)


class Write(NamedTuple):
    """A commit in numbers of days; ``read`` is the upstream version it was made from."""

    first: int
    last: int
    read: int = -1


@dataclass(frozen=True)
class Days:
    """A calendar of days."""

    first: date = START
    last: date = START + timedelta(days=60)

    def between(self, first: date, last: date) -> list[date]:
        return days(max(first, self.first), min(last, self.last))


def marks(writes: Sequence[Write]) -> Marks:
    """What commits leave behind; version 0 made the table."""
    made = []
    for version, write in enumerate(writes, start=1):
        between = (START + timedelta(days=write.first), START + timedelta(days=write.last))
        read = Provenance(inputs={"up": write.read} if write.read >= 0 else {})
        made.append(Commit(version, datetime(2024, 1, 1, tzinfo=UTC), "WRITE", between, provenance=read))
    return replayed({}, made)


def slowly(
    upstream: Sequence[Write],
    downstream: Sequence[Write],
    reach: tuple[int, int],
    partitions: range,
) -> set[date]:
    """The definition of ``stale_days``, day by day."""
    touched = {n for write in upstream for n in range(write.first, write.last + 1)}
    stale = set()
    for day in partitions:
        if not touched or not min(touched) <= day + reach[1] <= max(touched):
            continue
        reads = [write.read for write in downstream if write.first <= day <= write.last]
        changes = [
            version
            for version, write in enumerate(upstream, start=1)
            for n in range(reach[0], reach[1] + 1)
            if write.first <= day + n <= write.last
        ]
        if not reads or any(version > reads[-1] for version in changes):
            stale.add(START + timedelta(days=day))
    return stale


spans = st.tuples(st.integers(0, 12), st.integers(0, 4)).map(lambda s: (s[0], s[0] + s[1]))
writes = st.lists(st.builds(lambda s, r: Write(*s, r), spans, st.integers(-1, 4)), max_size=5)
reaches = st.tuples(st.integers(-15, 0), st.integers(-3, 0)).map(lambda r: (min(r), max(r)))


@given(writes, writes, reaches, st.integers(0, 3), st.integers(5, 14))
@examples(150)
def test_stale_days_are_those_of_the_definition(
    upstream: list[Write], downstream: list[Write], reach: tuple[int, int], start: int, end: int
) -> None:
    calendar = Days(START + timedelta(days=start), START + timedelta(days=end))
    found = stale_days(marks(upstream), marks(downstream), "up", reach, calendar)
    assert found == slowly(upstream, downstream, reach, range(start, end + 1))


def test_one_changed_day_makes_stale_what_reads_it() -> None:
    upstream = marks([Write(0, 9), Write(4, 4)])
    downstream = marks([Write(1, 10, read=1)])
    found = stale_days(upstream, downstream, "up", (-3, -1), Days())
    assert found == {START + timedelta(days=n) for n in (5, 6, 7)}


def test_without_upstream_nothing_is_stale() -> None:
    assert stale_days({}, {}, "up", (0, 0), Days()) == set()


def test_ten_years_read_by_every_day_after_them_take_no_square_of_them() -> None:
    """A look-back without limit reads each change once, not once for every day that could read it."""
    first = date(2014, 1, 1)

    class Counted(dict[date, Mark]):
        """Marks that count how often one of them is looked up."""

        asked = 0

        def __getitem__(self, slot: date) -> Mark:
            Counted.asked += 1
            return super().__getitem__(slot)

    upstream = Counted({day: Mark(n, {}) for n, day in enumerate(days(first, date(2023, 12, 31)), start=1)})
    downstream = Counted({day: Mark(1, {"up": 3000}) for day in upstream})
    found = stale_days(upstream, downstream, "up", (-3652, -1), Days(first, date(2023, 12, 31)))
    assert found == set(days(first + timedelta(days=3001), date(2023, 12, 31)))
    assert Counted.asked <= len(upstream)
