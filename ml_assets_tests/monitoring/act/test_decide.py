"""What is done about a model, rule by rule, and invariants over whole histories."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.monitoring.act.decide import ATTEMPTS, MONTH, Attempt, Champion, Outcome, Situation, decide
from ml_assets.monitoring.act.evidence import Evidence
from ml_assets.monitoring.spec import MonitoringPolicy
from ml_assets_tests.profiles import examples

POLICY = MonitoringPolicy()
TODAY = date(2017, 12, 1)
CUTOFF = date(2017, 10, 8)
CHAMPION = Champion(3, CUTOFF, CUTOFF + timedelta(days=28))
MATURE = date(2017, 10, 29)
FOUND = Evidence(
    "e1",
    "lapse",
    3,
    TODAY,
    "drift",
    "retrain",
    "data drift with loss",
    0.4,
    0.1,
    "On 2017-12-01, spend moved.",
)
DRIFTED = Situation(TODAY, CHAMPION, MATURE, evidence=FOUND)


def attempt(days_ago: int, outcome: Outcome, cutoff: date = CUTOFF, champion: int | None = 3) -> Attempt:
    return Attempt(TODAY - timedelta(days=days_ago), cutoff, champion, outcome, f"run-{days_ago}")


def test_evidence_retrains_with_its_reason() -> None:
    action = decide(DRIFTED, POLICY)
    assert (action.kind, action.trigger, action.evidence) == ("retrain", "drift", FOUND)
    assert action.why == FOUND.reason


def test_drift_without_loss_is_recorded() -> None:
    recorded = replace(FOUND, calls_for="nothing", diagnosis="data drift")
    action = decide(replace(DRIFTED, evidence=recorded), POLICY)
    assert (action.kind, action.trigger, action.evidence) == ("nothing", None, None)
    assert action.why.startswith("On 2017-12-01, spend moved. Version 3 is renewed regardless")


def test_evidence_stands_for_a_week() -> None:
    week_old = replace(FOUND, as_of=TODAY - timedelta(days=7))
    assert decide(replace(DRIFTED, evidence=week_old), POLICY).kind == "retrain"
    older = replace(FOUND, as_of=TODAY - timedelta(days=8))
    assert decide(replace(DRIFTED, evidence=older), POLICY).why.startswith("Nothing calls for a retrain.")


@pytest.mark.parametrize(("days", "kind"), [(27, "nothing"), (28, "retrain")])
def test_a_model_is_renewed_at_its_age(days: int, kind: str) -> None:
    aged = Situation(TODAY, Champion(3, MATURE - timedelta(days=days), TODAY - timedelta(days=40)), MATURE)
    assert decide(aged, POLICY).kind == kind


def test_what_predicts_something_else_than_is_declared_is_trained_anew() -> None:
    said = "Version 3 was trained before the label was declared as now."
    action = decide(Situation(TODAY, CHAMPION, MATURE, redefined=said), POLICY)
    assert (action.kind, action.trigger, action.evidence, action.why) == ("retrain", "declared", None, said)
    held = decide(replace(DRIFTED, redefined=said, mature=CUTOFF), POLICY)
    assert (held.kind, held.trigger) == ("wait", "declared")


def test_the_first_champion_needs_mature_labels() -> None:
    assert decide(Situation(TODAY, None, MATURE), POLICY).trigger == "first"
    nothing = decide(Situation(TODAY, None, None), POLICY)
    assert (nothing.kind, nothing.why) == (
        "nothing",
        "No cutoff has mature labels yet, so there is nothing to train on.",
    )


HELD_UP = {
    "no later cutoff": (
        replace(DRIFTED, mature=CUTOFF),
        "wait",
        "No cutoff after the champion's has mature labels yet.",
    ),
    "broken": (
        replace(DRIFTED, broken={TODAY: "spend: 60% are null"}),
        "ask",
        "Broken data is mended, never learnt: 2017-12-01: spend: 60% are null.",
    ),
    "running": (
        replace(DRIFTED, attempts=[attempt(0, "running")]),
        "wait",
        "Retrain run run-0 is in flight.",
    ),
    "failed too often": (
        replace(DRIFTED, attempts=[attempt(1, "failed", MATURE)] * ATTEMPTS),
        "ask",
        "3 retrains of cutoff 2017-10-29 have failed, the last is run run-1: mend the cause",
    ),
    "judged": (
        replace(DRIFTED, judged="Version 4 has been judged already."),
        "wait",
        "Version 4 has been judged",
    ),
    "rejected": (
        replace(DRIFTED, attempts=[attempt(6, "rejected")]),
        "wait",
        "The candidate of cutoff 2017-10-08 was rejected; the next is tried on 2017-12-02.",
    ),
    "rejected twice": (
        replace(DRIFTED, attempts=[attempt(20, "rejected"), attempt(13, "rejected")]),
        "wait",
        "The candidate of cutoff 2017-10-08 was rejected; the next is tried on 2017-12-02.",
    ),
    "rejected too often": (
        replace(DRIFTED, attempts=[attempt(90, "rejected")] * 3),
        "ask",
        "3 candidates in a row were rejected, the last of cutoff 2017-10-08: retraining doesn't mend this.",
    ),
    "a young champion": (
        replace(DRIFTED, champion=CHAMPION._replace(since=TODAY - timedelta(days=13))),
        "wait",
        "Cooling down since 2017-11-18, until 2017-12-02.",
    ),
    "a retrain just now": (
        replace(DRIFTED, attempts=[attempt(3, "promoted", champion=2)]),
        "wait",
        "Cooling down since 2017-11-28, until 2017-12-12.",
    ),
}


@pytest.mark.parametrize(("situation", "kind", "why"), HELD_UP.values(), ids=HELD_UP)
def test_what_is_due_is_held_up(situation: Situation, kind: str, why: str) -> None:
    action = decide(situation, POLICY)
    assert action.kind == kind
    assert action.why.startswith(why)
    assert action.why.endswith("Due because on 2017-12-01, spend moved.")
    assert action.trigger == "drift"


NOT_HELD_UP = {
    "a failed run is tried again": [attempt(1, "failed", MATURE)] * (ATTEMPTS - 1),
    "of another cutoff": [attempt(1, "failed")] * ATTEMPTS,
    "after the back-off": [attempt(7, "rejected")],
    "after two": [attempt(21, "rejected"), attempt(14, "rejected")],
    "of another champion": [attempt(30, "rejected", champion=2)] * 3,
    "long ago": [attempt(14, "promoted", champion=2)],
}


@pytest.mark.parametrize("attempts", NOT_HELD_UP.values(), ids=NOT_HELD_UP)
def test_what_is_due_is_not_held_up(attempts: list[Attempt]) -> None:
    assert decide(replace(DRIFTED, attempts=attempts), POLICY).kind == "retrain"


def test_a_month_has_a_budget() -> None:
    policy = MonitoringPolicy(cool_down_days=0, retrains_a_month=2)
    spent = [attempt(29, "promoted", champion=1), attempt(10, "promoted", champion=2)]
    action = decide(replace(DRIFTED, attempts=spent), policy)
    assert action.why.startswith(
        "2 retrains in the last 30 days use up the budget of 2; the next can be on 2017-12-02."
    )
    assert (
        decide(replace(DRIFTED, attempts=spent), policy.model_copy(update={"retrains_a_month": 3})).kind
        == "retrain"
    )


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[bool, Outcome]]:
    """Day by day: is there evidence, and what would become of a retrain."""
    outcome = st.sampled_from(["promoted", "rejected", "failed"])
    return draw(st.lists(st.tuples(st.booleans(), outcome), min_size=60, max_size=200))


def lived(days: list[tuple[bool, Outcome]], policy: MonitoringPolicy) -> Iterator[Attempt]:
    """Play a history: every day what is decided is done, with the outcome the history has for that day."""
    champion, version = Champion(1, date(2017, 1, 1), date(2017, 1, 29)), 1
    attempts: list[Attempt] = []
    judged: dict[date, str] = {}
    for number, (evident, outcome) in enumerate(days):
        today = date(2017, 2, 1) + timedelta(days=number)
        mature = date(2017, 1, 1) + timedelta(weeks=(today - date(2017, 1, 29)).days // 7)
        found = replace(FOUND, as_of=today, evidence_id=str(today)) if evident else None
        situation = Situation(
            today, champion, mature, evidence=found, judged=judged.get(mature), attempts=tuple(attempts)
        )
        if decide(situation, policy).kind != "retrain":
            continue
        attempts.append(Attempt(today, mature, version, outcome))
        yield attempts[-1]
        if outcome == "rejected":
            judged[mature] = "Judged already."
        if outcome == "promoted":
            version, judged = version + 1, {}
            champion = Champion(version, mature, today)


@examples(60)
@given(histories())
def test_retraining_can_neither_storm_nor_loop(days: list[tuple[bool, Outcome]]) -> None:
    """Whatever the evidence and the outcomes: the budget, the bounds on failures and on rejections hold."""
    done = list(lived(days, POLICY))
    ended = [a for a in done if a.outcome != "failed"]
    for attempt in ended:
        within = [a for a in ended if attempt.on <= a.on < attempt.on + MONTH]
        assert len(within) <= POLICY.retrains_a_month
    promoted = [a.on for a in ended if a.outcome == "promoted"]
    assert all(b - a >= timedelta(days=POLICY.cool_down_days) for a, b in itertools.pairwise(promoted))
    for cutoff, champion in {(a.cutoff, a.champion) for a in done}:
        same = [a for a in done if (a.cutoff, a.champion) == (cutoff, champion)]
        assert sum(a.outcome == "failed" for a in same) <= ATTEMPTS
        assert sum(a.outcome != "failed" for a in same) <= 1
    for champion in {a.champion for a in done}:
        assert sum(a.outcome == "rejected" for a in ended if a.champion == champion) <= POLICY.rejections


@examples(30)
@given(st.lists(st.booleans(), min_size=120, max_size=200))
def test_retraining_does_not_stall(evident: list[bool]) -> None:
    """A model whose candidates pass is never older than its maximum age, a week of maturing and the cool-down."""
    cutoffs = [date(2017, 1, 1), *(a.cutoff for a in lived([(e, "promoted") for e in evident], POLICY))]
    longest = timedelta(days=POLICY.max_age_days + 7 + POLICY.cool_down_days)
    assert all(b - a <= longest for a, b in itertools.pairwise(cutoffs))
    newest = date(2017, 2, 1) + timedelta(days=len(evident))
    assert newest - cutoffs[-1] <= longest + timedelta(days=28 + 7)
