"""What has landed: a landing lists one file per day and fetches it; and the identity of a file's bytes."""

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol


class NoLandingFiles(FileNotFoundError):
    """Nothing has landed: the place is missing, or nothing in it has the expected name."""


class LandingUnavailable(OSError):
    """The place can't be reached now: nothing is refused for it, the run fails and is tried again."""


@dataclass(frozen=True)
class Listed:
    """What a landing says there is for a day.

    ``size`` is in bytes, None where nobody knows before it is fetched. ``fingerprint`` changes when the
    content may have changed.
    """

    date: date
    name: str
    size: int | None
    fingerprint: str


@dataclass(frozen=True)
class LandingFile:
    """A file of one landing date on this machine; ``size`` in bytes."""

    date: date
    path: Path
    size: int


class Landing(Protocol):
    """Where a producer leaves one file per day, whatever that is."""

    @property
    def place(self) -> str:
        """The place in words, for messages; without credentials."""
        ...

    @property
    def delimiter(self) -> str:
        """The character between two fields of a CSV file."""
        ...

    def listed(self) -> dict[date, Listed]:
        """What there is, by date, in order. Raises NoLandingFiles if that is nothing, or LandingUnavailable."""
        ...

    def fetch(self, listed: Listed, into: Path) -> LandingFile:
        """Bring a file to this machine: into the folder ``into``, unless it is here already."""
        ...


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes as hex, read in pieces; OSError if it can't be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
