"""Freshness and frequency of the landing files, with closed days and ended streams."""

import dataclasses
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.contracts import Closed
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.outcomes import RuleResult
from ml_assets.contracts.enforce.service import judge_service
from ml_assets_tests.places import CONTRACTS as FIXTURES

MONDAY = date(2017, 3, 6)
SUNDAYS = Closed(weekdays=frozenset({6}))


def day(number: int) -> date:
    """A day after Monday, 2017-03-06."""
    return MONDAY + timedelta(days=number)


def serve(
    landed: list[int],
    today: int,
    *,
    end: int | None = None,
    fresh: int = 2,
    often: int = 1,
    closed: Closed = SUNDAYS,
) -> dict[str, RuleResult]:
    contract = load_contract(FIXTURES / "every_rule.yaml")
    limits = {"freshness": timedelta(days=fresh), "frequency": timedelta(days=often)}
    rules = tuple(dataclasses.replace(rule, limit=limits[rule.kind]) for rule in contract.service_rules)
    contract = dataclasses.replace(contract, service_rules=rules, closed=closed)
    results = judge_service(contract, [day(n) for n in landed], day(today), None if end is None else day(end))
    return {result.rule.name: result for result in results}


def test_files_as_promised_keep_both_rules() -> None:
    results = serve([0, 1, 2], 4)
    assert {name: result.passed for name, result in results.items()} == {"freshness": True, "frequency": True}
    assert results["freshness"].message == "freshness: the newest file is 2017-03-08, 2 days old."
    assert results["frequency"].message == (
        "frequency: a file at least every 1 day from 2017-03-06 to 2017-03-08."
    )


def test_an_old_newest_file_is_not_fresh() -> None:
    result = serve([0, 1, 2], 5)["freshness"]
    assert (result.passed, result.violations, dict(result.failing)) == (False, 1, {day(5): 3})
    assert (
        "the newest file is 2017-03-08, 3 days old on 2017-03-11, at most 2 days expected" in result.message
    )


def test_nothing_landed_is_not_fresh() -> None:
    results = serve([], 3)
    assert dict(results["freshness"].failing) == {day(3): "nothing has landed"}
    assert results["frequency"].passed


@pytest.mark.parametrize(
    ("landed", "today", "passed"),
    [([4], 7, True), ([5], 8, True), ([4], 8, False), ([5], 7, True), ([6], 8, True)],
)
def test_a_closed_day_adds_nothing_to_the_age(landed: list[int], today: int, passed: bool) -> None:
    """Day 6 is a Sunday."""
    assert serve(landed, today)["freshness"].passed == passed


@pytest.mark.parametrize(
    ("newest", "end", "passed"), [(3, 3, True), (2, 3, False), (5, 6, True), (4, 6, False), (3, None, False)]
)
def test_a_stream_that_has_ended_stays_fresh_if_it_is_whole(
    newest: int, end: int | None, passed: bool
) -> None:
    result = serve(list(range(newest + 1)), 400, end=end)["freshness"]
    assert result.passed == passed
    assert not passed or "the stream has ended" in result.message


def test_gaps_are_named_and_fail_on_the_day_a_file_was_due() -> None:
    result = serve([0, 1, 4, 5, 7, 9], 9)["frequency"]
    assert dict(result.failing) == {day(2): 3, day(8): 2}
    assert (result.passed, result.rule.severity) == (False, "warning")
    assert "2 gaps are longer (2017-03-07 to 2017-03-10: 3 days, 2017-03-13 to 2017-03-15: 2 days)" in (
        result.message
    )


def test_no_file_is_due_on_a_closed_day() -> None:
    """Day 6 is a Sunday."""
    assert dict(serve([5, 9], 9)["frequency"].failing) == {day(7): 3}


def test_a_weekly_file_may_come_every_seven_days() -> None:
    open_all_week = Closed()
    assert serve([0, 7, 14], 15, often=7, closed=open_all_week)["frequency"].passed
    result = serve([0, 7, 15], 15, often=7, closed=open_all_week)["frequency"]
    assert dict(result.failing) == {day(14): 8}


def test_many_gaps_are_all_given_and_five_named() -> None:
    result = serve(list(range(0, 40, 2)), 40, closed=Closed())["frequency"]
    assert len(result.failing) == 19
    assert "and 14 more" in result.message


@given(landed=st.sets(st.integers(0, 30), min_size=1), often=st.integers(1, 4))
def test_a_gap_fails_exactly_if_too_many_open_days_pass(landed: set[int], often: int) -> None:
    result = serve(sorted(landed), 31, often=often)["frequency"]
    last, waiting, gaps = min(landed), 0, 0
    for number in range(min(landed) + 1, max(landed) + 1):
        if number in landed:
            gaps += waiting + 1 > often
            last, waiting = number, 0
        else:
            waiting += day(number) not in SUNDAYS
    assert last == max(landed)
    assert result.violations == gaps
    assert result.passed == (gaps == 0)
