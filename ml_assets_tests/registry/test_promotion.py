import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.lake import Lake, Table, connect
from ml_assets.registry import Registry, Version
from ml_assets.registry.mlflow_registry import RegistryError
from ml_assets.registry.promotion import (
    Verdict,
    log_promotion,
    plan,
    promote,
    read_verdicts,
    reference,
    rollback,
    withdrawn,
)

START = date(2017, 4, 2)
MODEL = "lapse"


def week(n: int) -> date:
    return START + timedelta(weeks=n)


def verdict(version: int, against: int | None, *, passed: bool = True, cutoff: int | None = None) -> Verdict:
    """The verdict on a version, trained at the week of the same number unless told otherwise."""
    at = week(version if cutoff is None else cutoff)
    return Verdict(at, version, against, passed, "" if passed else "is_calibrated: it is not.")


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


@pytest.fixture
def log(tmp_path: Path) -> Table:
    return Lake(str(tmp_path / "lake")).table("lapse/promotions", "month")


@pytest.fixture
def decisions(tmp_path: Path) -> Table:
    return Lake(str(tmp_path / "lake")).table("lapse/decisions", "cutoff")


# reference: what a candidate is compared with


def test_a_candidate_is_compared_with_the_newest_that_passed_before_it() -> None:
    verdicts = [verdict(1, None), verdict(2, 1, passed=False), verdict(3, 1), verdict(4, 3)]
    assert [reference(verdicts, [], week(n)) for n in range(6)] == [None, None, 1, 1, 3, 4]


def test_a_withdrawn_version_is_no_reference() -> None:
    verdicts = [verdict(1, None), verdict(2, 1), verdict(3, 2)]
    assert reference(verdicts, [3], week(9)) == 2
    assert reference(verdicts, [3, 2, 1], week(9)) is None
    assert reference([], [], week(9)) is None


# plan


def test_candidates_are_promoted_one_after_the_other_by_cutoff() -> None:
    verdicts = [verdict(3, 2), verdict(1, None), verdict(2, 1)]
    assert [v.version for v in plan(verdicts, [], None, None).promote] == [1, 2, 3]


def test_the_order_is_that_of_cutoffs_not_of_versions() -> None:
    first, second = verdict(7, None, cutoff=1), verdict(3, 7, cutoff=2)
    assert plan([second, first], [], None, None).promote == (first, second)


def test_a_candidate_that_failed_is_refused_with_its_reason() -> None:
    verdicts = [verdict(1, None), verdict(2, 1, passed=False), verdict(3, 1)]
    found = plan(verdicts, [], None, None)
    assert [v.version for v in found.promote] == [1, 3]
    assert found.refuse == ((verdicts[1], "is_calibrated: it is not."),)


@pytest.mark.parametrize(
    ("against", "champion", "said"),
    [
        (1, 2, "its evidence compares with version 1, but the champion is version 2: evaluate it again"),
        (None, 2, "its evidence compares with no champion, but the champion is version 2: evaluate it again"),
        (1, None, "its evidence compares with version 1, but the champion is none: evaluate it again"),
    ],
)
def test_evidence_against_another_champion_is_stale(
    against: int | None, champion: int | None, said: str
) -> None:
    stale = verdict(5, against)
    found = plan([stale], [], champion, week(champion) if champion else None)
    assert (found.promote, found.refuse) == ((), ((stale, said),))


def test_a_version_that_was_rolled_back_is_not_promoted_again() -> None:
    verdicts = [verdict(1, None), verdict(2, 1), verdict(3, 2), verdict(4, 1)]
    found = plan(verdicts, [2], 1, week(1))
    assert [v.version for v in found.promote] == [4]
    assert [(v.version, why.split(";")[0]) for v, why in found.refuse] == [
        (2, "version 2 was rolled back"),
        (3, "its evidence compares with version 2, but the champion is version 1: evaluate it again"),
    ]


def test_candidates_not_newer_than_the_champion_are_left_alone() -> None:
    verdicts = [verdict(1, None), verdict(2, 1), verdict(9, 2, cutoff=2)]
    assert plan(verdicts, [], 2, week(2)) == plan([], [], None, None)


@dataclass(frozen=True)
class Situation:
    """Verdicts, what was withdrawn, and the champion at the moment."""

    verdicts: Sequence[Verdict]
    withdrawn: Sequence[int]
    champion: int | None
    champion_cutoff: date | None


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    number = draw(st.integers(0, 7))
    known = st.one_of(st.none(), st.integers(1, 8))
    cutoffs = draw(st.lists(st.integers(0, 9), min_size=number, max_size=number, unique=True))
    verdicts = [
        Verdict(week(cutoff), version, draw(known), draw(st.booleans()), "a gate failed.")
        for version, cutoff in enumerate(cutoffs, start=1)
    ]
    away = draw(st.lists(st.integers(1, 8), max_size=2, unique=True))
    champion = draw(st.sampled_from([None, *(v for v in verdicts if v.version not in away)]))
    return Situation(
        verdicts, away, champion.version if champion else None, champion.cutoff if champion else None
    )


@settings(max_examples=300, deadline=None)
@given(situations())
def test_what_a_plan_never_does(given: Situation) -> None:
    found = plan(given.verdicts, given.withdrawn, given.champion, given.champion_cutoff)
    current = given.champion
    for promoted in found.promote:
        assert promoted.passed
        assert promoted.version not in given.withdrawn
        assert promoted.champion_version == current
        assert given.champion_cutoff is None or promoted.cutoff > given.champion_cutoff
        current = promoted.version
    cutoffs = [v.cutoff for v in found.promote]
    assert cutoffs == sorted(cutoffs)
    refused = [v for v, _ in found.refuse]
    waiting = [v for v in given.verdicts if given.champion_cutoff is None or v.cutoff > given.champion_cutoff]
    assert sorted([*found.promote, *refused], key=lambda v: v.version) == sorted(
        waiting, key=lambda v: v.version
    )
    assert all(why for _, why in found.refuse)


@settings(max_examples=100, deadline=None)
@given(situations(), st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_verdicts(given: Situation, rng: random.Random) -> None:
    shuffled = list(given.verdicts)
    rng.shuffle(shuffled)
    facts = (given.withdrawn, given.champion, given.champion_cutoff)
    assert plan(shuffled, *facts) == plan(given.verdicts, *facts)


@settings(max_examples=100, deadline=None)
@given(situations())
def test_a_plan_that_was_followed_leaves_nothing_to_promote(given: Situation) -> None:
    found = plan(given.verdicts, given.withdrawn, given.champion, given.champion_cutoff)
    if found.promote:
        newest = found.promote[-1]
        assert plan(given.verdicts, given.withdrawn, newest.version, newest.cutoff).promote == ()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), max_size=8), st.lists(st.integers(1, 8), max_size=2, unique=True))
def test_evidence_against_the_reference_is_never_stale(outcomes: list[bool], away: list[int]) -> None:
    """Walking forward, each candidate judged against its reference: whatever passes can be promoted."""
    verdicts: list[Verdict] = []
    for version, passed in enumerate(outcomes, start=1):
        against = reference(verdicts, away, week(version))
        verdicts.append(verdict(version, against, passed=passed))
    found = plan(verdicts, away, None, None)
    assert [v.version for v in found.promote] == [
        v.version for v in verdicts if v.passed and v.version not in away
    ]


# the promotion log


def line(con: duckdb.DuckDBPyConnection, log: Table, action: str, from_version: int | None, to: int) -> None:
    log_promotion(
        con,
        log,
        model=MODEL,
        action=action,
        from_version=from_version,
        to_version=to,
        cutoff=week(to),
        who="ada",
        reason="because",
    )


def test_nothing_is_withdrawn_before_the_first_line(con: duckdb.DuckDBPyConnection, log: Table) -> None:
    assert withdrawn(con, log) == []


@pytest.mark.parametrize(
    ("moves", "away"),
    [
        ([("promote", None, 1), ("promote", 1, 2)], []),
        ([("promote", None, 1), ("promote", 1, 2), ("rollback", 2, 1)], [2]),
        ([("promote", None, 1), ("promote", 1, 2), ("rollback", 2, 1), ("promote", 1, 3)], [2]),
        ([("promote", 1, 2), ("promote", 2, 3), ("rollback", 3, 2), ("rollback", 2, 1)], [2, 3]),
        ([("promote", 1, 2), ("rollback", 2, 1), ("rollback", 1, 2)], [1]),
        ([("promote", 1, 2), ("rollback", 2, 1), ("promote", 1, 2)], []),
    ],
    ids=str,
)
def test_what_a_rollback_moved_away_from_is_withdrawn(
    con: duckdb.DuckDBPyConnection, log: Table, moves: list[tuple[str, int | None, int]], away: list[int]
) -> None:
    for move in moves:
        line(con, log, *move)
    assert withdrawn(con, log) == away


def test_a_line_says_who_did_what_when_and_why(con: duckdb.DuckDBPyConnection, log: Table) -> None:
    before = datetime.now(tz=UTC)
    line(con, log, "promote", None, 1)
    columns = ["model", "action", "from_version", "to_version", "cutoff", "who", "reason"]
    assert log.read(con, columns=columns).fetchall() == [
        (MODEL, "promote", None, 1, week(1), "ada", "because")
    ]
    ((at, month),) = log.read(con, columns=["at", "month"]).fetchall()
    assert before <= at <= datetime.now(tz=UTC)
    assert month == at.astimezone(UTC).date().replace(day=1)


# decision records


def decide(con: duckdb.DuckDBPyConnection, decisions: Table, *verdicts: Verdict) -> None:
    """Write the records of verdicts: two gates each, the second of which decides."""
    for one in verdicts:
        against = "NULL" if one.champion_version is None else one.champion_version
        status = "PASS" if one.passed else "FAIL"
        rows = con.sql(
            f"SELECT DATE '{one.cutoff}' AS cutoff, {one.version}::BIGINT AS model_version, "
            f"{against}::BIGINT AS champion_version, gate, status, reason FROM (VALUES "
            f"('beats_baseline', 'PASS', 'it does.'), ('is_calibrated', '{status}', 'measured.')) "
            "AS gates(gate, status, reason)"
        )
        decisions.replace(rows, between=(one.cutoff, one.cutoff), metadata={})


def test_a_record_passes_only_if_every_gate_does(con: duckdb.DuckDBPyConnection, decisions: Table) -> None:
    assert read_verdicts(con, decisions) == []
    decide(con, decisions, verdict(2, 1, passed=False), verdict(1, None))
    assert read_verdicts(con, decisions) == [
        Verdict(week(1), 1, None, True, ""),
        Verdict(week(2), 2, 1, False, "is_calibrated: measured."),
    ]


# promote and rollback


@dataclass(frozen=True)
class Shelf(Registry):
    """A registry in memory: versions 1 to 9, and where the alias points."""

    moves: list[int] = field(default_factory=list)

    def version(self, model: str, number: int) -> Version:
        if number > 9:
            raise RegistryError(f"Model {model} has no version {number}.")
        return Version(model, number, f"run {number}", {"cutoff": str(week(number))})

    def champion(self, model: str) -> Version | None:
        return self.version(model, self.moves[-1]) if self.moves else None

    def set_champion(self, version: Version) -> None:
        self.moves.append(version.number)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf("nowhere", "nowhere")


def moves(con: duckdb.DuckDBPyConnection, log: Table) -> list[tuple[object, ...]]:
    return (
        log.read(con, columns=["action", "from_version", "to_version", "cutoff", "at"])
        .order('"at"')
        .project("action, from_version, to_version, cutoff")
        .fetchall()
    )


def test_the_alias_goes_through_every_version_that_earned_it(
    con: duckdb.DuckDBPyConnection, log: Table, decisions: Table, shelf: Shelf
) -> None:
    decide(con, decisions, verdict(1, None), verdict(2, 1, passed=False), verdict(3, 1))
    outcome = promote(con, shelf, decisions, log, model=MODEL, who="ada", run="r1")
    assert shelf.moves == [1, 3]
    assert outcome.champion == shelf.version(MODEL, 3)
    assert outcome.refused_newest == ""
    assert moves(con, log) == [("promote", None, 1, week(1)), ("promote", 1, 3, week(3))]
    assert promote(con, shelf, decisions, log, model=MODEL, who="ada", run="r2").plan.promote == ()
    assert (shelf.moves, len(moves(con, log))) == ([1, 3], 2)


def test_a_refusal_says_why_and_who_stays(
    con: duckdb.DuckDBPyConnection, log: Table, decisions: Table, shelf: Shelf
) -> None:
    decide(con, decisions, verdict(1, None, passed=False))
    refused = promote(con, shelf, decisions, log, model=MODEL, who="ada", run="r").refused_newest
    assert refused == (
        f"Version 1 of cutoff {week(1)} is not promoted. is_calibrated: measured. There is no champion yet."
    )
    shelf.set_champion(shelf.version(MODEL, 1))
    decide(con, decisions, verdict(2, 1, passed=False))
    refused = promote(con, shelf, decisions, log, model=MODEL, who="ada", run="r").refused_newest
    assert refused.endswith("measured. Version 1 stays champion.")
    assert not log.exists


def test_without_any_evaluation_it_says_what_to_do(
    con: duckdb.DuckDBPyConnection, log: Table, decisions: Table, shelf: Shelf
) -> None:
    outcome = promote(con, shelf, decisions, log, model=MODEL, who="ada", run="r")
    assert outcome.champion is None
    assert outcome.refused_newest == (
        "There is no champion, and no candidate of lapse has been evaluated: materialize lapse/evaluation."
    )


def test_a_rolled_back_version_stays_away(
    con: duckdb.DuckDBPyConnection, log: Table, decisions: Table, shelf: Shelf
) -> None:
    decide(con, decisions, verdict(1, None), verdict(2, 1))
    promote(con, shelf, decisions, log, model=MODEL, who="ada", run="r")
    away, back = rollback(con, shelf, log, model=MODEL, who="ada", reason="complaints")
    assert (away.number, back.number, shelf.moves[-1]) == (2, 1, 1)
    assert moves(con, log)[-1] == ("rollback", 2, 1, week(1))
    outcome = promote(con, shelf, decisions, log, model=MODEL, who="ada", run="r")
    assert shelf.moves == [1, 2, 1]
    assert "version 2 was rolled back; a newer candidate is needed" in outcome.refused_newest
    decide(con, decisions, verdict(3, 1))
    promote(con, shelf, decisions, log, model=MODEL, who="ada", run="r")
    assert shelf.moves[-1] == 3
    rollback(con, shelf, log, model=MODEL, who="ada", reason="again")
    assert shelf.moves[-1] == 1, "back to the version before, not to the one that was rolled back"


def test_a_rollback_that_cannot_be_done(
    con: duckdb.DuckDBPyConnection, log: Table, decisions: Table, shelf: Shelf
) -> None:
    with pytest.raises(RegistryError, match="Model lapse has no champion, so there is nothing to roll back"):
        rollback(con, shelf, log, model=MODEL, who="ada", reason="x")
    decide(con, decisions, verdict(1, None))
    promote(con, shelf, decisions, log, model=MODEL, who="ada", run="r")
    with pytest.raises(RegistryError, match=r"Version 1 of lapse is the first champion; name the .* --to"):
        rollback(con, shelf, log, model=MODEL, who="ada", reason="x")
    with pytest.raises(RegistryError, match="has no version 12"):
        rollback(con, shelf, log, model=MODEL, who="ada", reason="x", to=12)
    assert (shelf.moves, len(moves(con, log))) == ([1], 1)


# against MLflow


@pytest.mark.slow
def test_promotion_and_rollback_in_mlflow(
    con: duckdb.DuckDBPyConnection, log: Table, decisions: Table, tmp_path: Path
) -> None:
    import numpy as np
    import pandas as pd
    import xgboost as xgb

    registry = Registry.below(tmp_path)
    registry.prepare()
    assert registry.champion(MODEL) is None
    example = pd.DataFrame({"recency": np.linspace(0, 56, 40), "trips": np.arange(40.0) % 7})
    logged: list[tuple[Version, bytes]] = []
    for number in (1, 2):
        labels = (example["recency"] > 20 * number).astype(int)
        booster = xgb.train(
            {"objective": "binary:logistic", "seed": 7}, xgb.DMatrix(example, labels), num_boost_round=2
        )
        with registry.run(MODEL, f"cutoff {week(number)}", {}):
            version = registry.log_booster(MODEL, booster, example, {"cutoff": str(week(number))})
        logged.append((version, bytes(booster.save_raw("ubj"))))
    first, second = (version for version, _ in logged)
    assert (first.number, second.number, second.cutoff) == (1, 2, week(2))

    decide(con, decisions, verdict(1, None), verdict(2, 1))
    outcome = promote(con, registry, decisions, log, model=MODEL, who="ada", run="r")
    champion = registry.champion(MODEL)
    assert champion == outcome.champion
    assert champion is not None
    assert (champion.number, champion.cutoff, champion.run_id) == (2, week(2), second.run_id)
    assert bytes(registry.load(champion).save_raw("ubj")) == logged[1][1]

    rollback(con, registry, log, model=MODEL, who="ada", reason="complaints")
    assert registry.champion(MODEL) == replace(first, tags=registry.version(MODEL, 1).tags)
    aliases = registry.client().get_registered_model(MODEL).aliases
    assert {name: int(number) for name, number in aliases.items()} == {"champion": 1}
    refused = promote(con, registry, decisions, log, model=MODEL, who="ada", run="r").refused_newest
    assert "version 2 was rolled back" in refused
    assert moves(con, log) == [
        ("promote", None, 1, week(1)),
        ("promote", 1, 2, week(2)),
        ("rollback", 2, 1, week(1)),
    ]
    with pytest.raises(RegistryError, match="Model lapse has no version 7 in sqlite:"):
        rollback(con, registry, log, model=MODEL, who="ada", reason="x", to=7)
