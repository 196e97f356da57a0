"""A landing is remembered in little, and what has changed of it is never taken for what it was."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ml_assets.landing import Piece
from ml_assets.pipeline.due.listing import remember, unchanged
from ml_assets_tests.profiles import examples

FIRST = date(2022, 11, 20)


def listing(prints: dict[int, int]) -> dict[date, Piece]:
    """Days by their numbers, with what tells their contents apart."""
    found = {FIRST + timedelta(days=number): mark for number, mark in prints.items()}
    return {day: Piece((day, day), f"{day}.csv", 10, f"10:{mark}") for day, mark in found.items()}


days = st.dictionaries(st.integers(0, 500), st.integers(0, 2), max_size=40)


@examples(200)
@given(before=days, after=days, left=st.sets(st.integers(0, 500), max_size=10))
def test_what_is_called_unchanged_is(before: dict[int, int], after: dict[int, int], left: set[int]) -> None:
    leaving = {FIRST + timedelta(days=number) for number in left}
    then, now = listing(before), listing(after)
    remembered = remember(then, leaving)
    same = {day for day in now if then.get(day) == now[day]} - leaving
    assert unchanged(now, remembered) <= same
    assert unchanged(then, remembered) == set(then) - leaving
    assert unchanged(then, None) == set()


def test_ten_years_of_files_take_a_kilobyte() -> None:
    whole = listing(dict.fromkeys(range(3_650), 1))
    assert len(remember(whole)) < 1_600
    assert len(remember(whole, list(whole)[1_000:1_010])) < 2_600
    assert remember({}) == "{}"


def test_a_new_day_leaves_the_others_as_they_were() -> None:
    """Also that which begins a month, or a year."""
    prints = dict.fromkeys(range(30), 1)
    for number in range(30, 480):
        then = listing(prints)
        remembered = remember(then)
        prints[number] = 1
        assert unchanged(listing(prints), remembered) == set(then)


def test_one_changed_file_costs_its_own_stretch() -> None:
    prints = dict.fromkeys(range(480), 1)
    remembered = remember(listing(prints))
    for number, stretch in ((479, 1), (450, 29), (3, 42)):
        changed = listing({**prints, number: 2})
        assert len(changed) - len(unchanged(changed, remembered)) == stretch, FIRST + timedelta(days=number)


def test_what_another_version_remembered_is_read_again() -> None:
    whole = listing({0: 1, 1: 1})
    assert unchanged(whole, '{"2022-11-20": "10:1", "2022-11-21": "10:1"}') == set()
