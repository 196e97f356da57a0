"""Replaying histories made by hand: what each way of retraining does with them, and what that is worth."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import date, timedelta
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.monitoring.act.evidence import FoundLoss
from ml_assets.monitoring.measure.drift import DayVerdict
from ml_assets.monitoring.rehearse.backtest import (
    BacktestError,
    Candidate,
    DaySignal,
    History,
    Outcome,
    Replayed,
    Signals,
    Training,
    Yardstick,
    assess,
    never,
    oracle,
    triggered,
    weekly,
)
from ml_assets.monitoring.show.backtest_plot import backtest_plot
from ml_assets.monitoring.show.backtest_text import backtest_text
from ml_assets.monitoring.spec import MonitoringPolicy
from ml_assets_tests.profiles import examples

FIRST = date(2024, 1, 7)
HORIZON = timedelta(days=28)
IN_USE = FIRST + HORIZON
YARDSTICK = Yardstick(gain=0.005, degraded=0.025)
AGELESS = MonitoringPolicy(max_age_days=10_000)
LOST = FoundLoss(0.08, "By its scores it loses 0.08 more.")


def week(number: int) -> date:
    return FIRST + timedelta(weeks=number)


def day(number: int) -> date:
    """A day of the replay; on day 0 the first version is there."""
    return IN_USE + timedelta(days=number)


def history(
    loss: Callable[[int, int], float],
    *,
    versions: int = 12,
    metric: Callable[[int, int], float] = lambda version, cutoff: 0.7,
    worse: Mapping[tuple[int, int], FoundLoss] | None = None,
    without: Collection[int] = (),
) -> History:
    """Versions 1, 2, ... of the weeks 0, 1, ...; each loses ``loss(version, week)`` on every week since its own."""
    outcomes = {
        (version, week(at)): Outcome(loss(version, at), metric(version, at), (worse or {}).get((version, at)))
        for version in range(1, versions + 1)
        for at in range(version - 1, versions)
        if at not in without
    }
    candidates = tuple(Candidate(v, week(v - 1), week(v - 1) + HORIZON) for v in range(1, versions + 1))
    return History("churn", candidates, outcomes, HORIZON, margin=0.02)


def quiet(version: int, on: date, cohort: date | None) -> DaySignal:
    return signal()


def signal(*, breached: bool = False, broken: bool = False, loss: FoundLoss | None = None) -> DaySignal:
    verdict = DayVerdict(0.5 if breached else 0.0, breached, 1000, True, broken, "Nulls in spend.")
    return DaySignal(verdict, [], loss)


def drifted(since: date, loss: FoundLoss | None) -> Signals:
    """The features have moved from a day on, for the first three versions."""
    return lambda version, on, _: signal(breached=on >= since and version <= 3, loss=loss)


def steps(of: Replayed) -> list[tuple[date, int, str, bool]]:
    return [(t.on, t.version, t.trigger, t.promoted) for t in of.trainings]


def test_the_days_are_those_on_which_a_version_and_labels_are_there() -> None:
    found = history(lambda *_: 0.9, versions=6)
    assert found.days == [day(n) for n in range(14)]
    assert found.cutoff_of[day(6)] == week(4)
    assert found.cutoff_of[day(7)] == week(5)
    assert found.newest(day(6)).version == 1
    assert found.newest(day(7)).version == 2


def test_days_without_labels_count_for_nothing() -> None:
    found = history(lambda _, at: 0.9 if at < 6 else 0.8, versions=8, without=[5])
    assert week(5) not in found.cutoff_of
    assert len(found.cutoff_of) == 3 * 7
    assert assess(found, never(found), YARDSTICK).loss == pytest.approx((0.9 + 2 * 0.8) / 3)


@pytest.mark.parametrize("versions", [1, 4])
def test_too_short_a_history_says_what_to_do(versions: int) -> None:
    with pytest.raises(BacktestError, match=r"two candidates on record.*materialize --cutoffs 30"):
        history(lambda *_: 0.9, versions=versions)


def test_never_and_weekly() -> None:
    aging = history(lambda version, at: 0.8 + 0.01 * (at - version + 1))
    stays, renewed = (assess(aging, how(aging), YARDSTICK) for how in (never, weekly))
    assert steps(stays.replayed) == []
    assert steps(renewed.replayed) == [(week(n + 4), n + 1, "week", True) for n in range(1, 8)]
    assert renewed.loss == pytest.approx(0.84)
    assert stays.loss == pytest.approx(0.84 + 0.01 * 3.5)
    assert renewed.idle == 0
    assert renewed.gains == pytest.approx([0.01] * 7)
    assert [stays.degraded, renewed.degraded] == [5 * 7, 0], "from 3 weeks behind on"


@pytest.mark.parametrize(("metric", "promoted"), [(0.68, True), (0.679, False), (math.nan, False)])
def test_a_candidate_worse_on_its_own_holdout_is_rejected(metric: float, promoted: bool) -> None:
    def of(version: int, at: int) -> float:
        return metric if version == 2 else 0.7

    found = weekly(history(lambda version, _: 1 - 0.1 * version, versions=7, metric=of))
    assert [t.promoted for t in found.trainings] == [promoted, True]
    assert found.version(day(13)) == (2 if promoted else 1)
    assert found.trainings[1].replaced == found.version(day(13))
    assert found.version(day(14)) == 3


def test_drift_that_hurts_is_caught() -> None:
    def loss(version: int, at: int) -> float:
        return 0.9 if at >= 7 and version <= 3 else 0.8

    changed = history(loss)
    found = triggered(changed, AGELESS, drifted(day(21), LOST))
    assert steps(found) == [(day(22), 4, "drift", True)], "on the second day, with the newest version"
    result = assess(changed, found, YARDSTICK)
    assert result.false_alarms == 0
    assert result.gains == pytest.approx([0.1])
    assert result.degraded == 1
    assert result.loss < assess(changed, never(changed), YARDSTICK).loss
    assert found.recorded[0].diagnosis == "data drift with loss"


def test_drift_that_costs_nothing_is_recorded_and_retrains_nothing() -> None:
    calm = history(lambda *_: 0.8)
    found = triggered(calm, AGELESS, drifted(day(21), None))
    assert steps(found) == []
    assert {evidence.calls_for for evidence in found.recorded} == {"nothing"}
    assert len(found.recorded) == 7 * 8 - 22


def test_evidence_that_was_wrong_is_a_false_alarm_and_age_is_not() -> None:
    calm = history(lambda *_: 0.8)
    alarmed = assess(calm, triggered(calm, AGELESS, drifted(day(21), LOST)), YARDSTICK)
    assert (alarmed.idle, alarmed.false_alarms) == (1, 1)
    aged = assess(calm, triggered(calm, MonitoringPolicy(max_age_days=28), quiet), YARDSTICK)
    assert steps(aged.replayed) == [(day(28), 5, "age", True)]
    assert (aged.idle, aged.false_alarms) == (1, 0)


def test_loss_that_labels_show_is_caught_once_they_are_mature() -> None:
    lost = {(1, at): LOST for at in (6, 7)}
    found = triggered(history(lambda *_: 0.9, versions=14, worse=lost), AGELESS, quiet)
    assert steps(found)[0] == (week(6) + HORIZON, 7, "performance", True)
    assert found.recorded[0].diagnosis == "concept drift"


def test_cohorts_that_another_version_scored_tell_nothing_of_the_one_in_use() -> None:
    lost = {(5, at): LOST for at in range(4, 8)}
    asked: dict[tuple[int, date], date | None] = {}

    def watch(version: int, on: date, cohort: date | None) -> DaySignal:
        asked[version, on] = cohort
        return signal()

    found = triggered(
        history(lambda *_: 0.9, versions=18, worse=lost), MonitoringPolicy(max_age_days=28), watch
    )
    assert [t.trigger for t in found.trainings] == ["age"] * 3
    assert asked[1, day(27)] is None
    assert asked[1, day(28)] == week(4)
    assert asked[5, day(55)] is None, "version 5 has scored since week 8 alone"
    assert [on for _, on in asked] == [day(n) for n in range(14 * 7)], (
        "each day once, the version in use alone"
    )


def test_broken_data_asks_a_person_and_never_retrains() -> None:
    def broken(version: int, on: date, cohort: date | None) -> DaySignal:
        return signal(breached=True, broken=on >= day(35), loss=LOST)

    policy = ageless(cool_down_days=40)
    found = triggered(history(lambda *_: 0.9), policy, broken)
    assert steps(found) == []
    assert set(found.asked) == {day(n) for n in range(35, 42)}, "as long as the evidence stands"
    assert "Broken data is mended" in found.asked[day(35)]


def test_broken_days_a_version_learnt_from_hold_it_up() -> None:
    plain = history(lambda *_: 0.9)
    learnt = tuple(replace(c, learnt=frozenset([week(6)])) if c.version == 5 else c for c in plain.candidates)

    def broken(version: int, on: date, cohort: date | None) -> DaySignal:
        return signal(broken=on == week(6))

    found = triggered(replace(plain, candidates=learnt), MonitoringPolicy(), broken)
    assert set(found.asked) == {day(n) for n in range(28, 35)}
    assert steps(found) == [(day(35), 6, "age", True)]


def test_rejections_back_off_and_end_with_a_person() -> None:
    hopeless = history(lambda *_: 0.9, versions=24, metric=lambda version, at: 0.7 if version == 1 else 0.5)
    found = triggered(hopeless, AGELESS, lambda *_: signal(breached=True, loss=LOST))
    assert [(t.on, t.promoted) for t in found.trainings] == [
        (day(14), False),
        (day(21), False),
        (day(35), False),
    ]
    assert min(found.asked) == day(36)
    assert "3 candidates in a row were rejected" in found.asked[day(36)]
    assert assess(hopeless, found, YARDSTICK).promotions == 0


def ageless(**changes: int) -> MonitoringPolicy:
    return MonitoringPolicy.model_validate({"max_age_days": 10_000, **changes})


@examples(30)
@given(
    alarms=st.sets(st.integers(0, 97)),
    rejected=st.sets(st.integers(2, 18)),
    budget=st.integers(1, 4),
    cool_down=st.integers(0, 20),
)
def test_whatever_happens_the_budget_and_the_cool_down_hold(
    alarms: set[int], rejected: set[int], budget: int, cool_down: int
) -> None:
    past = history(
        lambda *_: 0.9, versions=18, metric=lambda version, at: 0.5 if version in rejected else 0.7
    )
    policy = ageless(retrains_a_month=budget, cool_down_days=cool_down, breaches=1, of_last=1, rejections=9)
    found = triggered(
        past, policy, lambda _, on, __: signal(breached=(on - IN_USE).days in alarms, loss=LOST)
    )
    on = [t.on for t in found.trainings]
    for last in on:
        assert sum(0 <= (last - other).days < 30 for other in on) <= budget
    for before, after in zip(found.trainings, on[1:], strict=False):
        assert not before.promoted or (after - before.on).days >= cool_down
    assert len({t.version for t in found.trainings}) == len(found.trainings)


matrices = st.lists(st.floats(0.7, 1.1), min_size=55, max_size=55)
metrics = st.lists(st.sampled_from([0.6, 0.69, 0.7]), min_size=55, max_size=55)


def drawn(losses: list[float], marks: list[float], versions: int = 10) -> History:
    places = [(v, at) for v in range(1, versions + 1) for at in range(v - 1, versions)]
    by_place = {place: (losses[n], marks[n]) for n, place in enumerate(places)}
    return history(
        lambda *place: by_place[place][0], versions=versions, metric=lambda *place: by_place[place][1]
    )


@examples(40)
@given(losses=matrices, marks=metrics, tolerance=st.sampled_from([0.001, 0.02, 0.1]))
def test_the_oracle_is_the_best_of_all_schedules_without_an_idle_retrain(
    losses: list[float], marks: list[float], tolerance: float
) -> None:
    past = drawn(losses, marks)
    yardstick = Yardstick(tolerance, 0.025)
    found = assess(past, oracle(past, tolerance), yardstick)
    assert found.loss <= assess(past, never(past), yardstick).loss + 1e-9
    assert found.idle == 0
    assert found.loss == pytest.approx(min(loss for loss in schedules(past, yardstick)), abs=1e-8)


def schedules(past: History, yardstick: Yardstick) -> list[float]:
    """The loss of every schedule that the gate lets through and in which no retrain is idle."""
    first, *others = [c for c in past.candidates if c.available in past.cutoff_of]
    found = []
    for chosen in chain.from_iterable(combinations(others, n) for n in range(len(others) + 1)):
        trainings, old = [], first
        for new in chosen:
            promoted = past.passes(new, old.version)
            trainings.append(Training(new.available, new.version, old.version, "oracle", promoted, ""))
            old = new
        result = assess(past, Replayed("oracle", first.version, tuple(trainings)), yardstick)
        if result.promotions == len(chosen) and not result.idle:
            found.append(result.loss)
    return found


def test_the_page_and_the_picture() -> None:
    aging = history(lambda version, at: 0.8 + 0.01 * (at - version + 1))
    ways = (
        never(aging),
        weekly(aging),
        triggered(aging, MonitoringPolicy(), drifted(day(14), LOST)),
        oracle(aging, YARDSTICK.gain),
    )
    results = [assess(aging, way, YARDSTICK) for way in ways]
    text = backtest_text(aging, results, YARDSTICK, "auc")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 6
    assert len({line.count("|") for line in table}) == 1
    assert table[3].split("|")[1:4] == [" weekly   ", "         7 ", "          7 "]
    assert "idle: trainings whose version doesn't lose at least 0.005 less" in text
    assert "retrains asked for by: drift 2." in text
    assert "asked on" not in text
    png = backtest_plot(aging, results)
    assert png.startswith(b"\x89PNG")
    assert len(png) < 60_000
