"""What is remembered of a landing between two looks: a few digests, however many files there are.

Days of the newest month are remembered one by one, what came before by month, and earlier years by year. So a look that
finds all as it was stores about a kilobyte, and one file that has changed costs reading its day, its month or its year
again.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import date

from ml_assets.landing import Piece

TOLD = "told"
"""The name under which stands what was told last of the landing."""
LENGTHS = (4, 7, 10)
"""Of the names of a year, a month and a day: the beginnings of 2024-03-01."""


def unchanged(listed: Mapping[date, Piece], remembered: str | None) -> set[date]:
    """The days that are listed as they were when they were remembered; none where nothing was, or by another version."""
    known = json.loads(remembered) if remembered else {}
    now = _digests(listed)
    same = {name for name, digest in known.items() if now.get(name) == digest}
    return {day for day in listed if not same.isdisjoint(_names(day))}


def is_told(said: str, remembered: str | None) -> bool:
    """Whether this was told already when the listing was remembered."""
    return bool(remembered) and json.loads(remembered or "{}").get(TOLD) == _digest(said)


def remember(listed: Mapping[date, Piece], leaving: Collection[date] = (), told: str = "") -> str:
    """What to remember of what is listed, but for the days ``leaving``, which are still to be read.

    And that something was ``told`` of the landing.
    """
    if not listed:
        return "{}"
    now, newest = _digests(listed), max(listed)
    apart = {name for day in (*leaving, newest) for name in _names(day)[:-1]}
    kept = {
        next(name for name in _names(day) if name not in apart) for day in listed if day not in set(leaving)
    }
    of_days = {name: now[name] for name in sorted(kept)}
    return json.dumps(of_days | ({TOLD: _digest(told)} if told else {}))


def _digest(said: str) -> str:
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def _names(day: date) -> list[str]:
    """Its year, its month and itself."""
    return [day.isoformat()[:length] for length in LENGTHS]


def _digests(listed: Mapping[date, Piece]) -> dict[str, str]:
    """The digest of every year, month and day: of the days in it, with what tells their contents apart."""
    hashes: dict[str, hashlib._Hash] = {}
    for day, piece in sorted(listed.items()):
        for name in _names(day):
            hashes.setdefault(name, hashlib.sha256()).update(f"{day} {piece.fingerprint}\n".encode())
    return {name: found.hexdigest()[:12] for name, found in hashes.items()}
