import pytest

from ml_assets.registry.book import Book
from ml_assets.registry.mlflow_registry import RegistryError, Version
from ml_assets.registry.promotion import override, promote
from ml_assets.registry.rollback import RolledBack, rollback
from ml_assets_tests.registry.shelf import Shelf, decide, moves, verdict, week


def back(book: Book, to: int | None = None) -> RolledBack:
    return rollback(book, who="ada", reason="complaints", smoke=lambda v: f"version {v.number} scored", to=to)


@pytest.fixture
def two(book: Book) -> Book:
    """A model with the champions 1 and 2."""
    decide(book, verdict(1, None), verdict(2, 1))
    promote(book, who="ada", run="r")
    return book


def test_a_rolled_back_version_stays_away(two: Book, shelf: Shelf) -> None:
    done = back(two)
    assert (done.moved.before, done.moved.after.number) == (2, 1)
    assert (done.before, done.after) == ("version 1 scored", "version 1 scored")
    assert shelf.pointing == {"champion": 1}
    assert moves(two)[-1] == ("rollback", 2, 1)
    outcome = promote(two, who="ada", run="r")
    assert "version 2 was rolled back; a newer candidate is needed" in outcome.refused_newest
    assert two.reference(week(3)) == 1
    decide(two, verdict(3, 1))
    promote(two, who="ada", run="r")
    assert shelf.pointing == {"champion": 3, "previous": 1}
    assert back(two).moved.after.number == 1, "to the version before, not to the one that was rolled back"


def test_to_any_version_that_was_champion(two: Book, shelf: Shelf) -> None:
    decide(two, verdict(3, 2))
    promote(two, who="ada", run="r")
    assert back(two, to=1).moved.after.number == 1
    assert back(two, to=3).moved.after.number == 3
    assert shelf.pointing == {"champion": 3, "previous": 2}


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (2, "Version 2 of lapse is champion already"),
        (
            5,
            "Version 5 of lapse has never been champion.*; 1 has. .* ml-assets models promote lapse 5 --override",
        ),
        (12, "Version 12 of lapse has never been champion"),
    ],
)
def test_where_it_cannot_go(two: Book, to: int, said: str) -> None:
    with pytest.raises(RegistryError, match=said):
        back(two, to)
    assert len(moves(two)) == 2


def test_nothing_to_go_back_to(book: Book) -> None:
    with pytest.raises(RegistryError, match="Model lapse has no champion, so there is nothing to roll back"):
        back(book)
    override(book, who="ada", reason="x", version=1)
    with pytest.raises(
        RegistryError, match="Version 1 of lapse is its first champion: nothing to go back to"
    ):
        back(book)
    override(book, who="ada", reason="x", version=2)
    back(book)
    with pytest.raises(RegistryError, match=r"No version before 1 of lapse is left; name .* --to, one of 2"):
        back(book)


def test_a_target_that_cannot_predict_leaves_everything_as_it_was(two: Book, shelf: Shelf) -> None:
    def smoke(version: Version) -> str:
        raise FileNotFoundError(f"no artifact of version {version.number}")

    before = (dict(shelf.pointing), two.tables.promotions.version)
    said = (
        "Version 1 of lapse can't predict, so version 2 stays champion and nothing was changed. "
        "FileNotFoundError: no artifact of version 1. Take another version with --to"
    )
    with pytest.raises(RegistryError, match=said):
        rollback(two, who="ada", reason="complaints", smoke=smoke)
    assert (dict(shelf.pointing), two.tables.promotions.version) == before


def test_the_smoke_is_of_the_target_and_then_of_the_champion(two: Book) -> None:
    asked: list[tuple[int, int | None]] = []

    def smoke(version: Version) -> str:
        asked.append((version.number, two.log().champion))
        return str(len(asked))

    done = rollback(two, who="ada", reason="complaints", smoke=smoke)
    assert asked == [(1, 2), (1, 1)]
    assert (done.before, done.after) == ("1", "2")


def test_a_lost_champion_can_be_rolled_back_from(two: Book, shelf: Shelf) -> None:
    shelf.gone.add(2)
    done = back(two)
    assert shelf.pointing == {"champion": 1}
    assert "the registry has no such version" in done.moved.notes[0]


FILE = {"model_sha256": "files-1:abc"}
RECIPE = {"cutoff": str(week(2)), "training_set": "rows-1:123", "config": "xyz"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (FILE, FILE),
        ({"model_sha256": "abc"}, FILE),
        ({**FILE, **RECIPE}, {"model_sha256": "other", **RECIPE}),
    ],
    ids=["the same files", "of which the older hash has no scheme", "the same rows and configuration"],
)
@pytest.mark.parametrize("lost", [True, False])
def test_what_was_rolled_back_stays_away_under_another_number(
    two: Book, shelf: Shelf, before: dict[str, str], after: dict[str, str], lost: bool
) -> None:
    shelf.tags.update({2: before, 3: after})
    back(two)
    if lost:
        shelf.gone.add(2)
    decide(two, verdict(3, 1, cutoff=2))
    refused = promote(two, who="ada", run="r").refused_newest
    assert "version 3 is version 2 trained again, which was rolled back; a newer candidate is" in refused
    assert (
        "ada said why: complaints. To use it all the same: ml-assets models promote lapse 3 --over" in refused
    )
    assert two.reference(week(3)) == 1
    override(two, who="eve", reason="it was the source", version=3)
    assert shelf.pointing["champion"] == 3
    back(two)
    shelf.tags[4] = {"model_sha256": "a new one"}
    decide(two, verdict(4, 1))
    assert promote(two, who="ada", run="r").champion == two.find(4), (
        "another model of a later cutoff is not meant"
    )


def test_a_person_who_says_otherwise_is_obeyed_from_then_on(two: Book, shelf: Shelf) -> None:
    shelf.tags.update({2: FILE, 3: FILE, 4: FILE})
    back(two)
    override(two, who="eve", reason="it was the source", version=3)
    decide(two, verdict(4, 3))
    assert promote(two, who="ada", run="r").champion == two.find(4)
