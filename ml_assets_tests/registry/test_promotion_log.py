from datetime import UTC, datetime, timedelta

import pytest

from ml_assets.lake import Provenance, records
from ml_assets.registry.book import Book
from ml_assets.registry.mlflow_registry import RegistryError
from ml_assets.registry.promotion_log import Action, Move, PromotionLog, write_moves
from ml_assets.registry.tables import PROMOTIONS
from ml_assets_tests.registry.shelf import MODEL, moves, week

Line = tuple[Action, int | None, int]


def line(action: Action, start: int | None, to: int) -> Move:
    return Move(action, start, to, week(to), "ada", "because")


def written(*lines: Line) -> PromotionLog:
    return PromotionLog(MODEL, tuple(line(*one) for one in lines))


def write(book: Book, *lines: Line) -> None:
    write_moves(book.con, book.tables.promotions, book.log(), [line(*one) for one in lines])


CASES: list[tuple[list[Line], list[int], int | None]] = [
    ([], [], None),
    ([("promote", None, 1)], [], None),
    ([("promote", None, 1), ("promote", 1, 2)], [], 1),
    ([("promote", None, 1), ("promote", 1, 2), ("rollback", 2, 1)], [2], None),
    ([("promote", None, 1), ("promote", 1, 2), ("rollback", 2, 1), ("approve", 1, 3)], [2], 1),
    ([("promote", None, 1), ("promote", 1, 2), ("promote", 2, 3), ("rollback", 3, 2)], [3], 1),
    ([("promote", 1, 2), ("promote", 2, 3), ("rollback", 3, 2), ("rollback", 2, 1)], [2, 3], None),
    ([("promote", None, 1), ("promote", 1, 2), ("rollback", 2, 1), ("rollback", 1, 2)], [1], None),
    ([("promote", None, 1), ("promote", 1, 2), ("rollback", 2, 1), ("override", 1, 2)], [], 1),
    ([("promote", None, 1), ("promote", 1, 2), ("override", 2, 1)], [], 2),
]


@pytest.mark.parametrize(("lines", "away", "previous"), CASES, ids=str)
def test_what_is_withdrawn_and_where_a_rollback_goes(
    lines: list[Line], away: list[int], previous: int | None
) -> None:
    log = written(*lines)
    assert sorted(log.withdrawn) == away
    assert log.previous == previous
    assert log.champion == (lines[-1][2] if lines else None)
    assert log.cutoff == (week(lines[-1][2]) if lines else None)


def test_a_line_says_who_did_what_when_and_why(book: Book) -> None:
    assert book.log() == PromotionLog(MODEL)
    before = datetime.now(tz=UTC)
    evidence = {"cutoff": "2017-04-09", "decisions": 3}
    first = Move("promote", None, 1, week(1), "ada", "because", evidence)
    write_moves(book.con, book.tables.promotions, book.log(), [first])
    log = book.log()
    (found,) = log.moves
    assert found == Move("promote", None, 1, week(1), "ada", "because", evidence, found.at)
    assert before <= found.at <= datetime.now(tz=UTC)
    assert found.in_words() == f"ada promoted version 1 at {found.at:%Y-%m-%d %H:%M} UTC: because"
    ((model, month),) = book.tables.promotions.read(book.con, columns=["model", "month"]).fetchall()
    assert (model, month) == (MODEL, found.at.date().replace(day=1))


def test_lines_keep_their_order_whatever_the_clock_says(book: Book) -> None:
    tomorrow = datetime.now(tz=UTC) + timedelta(days=1)
    fast = records(
        book.con,
        [vars(line("promote", None, 1)) | {"at": tomorrow, "model": MODEL, "month": tomorrow.date()}],
        {name: kind for name, kind in PROMOTIONS.types.items() if name != "evidence"},
    )
    book.tables.promotions.append(fast, provenance=Provenance())
    write(book, ("promote", 1, 2), ("promote", 2, 3))
    assert moves(book) == [("promote", None, 1), ("promote", 1, 2), ("promote", 2, 3)]
    assert book.log().moves[0].evidence is None, "a line from before evidence was kept"
    assert book.log().champion == 3


def test_who_has_read_an_older_log_is_told_who_moved_it(book: Book) -> None:
    old = book.log()
    write(book, ("promote", None, 1))
    said = (
        r"Somebody else has moved the champion of lapse meanwhile: ada promoted version 1 at .* UTC: because\. "
        r"Nothing was changed here\. See `ml-assets models list lapse`, and run it again if it is still wanted\."
    )
    with pytest.raises(RegistryError, match=said):
        write_moves(book.con, book.tables.promotions, old, [line("promote", None, 2)])
    assert moves(book) == [("promote", None, 1)]


def test_a_commit_that_moved_nothing_is_no_reason_to_stop(book: Book) -> None:
    write(book, ("promote", None, 1))
    read = book.log()
    none = book.tables.promotions.read(book.con).limit(0)
    book.tables.promotions.append(none, provenance=Provenance(facts={"why": "maintenance"}))
    write_moves(book.con, book.tables.promotions, read, [line("promote", 1, 2)])
    assert moves(book) == [("promote", None, 1), ("promote", 1, 2)]
