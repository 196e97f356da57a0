"""The one clock: whatever asks what time it is asks here, so that tests and replays can move it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime


def _system() -> datetime:
    return datetime.now(tz=UTC)


_clock: Callable[[], datetime] = _system


def now() -> datetime:
    """This moment, in UTC, by the clock that is set."""
    return _clock()


def today() -> date:
    """The UTC day of this moment."""
    return now().date()


@contextmanager
def at(clock: Callable[[], datetime]) -> Iterator[None]:
    """Ask another clock while the body runs, in this process."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before
