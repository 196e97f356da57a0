"""What has landed: a landing lists its pieces and fetches them; and the identity of a file's bytes."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from ml_assets.lake import Between
from ml_assets.landing.limits import FileLimits


class NoLandingFiles(FileNotFoundError):
    """Nothing has landed: the place is missing, or nothing in it has the expected name."""


class LandingUnavailable(OSError):
    """The place can't be reached now: nothing is refused for it, the run fails and is tried again."""


@dataclass(frozen=True)
class Piece:
    """A part of what a landing holds, as it is now: a new version of it replaces its own rows and no others.

    ``series`` and ``between``, the landing days it is about, say which piece it is. ``size`` is in bytes, None where
    nobody knows before it is fetched. ``fingerprint`` changes when the content may have changed.
    """

    between: Between
    name: str
    size: int | None
    fingerprint: str
    series: str = ""
    """Empty for the one series of a landing with a file a day."""


@dataclass(frozen=True)
class LandingFile:
    """A file of one landing date on this machine; ``size`` in bytes."""

    date: date
    path: Path
    size: int


class Listing(tuple[Piece, ...]):
    """The pieces that a landing holds, and what it ``passed_over`` that seems meant to be one, in words."""

    passed_over: str = ""

    @classmethod
    def of(cls, pieces: Iterable[Piece], passed_over: str = "") -> "Listing":
        """The pieces in their order."""
        listing = cls(pieces)
        listing.passed_over = passed_over
        return listing


class Landing(Protocol):
    """Where a producer leaves the pieces of a source, whatever that is."""

    @property
    def place(self) -> str:
        """The place in words, for messages; without credentials."""
        ...

    @property
    def delimiter(self) -> str:
        """The character between two fields of a CSV file."""
        ...

    @property
    def limits(self) -> FileLimits:
        """What a file may hold at most."""
        ...

    def listed(self) -> Listing:
        """What there is, in order of the days. Raises NoLandingFiles if that is nothing, or LandingUnavailable."""
        ...

    def fetch(self, piece: Piece, into: Path) -> LandingFile:
        """Bring a piece to this machine: into the folder ``into``, unless it is here already."""
        ...


def by_day(pieces: Iterable[Piece]) -> dict[date, Piece]:
    """The pieces of a landing with one a day, by that day; ValueError for any other."""
    found: dict[date, Piece] = {}
    for piece in pieces:
        day, last = piece.between
        if day != last or found.setdefault(day, piece) is not piece:
            raise ValueError(f"{piece.name} isn't the one piece of one day; one file per day is taken in")
    return found


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes as hex, read in pieces; OSError if it can't be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
