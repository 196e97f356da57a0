"""What a landing lists, as one file per day."""

from datetime import date

import pytest

from ml_assets.landing import Piece, by_day

FIRST, SECOND = date(2017, 7, 1), date(2017, 7, 2)


def piece(first: date, last: date, name: str = "a.csv") -> Piece:
    return Piece((first, last), name, 1, "1")


def test_pieces_are_found_by_their_day() -> None:
    pieces = [piece(FIRST, FIRST), piece(SECOND, SECOND)]
    assert by_day(pieces) == {FIRST: pieces[0], SECOND: pieces[1]}


@pytest.mark.parametrize(
    "pieces", [[piece(FIRST, FIRST), piece(FIRST, FIRST, "b.csv")], [piece(FIRST, SECOND)]]
)
def test_other_pieces_are_not_taken_for_files_of_days(pieces: list[Piece]) -> None:
    with pytest.raises(ValueError, match="isn't the one piece of one day; one file per day is taken in"):
        by_day(pieces)
