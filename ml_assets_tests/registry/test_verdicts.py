import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.lake import Provenance
from ml_assets.registry.book import Book
from ml_assets.registry.promotion_log import Move, PromotionLog
from ml_assets.registry.verdicts import (
    GateVerdict,
    Plan,
    PromotionRules,
    newest_candidates,
    plan,
    read_verdicts,
    reference,
)
from ml_assets_tests.profiles import examples
from ml_assets_tests.registry.shelf import MODEL, POLICY, decide, train, verdict, week

RULES = PromotionRules(POLICY)
MANUAL = PromotionRules(POLICY, "manual")
AGAIN = "materialize lapse/evaluation of"


def log_of(*moves: tuple[int | None, int], away: Sequence[int] = ()) -> PromotionLog:
    """A log of promotions, from one version to another; versions ``away`` were rolled back before them."""
    lines = [Move("promote", start, to, week(to), "ada", "because") for start, to in moves]
    back = [Move("rollback", gone, 0, week(0), "ada", "complaints") for gone in away]
    return PromotionLog(MODEL, (*back, *lines), len(lines))


def trained(verdicts: Sequence[GateVerdict]) -> Mapping[date, int]:
    return {v.cutoff: v.version for v in verdicts}


def planned(
    verdicts: Sequence[GateVerdict], log: PromotionLog | None = None, rules: PromotionRules = RULES
) -> Plan:
    return plan(verdicts, log or log_of(), trained(verdicts), rules)


def promoted(*verdicts: GateVerdict, log: PromotionLog | None = None) -> list[int]:
    return [v.version for v in planned(verdicts, log).promote]


def why(
    *verdicts: GateVerdict, log: PromotionLog | None = None, rules: PromotionRules = RULES
) -> dict[int, str]:
    """What is refused, and why; nothing may be promoted."""
    found = planned(verdicts, log, rules)
    assert (found.promote, found.wait) == ((), ())
    return {v.version: reason for v, reason in found.refuse}


# plan


def test_candidates_are_promoted_one_after_the_other_by_cutoff() -> None:
    assert promoted(verdict(3, 2), verdict(1, None), verdict(2, 1)) == [1, 2, 3]


def test_the_order_is_that_of_cutoffs_not_of_versions() -> None:
    first, second = verdict(7, None, cutoff=1), verdict(3, 7, cutoff=2)
    assert planned([second, first]).promote == (first, second)


def test_a_candidate_that_failed_is_refused_with_its_reason() -> None:
    verdicts = [verdict(1, None), verdict(2, 1, passed=False), verdict(3, 1)]
    found = planned(verdicts)
    assert [v.version for v in found.promote] == [1, 3]
    assert found.refuse == ((verdicts[1], "is_calibrated: measured."),)


@pytest.mark.parametrize(
    ("against", "log", "said"),
    [
        (1, log_of((None, 1), (1, 2)), "its evidence compares with version 1, but the champion is version 2"),
        (None, log_of((None, 2)), "its evidence compares with no champion, but the champion is version 2"),
        (1, log_of(), "its evidence compares with version 1, but the champion is none"),
    ],
    ids=["another", "none", "no champion now"],
)
def test_evidence_against_another_champion_is_stale(
    against: int | None, log: PromotionLog, said: str
) -> None:
    assert why(verdict(5, against), log=log) == {5: f"{said}: evaluate it again: {AGAIN} {week(5)}"}


def test_a_version_that_was_rolled_back_is_not_promoted_again() -> None:
    verdicts = [verdict(2, 1), verdict(3, 2), verdict(4, 1)]
    found = planned(verdicts, log_of((None, 1), away=[2]))
    assert [v.version for v in found.promote] == [4]
    assert [(v.version, reason.split(";")[0]) for v, reason in found.refuse] == [
        (2, "version 2 was rolled back"),
        (
            3,
            "its evidence compares with version 2, but the champion is version 1: evaluate it again: "
            f"{AGAIN} {week(3)}",
        ),
    ]


def test_what_was_champion_before_is_left_alone() -> None:
    verdicts = [verdict(1, None), verdict(2, 1), verdict(3, 1, passed=False, cutoff=0)]
    assert planned(verdicts, log_of((None, 1), (1, 2))) == Plan()


@pytest.mark.parametrize(
    ("cutoff", "when"), [(2, "the same cutoff"), (1, f"the later cutoff {week(2)}")], ids=["same", "later"]
)
def test_what_a_newer_champion_overtook_is_refused(cutoff: int, when: str) -> None:
    assert why(verdict(9, 1, cutoff=cutoff), log=log_of((None, 1), (1, 2))) == {
        9: f"it was overtaken: the champion, version 2, is of {when}; a candidate of a cutoff after {week(2)} is needed"
    }


def test_evidence_about_a_version_that_was_trained_again_is_stale() -> None:
    found = plan([verdict(1, None)], log_of(), {week(1): 4}, RULES)
    assert found.promote == ()
    assert found.refuse[0][1] == (
        "its evidence is about version 1, but that cutoff was trained again, as version 4: evaluate that: "
        f"{AGAIN} {week(1)}"
    )


def test_evidence_about_a_candidate_that_is_not_on_record_is_not_followed() -> None:
    found = plan([verdict(1, None)], log_of(), {}, RULES)
    assert found.promote == ()
    assert (
        f"there is no candidate of cutoff {week(1)} on record: materialize lapse/candidate"
        in found.refuse[0][1]
    )


@pytest.mark.parametrize(
    ("policy", "said"),
    [("policy-before", "under policy-befor,"), (None, "under a policy that isn't on record,")],
    ids=["another", "not recorded"],
)
def test_evidence_under_another_policy_is_stale(policy: str | None, said: str) -> None:
    assert why(replace(verdict(1, None), policy=policy)) == {
        1: f"it was judged {said} and the gate policy is policy-of-to now: evaluate it again: {AGAIN} {week(1)}"
    }


@pytest.mark.parametrize("then", ["holdout-of-then", None])
def test_evidence_on_a_holdout_that_changed_is_stale(then: str | None) -> None:
    found = why(
        replace(verdict(1, None), holdout=then),
        rules=PromotionRules(POLICY, holdout=lambda cutoff: f"now {cutoff}"),
    )
    assert "the labels or features of its holdout have changed since it was judged (digest " in found[1]
    assert f"now now {week(1)}"[:12] in found[1]
    assert found[1].endswith(f"evaluate it again: {AGAIN} {week(1)}")


def test_a_holdout_is_only_asked_for_where_nothing_else_is_wrong() -> None:
    asked: list[date] = []

    def holdout(cutoff: date) -> str | None:
        asked.append(cutoff)
        return None

    verdicts = [verdict(1, None), verdict(2, 1, passed=False), verdict(3, 9)]
    assert [v.version for v in planned(verdicts, rules=PromotionRules(POLICY, holdout=holdout)).promote] == [
        1
    ]
    assert asked == [week(1)]


def test_where_a_person_approves_all_that_passed_waits_against_the_champion() -> None:
    verdicts = [verdict(2, 1), verdict(3, 1, passed=False), verdict(4, 1), verdict(5, 4)]
    found = planned(verdicts, log_of((None, 1)), MANUAL)
    assert found.promote == ()
    assert [v.version for v in found.wait] == [2, 4]
    assert found.challenger == 4
    assert [v.version for v, _ in found.refuse] == [3, 5]
    assert planned([verdict(3, 1, passed=False)], log_of((None, 1)), MANUAL).challenger is None


@dataclass(frozen=True)
class Situation:
    """Verdicts, and the log at the moment."""

    verdicts: Sequence[GateVerdict]
    log: PromotionLog

    @property
    def newer(self) -> list[GateVerdict]:
        return [v for v in self.verdicts if self.log.cutoff is None or v.cutoff > self.log.cutoff]


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    number = draw(st.integers(0, 7))
    known = st.one_of(st.none(), st.integers(1, 8))
    cutoffs = draw(st.lists(st.integers(0, 9), min_size=number, max_size=number, unique=True))
    verdicts = [
        GateVerdict(week(cutoff), version, draw(known), draw(st.booleans()), "a gate failed.", None, POLICY)
        for version, cutoff in enumerate(cutoffs, start=1)
    ]
    away = draw(st.lists(st.integers(1, 8), max_size=2, unique=True))
    champion = draw(st.sampled_from([None, *(v for v in verdicts if v.version not in away)]))
    log = log_of(away=away if champion else [])
    if champion:
        line = Move("promote", None, champion.version, champion.cutoff, "ada", "because")
        log = replace(log, moves=(*log.moves, line))
    return Situation(verdicts, log)


@examples(200)
@given(situations())
def test_what_a_plan_never_does(given: Situation) -> None:
    found = planned(given.verdicts, given.log)
    current = given.log.champion
    for chosen in found.promote:
        assert chosen.passed
        assert chosen.version not in given.log.withdrawn
        assert chosen.champion_version == current
        assert given.log.cutoff is None or chosen.cutoff > given.log.cutoff
        current = chosen.version
    cutoffs = [v.cutoff for v in found.promote]
    assert cutoffs == sorted(cutoffs)
    answered = {v.version for v in found.promote} | {v.version for v, _ in found.refuse}
    assert answered >= {v.version for v in given.newer}
    assert all(reason for _, reason in found.refuse)
    by_hand = planned(given.verdicts, given.log, MANUAL)
    assert by_hand.promote == ()
    assert all(v.passed and v.champion_version == given.log.champion for v in by_hand.wait)


@examples(60)
@given(situations(), st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_verdicts(given: Situation, rng: random.Random) -> None:
    shuffled = list(given.verdicts)
    rng.shuffle(shuffled)
    assert planned(shuffled, given.log) == planned(given.verdicts, given.log)


@examples(60)
@given(situations())
def test_a_plan_that_was_followed_leaves_nothing_to_promote(given: Situation) -> None:
    done = planned(given.verdicts, given.log).promote
    lines = tuple(Move("promote", None, v.version, v.cutoff, "ada", "because") for v in done)
    after = replace(given.log, moves=(*given.log.moves, *lines))
    if done:
        assert planned(given.verdicts, after).promote == ()


# reference: what a candidate is compared with


def compared(
    verdicts: Sequence[GateVerdict], log: PromotionLog, n: int, rules: PromotionRules = RULES
) -> int | None:
    return reference(verdicts, log, trained(verdicts), rules, week(n))


def test_a_candidate_is_compared_with_the_newest_that_will_be_promoted_before_it() -> None:
    verdicts = [verdict(1, None), verdict(2, 1, passed=False), verdict(3, 1), verdict(4, 3)]
    assert [compared(verdicts, log_of(), n) for n in range(6)] == [None, None, 1, 1, 3, 4]


def test_looking_back_it_is_the_newest_that_passed_and_was_not_withdrawn() -> None:
    verdicts = [verdict(1, None), verdict(2, 1), verdict(3, 2)]
    log = log_of((None, 9), away=[3])
    assert [compared(verdicts, log, n) for n in range(5)] == [None, None, 1, 2, 2]


def test_it_is_the_champion_where_a_person_put_another_there() -> None:
    log = PromotionLog(
        MODEL,
        (
            Move("promote", None, 1, week(1), "ada", "x"),
            Move("override", 1, 2, week(2), "ada", "x"),
        ),
    )
    verdicts = [verdict(1, None), verdict(2, 1, passed=False), verdict(3, 1)]
    assert compared(verdicts, log, 4) == 2
    assert compared([verdict(4, 2)], log, 5) == 4


def test_it_is_the_champion_where_a_person_approves() -> None:
    verdicts = [verdict(1, None), verdict(2, 1), verdict(3, 1)]
    assert compared(verdicts, log_of((None, 1)), 4, MANUAL) == 1


@examples(100)
@given(st.lists(st.booleans(), max_size=8), st.sampled_from([RULES, MANUAL]), st.integers(0, 3))
def test_evidence_against_the_reference_is_never_stale(
    outcomes: list[bool], rules: PromotionRules, start: int
) -> None:
    """Walking forward, each candidate judged against its reference: whatever passes can be promoted."""
    log = log_of((None, 99)) if start else log_of()
    log = replace(log, moves=tuple(replace(m, cutoff=week(0)) for m in log.moves))
    verdicts: list[GateVerdict] = []
    for version, passed in enumerate(outcomes, start=1):
        against = reference(verdicts, log, trained(verdicts), rules, week(version))
        verdicts.append(verdict(version, against, passed=passed))
    found = planned(verdicts, log, rules)
    assert [v.version for v in (*found.promote, *found.wait)] == [v.version for v in verdicts if v.passed]


# decision records


def test_a_record_passes_only_if_every_gate_does(book: Book) -> None:
    con, decisions = book.con, book.tables.decisions
    assert read_verdicts(con, decisions) == []
    decide(book, verdict(2, 1, passed=False), verdict(1, None))
    assert read_verdicts(con, decisions) == [verdict(1, None), verdict(2, 1, passed=False)]
    assert {v.record for v in read_verdicts(con, decisions)} == {decisions.version}


@pytest.mark.parametrize(
    ("status", "passes"),
    [("PASS", True), ("WARN", True), ("FAIL", False), ("NOT EVALUATED", False), ("", False)],
)
def test_which_statuses_pass(book: Book, status: str, passes: bool) -> None:
    decide(book, verdict(1, None), statuses=[status])
    (found,) = book.verdicts()
    assert (found.passed, found.reason) == (passes, "" if passes else "is_calibrated: measured.")


def test_a_gate_without_a_status_does_not_pass(book: Book) -> None:
    decide(book, verdict(1, None))
    rows = book.tables.decisions.read(book.con).select(
        "* REPLACE (CASE gate WHEN 'beats_baseline' THEN NULL ELSE status END AS status)"
    )
    rows.create("spoilt")
    book.tables.decisions.replace(
        book.con.table("spoilt"), between=(week(1), week(1)), provenance=Provenance()
    )
    assert [v.passed for v in book.verdicts()] == [False]


def test_an_old_record_has_no_policy(book: Book) -> None:
    decide(book, verdict(1, None))
    old = book.tables.decisions.read(book.con).select("* EXCLUDE (policy)")
    table = book.tables.decisions.lake.table("lapse/old_decisions", "cutoff")
    table.replace(old, between=(week(1), week(1)), provenance=Provenance())
    assert [v.policy for v in read_verdicts(book.con, table)] == [None]


def test_the_newest_candidate_of_a_cutoff_counts(book: Book) -> None:
    assert newest_candidates(book.con, book.tables.candidate) == {}
    train(book, 1, 1)
    train(book, 2, 2)
    train(book, 3, 1)
    assert newest_candidates(book.con, book.tables.candidate) == {week(1): 3, week(2): 2}
