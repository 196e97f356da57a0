from dataclasses import replace

import pytest

from ml_assets.registry.book import Book
from ml_assets.registry.mlflow_registry import RegistryError, Version
from ml_assets.registry.promotion import (
    ChampionMoved,
    Followed,
    approve,
    override,
    promote,
    promote_version,
)
from ml_assets_tests.registry.shelf import (
    HOLDOUT,
    MODEL,
    POLICY,
    Shelf,
    decide,
    moves,
    train,
    under,
    verdict,
    week,
)


def promoted(book: Book) -> Followed:
    return promote(book, who="ada", run="r1")


def approved(book: Book, version: int | None = None) -> ChampionMoved:
    return approve(book, who="ada", reason="looks good", version=version)


@pytest.fixture
def by_hand(book: Book) -> Book:
    """A model with champion 1 where a person approves."""
    decide(book, verdict(1, None))
    promoted(book)
    return under(book, approval="manual")


# promote


def test_every_version_that_earned_it_is_on_record_and_the_aliases_follow(book: Book, shelf: Shelf) -> None:
    decide(book, verdict(1, None), verdict(2, 1, passed=False), verdict(3, 1))
    outcome = promoted(book)
    assert shelf.pointing == {"champion": 3, "previous": 1}
    assert outcome.champion == shelf.version(MODEL, 3)
    assert (outcome.refused_newest, outcome.notes, outcome.challenger) == ("", (), None)
    assert moves(book) == [("promote", None, 1), ("promote", 1, 3)]
    again = promoted(book)
    assert (again.plan.promote, again.refused_newest) == ((), "")
    assert len(moves(book)) == 2


def test_a_line_names_the_decision_record_it_leans_on(book: Book) -> None:
    decide(book, verdict(1, None))
    read = book.tables.decisions.version
    promoted(book)
    decide(book, verdict(2, 1))
    (line,) = book.log().moves
    assert line.evidence == {
        "cutoff": str(week(1)),
        "passed": True,
        "compared_with": None,
        "decisions": read,
        "evaluation": None,
        "holdout": HOLDOUT,
        "policy": POLICY,
    }
    assert line.reason == f"passed every gate at cutoff {week(1)}; run r1"


def test_a_refusal_says_why_and_who_stays(book: Book) -> None:
    decide(book, verdict(1, None, passed=False))
    assert promoted(book).refused_newest == (
        f"Version 1 of cutoff {week(1)} is not promoted. is_calibrated: measured. There is no champion yet."
    )
    assert not book.tables.promotions.exists
    override(book, who="ada", reason="it must", version=1)
    decide(book, verdict(2, 1, passed=False))
    assert promoted(book).refused_newest.endswith("is_calibrated: measured. Version 1 stays champion.")


def test_without_any_evaluation_it_says_what_to_do(book: Book) -> None:
    outcome = promoted(book)
    assert outcome.champion is None
    assert outcome.refused_newest == (
        "There is no champion, and no candidate of lapse has been evaluated: materialize lapse/evaluation."
    )


def test_what_was_overtaken_long_ago_fails_nothing(book: Book) -> None:
    decide(book, verdict(1, None), verdict(2, 1))
    promoted(book)
    decide(book, replace(verdict(9, 1), cutoff=week(1)))
    outcome = promoted(book)
    assert outcome.refused_newest == ""
    assert [v.version for v, _ in outcome.plan.refuse] == [9]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda book: train(book, 5, 2), "that cutoff was trained again, as version 5"),
        (lambda book: decide(book, replace(verdict(2, 1), policy="old")), "it was judged under old"),
        (lambda book: decide(book, verdict(2, 7)), "compares with version 7, but the champion is version 1"),
    ],
    ids=["trained again", "another policy", "another champion"],
)
def test_stale_evidence_is_refused_in_the_same_words_everywhere(book: Book, spoil, said: str) -> None:
    decide(book, verdict(1, None))
    promoted(book)
    decide(book, verdict(2, 1))
    spoil(book)
    start = f"Version 2 of cutoff {week(2)} is not promoted. "
    refused = promoted(book).refused_newest
    assert refused.startswith(start)
    assert said in refused
    why = refused.removeprefix(start).removesuffix(" Version 1 stays champion.")
    for act in (
        approved,
        lambda book: approved(book, 2),
        lambda b: promote_version(b, who="a", reason="x", version=2),
    ):
        with pytest.raises(RegistryError) as caught:
            act(book)
        assert str(caught.value) == start + why
    assert moves(book) == [("promote", None, 1)]


def test_a_holdout_that_changed_is_refused(by_hand: Book, shelf: Shelf) -> None:
    decide(by_hand, verdict(2, 1))
    promoted(by_hand)
    assert shelf.pointing["challenger"] == 2
    changed = under(by_hand, holdout=lambda cutoff: "other")
    with pytest.raises(RegistryError, match="labels or features of its holdout have changed since"):
        approved(changed)
    assert shelf.pointing == {"champion": 1}, "what can't be approved is no challenger"
    assert approved(under(by_hand, holdout=lambda cutoff: HOLDOUT)).after.number == 2


# approval


def test_what_passed_waits_until_somebody_approves(by_hand: Book, shelf: Shelf) -> None:
    decide(by_hand, verdict(2, 1), verdict(3, 1))
    outcome = promoted(by_hand)
    assert (outcome.champion, outcome.challenger) == (shelf.version(MODEL, 1), shelf.version(MODEL, 3))
    assert (outcome.refused_newest, moves(by_hand)) == ("", [("promote", None, 1)])
    assert shelf.pointing == {"champion": 1, "challenger": 3}
    done = approved(by_hand)
    assert (done.before, done.after.number, done.notes) == (1, 3, ())
    assert shelf.pointing == {"champion": 3, "previous": 1}
    line = by_hand.log().moves[-1]
    assert (line.action, line.who, line.reason) == ("approve", "ada", "looks good")
    assert line.evidence is not None
    assert line.evidence["compared_with"] == 1
    with pytest.raises(
        RegistryError, match=f"it was overtaken: the champion, version 3, is of the later .*{week(3)}"
    ):
        approved(by_hand, 2)


def test_an_older_version_that_waits_can_be_chosen(by_hand: Book, shelf: Shelf) -> None:
    decide(by_hand, verdict(2, 1), verdict(3, 1))
    assert approved(by_hand, 2).after.number == 2
    assert shelf.pointing == {"champion": 2, "previous": 1}
    with pytest.raises(RegistryError, match="compares with version 1, but the champion is version 2"):
        approved(by_hand)


def test_before_the_first_champion_it_says_what_waits(book: Book) -> None:
    book = under(book, approval="manual")
    decide(book, verdict(1, None))
    outcome = promoted(book)
    assert outcome.champion is None
    assert outcome.refused_newest == (
        "There is no champion yet. Version 1 passed and waits: ml-assets models approve lapse --why TEXT."
    )
    assert approved(book).before is None


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (None, "No candidate of lapse waits: nothing has passed since the champion"),
        (2, f"Version 2 of lapse has no decision record that it passed.*of {week(2)} while .*--override"),
        (1, "Version 1 of lapse is champion already"),
        (12, "Model lapse has no version 12"),
    ],
)
def test_what_cannot_be_approved(by_hand: Book, version: int | None, said: str) -> None:
    with pytest.raises(RegistryError, match=said):
        approved(by_hand, version)


def test_a_former_champion_is_not_approved_but_rolled_back_to(by_hand: Book) -> None:
    decide(by_hand, verdict(2, 1))
    approved(by_hand)
    with pytest.raises(
        RegistryError, match=r"was champion before; .* ml-assets models rollback lapse --to 1 --why"
    ):
        approved(by_hand, 1)


def test_promoting_one_version_needs_its_evidence_and_leave(by_hand: Book, book: Book) -> None:
    decide(book, verdict(2, 1), verdict(3, 1, passed=False))
    with pytest.raises(RegistryError, match="waits for approval: ml-assets models approve lapse 2 --why"):
        promote_version(by_hand, who="ada", reason="x", version=2)
    with pytest.raises(RegistryError, match=r"Version 3 .* is not promoted. is_calibrated: measured"):
        promote_version(book, who="ada", reason="x", version=3)
    assert promote_version(book, who="ada", reason="x", version=2).after.number == 2
    assert moves(book)[-1] == ("promote", 1, 2)


# override


def test_a_version_that_failed_can_be_put_there_by_name_and_reason(book: Book, shelf: Shelf) -> None:
    decide(book, verdict(1, None), verdict(2, 1, passed=False))
    promoted(book)
    for who, reason in (("", "why"), ("ada", "  ")):
        with pytest.raises(RegistryError, match="To override version 2 of lapse, say who and why"):
            override(book, who=who, reason=reason, version=2)
    assert override(book, who="ada", reason="the old one is broken", version=2).before == 1
    assert shelf.pointing == {"champion": 2, "previous": 1}
    line = book.log().moves[-1]
    assert (line.action, line.who, line.reason) == ("override", "ada", "the old one is broken")
    assert line.evidence is not None
    assert line.evidence["passed"] is False
    decide(book, verdict(3, book.reference(week(3))))
    assert promoted(book).champion == shelf.version(MODEL, 3)
    with pytest.raises(RegistryError, match="Version 3 of lapse is champion already"):
        override(book, who="ada", reason="x", version=3)


def test_an_override_without_any_evidence_says_so(book: Book) -> None:
    override(book, who="ada", reason="x", version=4)
    assert book.log().moves[-1].evidence is None


def test_a_version_of_unknown_cutoff_is_not_put_there(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shelf, "version", lambda shelf, model, number: Version(model, number, "run", {}))
    with pytest.raises(RegistryError, match="Version 4 of lapse has no tag cutoff"):
        override(book, who="ada", reason="x", version=4)
