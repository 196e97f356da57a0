"""Alerts that are still to be told: a file for each, from before the first attempt until every channel has taken it."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ml_assets.instance.home import data

LONGEST = timedelta(hours=1)
"""How long an alert waits at most before it is tried again."""


@dataclass
class Waiting:
    """An alert and what became of it so far."""

    said: dict[str, Any]
    due: str
    """When it is tried next: an ISO moment."""
    channels: Sequence[str] | None = None
    """Those that haven't taken it; None before the first attempt: all that are set."""
    attempts: int = 0
    last: dict[str, str] = field(default_factory=dict)
    """What each of them said the last time."""

    @property
    def key(self) -> str:
        """The alert's key."""
        return str(self.said["key"])


def put(waiting: Waiting) -> None:
    """Keep an alert, in place of the one with the same key; once this returns it isn't lost by a kill."""
    path = _path(waiting.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    with partial.open("w") as file:
        file.write(json.dumps(asdict(waiting), default=str))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def drop(key: str) -> None:
    """Forget an alert that was told."""
    _path(key).unlink(missing_ok=True)


def find(key: str) -> Waiting | None:
    """The alert of a key, if it is still to be told."""
    return _read(_path(key))


def due(now: datetime) -> list[str]:
    """The keys of the alerts to try now: those never tried first, then those that have waited longest.

    One that would be tried later than LONGEST from now was put there by a clock that was ahead, and is due.
    """
    found = [waiting for path in folder().glob("*.json") if (waiting := _read(path))]
    ready = [one for one in found if not now < datetime.fromisoformat(one.due) <= now + LONGEST]
    return [one.key for one in sorted(ready, key=lambda one: (one.attempts > 0, one.due))]


@contextmanager
def claimed(key: str) -> Iterator[Waiting | None]:
    """An alert, for this process alone; None if it was told meanwhile or another process is telling it."""
    path = _path(key)
    try:
        file = path.open()
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        is_current = path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino
        yield _read(path) if is_current else None


def put_aside() -> dict[Path, str]:
    """Rename the files that make no sense, so that nobody takes them for alerts; by their new names what is in them."""
    aside = {}
    for path in folder().glob("*.json"):
        if _read(path) is None and path.exists():
            damaged = path.rename(path.with_suffix(".damaged"))
            aside[damaged] = damaged.read_text(errors="replace")
    return aside


def folder() -> Path:
    """Where the files are."""
    return data() / "alerts"


def _path(key: str) -> Path:
    return folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _read(path: Path) -> Waiting | None:
    """What a file says; None if there is none, or if it makes no sense."""
    try:
        return Waiting(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
