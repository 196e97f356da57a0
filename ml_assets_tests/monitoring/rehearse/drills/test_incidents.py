"""What each incident does to a day's rows: who is touched, by how much, and who isn't."""

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.monitoring.rehearse.drills.incidents import INCIDENTS, DayOfRows, Incident, another, times
from ml_assets.monitoring.rehearse.drills.rows import Rows
from ml_assets_tests.profiles import examples

COLUMNS = {"amount": "paid", "store": "shop", "category": "kind", "entity": "card", "visit": "receipt"}


def made(number: int, rows: int = 3000) -> Rows:
    """A day of 300 cards in shops 1 to 4, most often in shop 3, where most of what is bought is food."""
    drawn = random.Random(f"day {number}")
    return [
        {
            "paid": Decimal(drawn.randint(1, 5000)) / 100,
            "shop": drawn.choice([1, 2, 3, 3, 3, 4]),
            "kind": drawn.choice(["food", "food", "food", "fuel", None]),
            "card": drawn.randint(1, 300),
            "receipt": number * 10_000 + at,
            "note": "as it was",
        }
        for at in range(rows)
    ]


def after(name: str, number: int = 0, rows: Rows | None = None, seed: int = 7) -> Rows:
    found = made(number) if rows is None else rows
    return INCIDENTS[name].change(DayOfRows(found, number, made(99), COLUMNS, seed))


def differing(name: str, number: int = 0) -> set[str]:
    """The columns in which the incident changes rows that it leaves in place."""
    before, now = made(number), after(name, number)
    assert len(before) == len(now)
    return {
        column for old, new in zip(before, now, strict=True) for column in old if old[column] != new[column]
    }


@pytest.mark.parametrize("incident", INCIDENTS.values(), ids=INCIDENTS.keys())
def test_the_same_seed_gives_the_same_rows_and_leaves_the_input_alone(incident: Incident) -> None:
    rows = made(3)
    assert after(incident.name, 3, rows) == after(incident.name, 3)
    assert rows == made(3)
    assert incident.needs == tuple(role for role in incident.needs if role in COLUMNS)


@pytest.mark.parametrize("incident", INCIDENTS.values(), ids=INCIDENTS.keys())
def test_an_incident_touches_no_other_columns_than_those_it_needs(incident: Incident) -> None:
    needed = {COLUMNS[role] for role in incident.needs}
    bare = [{name: value for name, value in row.items() if name in needed} for row in made(3)]
    before = [{name: value for name, value in row.items() if name in needed} for row in made(99)]
    columns = {role: COLUMNS[role] for role in incident.needs}
    found = incident.change(DayOfRows(bare, 3, before, columns, 7))
    assert all(row.keys() == needed for row in found)


@pytest.mark.parametrize("incident", INCIDENTS.values(), ids=INCIDENTS.keys())
def test_a_day_without_rows_stays_without(incident: Incident) -> None:
    assert after(incident.name, 0, []) == []


def test_prices_rise_day_by_day_and_stay() -> None:
    def ratio(number: int) -> float:
        before, now = (
            sum(row["paid"] for row in rows) for rows in (made(number), after("price_inflation", number))
        )
        return float(now / before)

    assert [round(ratio(n), 2) for n in (0, 1, 10, 11, 20)] == [1.05, 1.10, 1.55, 1.60, 1.60]
    assert differing("price_inflation") == {"paid"}


def test_cents_are_a_hundred_times_euros() -> None:
    assert [row["paid"] for row in after("unit_change")] == [row["paid"] * 100 for row in made(0)]
    assert differing("unit_change") == {"paid"}


def test_the_busiest_store_of_the_day_before_closes_and_no_other() -> None:
    left = after("store_closing", 5)
    assert left == [row for row in made(5) if row["shop"] != 3]
    assert {row["shop"] for row in left} == {1, 2, 4}


def test_three_rows_in_a_hundred_are_logged_twice() -> None:
    now = after("double_logging")
    assert 1.02 < len(now) / len(made(0)) < 1.04
    assert {row["receipt"] for row in now} == {row["receipt"] for row in made(0)}
    assert [row for at, row in enumerate(now) if at == 0 or now[at - 1] != row] == made(0)


def test_a_null_column_has_no_value_left() -> None:
    assert {row["paid"] for row in after("null_column")} == {None}
    assert differing("null_column") == {"paid"}


def test_a_late_day_is_as_it_was_but_comes_later() -> None:
    late = INCIDENTS["late_day"]
    assert after("late_day") == made(0)
    assert [late.arriving(number) for number in range(5)] == [[], [1], [2], [0, 3], [4]]
    assert [INCIDENTS["unit_change"].arriving(number) for number in range(3)] == [[0], [1], [2]]


def test_the_most_frequent_category_is_renamed_and_empty_ones_stay() -> None:
    pairs = {(old["kind"], new["kind"]) for old, new in zip(made(0), after("new_category"), strict=True)}
    assert pairs == {("food", "NEW food"), ("fuel", "fuel"), (None, None)}


def test_newcomers_join_the_old_population_and_come_seldom() -> None:
    before, now = made(0), after("population_shift")
    assert now[: len(before)] == before
    more = now[len(before) :]
    old, new = ({row["card"] for row in rows} for rows in (before, more))
    assert not old & new
    assert 0.55 < len(new) / len(old) < 0.75
    assert 0.15 < len(more) / len(before) < 0.25
    assert len({row["receipt"] for row in now}) == len(now)
    same = {row["card"] for row in after("population_shift", 1)} - {row["card"] for row in made(1)}
    assert len(same & new) > 0.9 * len(new), "they are the same ones every day"


def test_those_who_stay_away_are_three_in_ten_and_stay_away() -> None:
    gone = {row["card"] for row in made(0)} - {row["card"] for row in after("label_shift", 0)}
    assert 0.22 < len(gone) / 300 < 0.38
    assert not gone & {row["card"] for row in after("label_shift", 20)}
    others = {row["card"] for row in made(0)} - {row["card"] for row in after("label_shift", 0, seed=8)}
    assert gone != others


def test_a_peak_has_half_as_many_visits_again_and_is_over_after_a_week() -> None:
    now = after("seasonal_peak")
    assert 1.45 < len(now) / len(made(0)) < 1.55
    assert len({row["receipt"] for row in now}) == len(now)
    assert after("seasonal_peak", 7) == made(7)


def test_days_land_in_strides_and_a_label_matures_before_they_are_over() -> None:
    batches = INCIDENTS["label_shift"].batches(28)
    assert [len(batch) for batch in batches] == [7] * 6
    assert [number for batch in batches for number in batch] == list(range(42))
    assert INCIDENTS["unit_change"].batches(28) == [range(n, n + 1) for n in range(3)]
    assert [len(batch) for batch in INCIDENTS["seasonal_peak"].batches(28)] == [7, 7]


@pytest.mark.parametrize(
    ("value", "factor", "expected"),
    [
        (Decimal("1.10"), "1.05", Decimal("1.16")),
        ("12.50", "100", "1250.00"),
        ("7", "1.6", "11"),
        (7, "1.6", 11),
        (2.5, "2", 5.0),
    ],
)
def test_a_number_keeps_its_type_and_its_decimals(value: Any, factor: str, expected: Any) -> None:
    found = times(value, Decimal(factor))
    assert (found, type(found), str(found)) == (expected, type(expected), str(expected))


def test_what_is_no_number_is_said() -> None:
    with pytest.raises(ArithmeticError):
        times("a lot", Decimal(2))


@examples(50)
@given(
    st.lists(st.integers(0, 10**12), unique=True)
    | st.lists(st.from_regex(r"[AC]?[0-9]{6}", fullmatch=True), unique=True)
    | st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), unique=True)
)
def test_another_name_is_of_the_same_kind_and_one_to_one(names: list[Any]) -> None:
    found = [another(name) for name in names]
    assert len(set(found)) == len(names)
    assert all(type(a) is type(b) and a != b for a, b in zip(names, found, strict=True))


@pytest.mark.parametrize(
    ("name", "expected"), [(71, 900000071), ("A12", "A87"), ("17850.0", "82149.0"), ("web", "web 2")]
)
def test_another_name_stays_in_the_format(name: Any, expected: Any) -> None:
    assert another(name) == expected
