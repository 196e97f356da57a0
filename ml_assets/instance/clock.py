"""The one clock: whatever asks what time it is asks here, so that tests and replays can move it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta


def _system() -> datetime:
    return datetime.now(tz=UTC)


_clock: Callable[[], datetime] = _system


def now() -> datetime:
    """This moment, in UTC, by the clock that is set."""
    return _clock()


def today() -> date:
    """The UTC day of this moment."""
    return now().date()


def now_after(newest: datetime) -> datetime:
    """This moment, or the next one after the ``newest`` on record: a clock that was ahead may have been set right."""
    return max(now(), newest + timedelta(microseconds=1))


@contextmanager
def at(clock: Callable[[], datetime]) -> Iterator[None]:
    """Ask another clock while the body runs, in this process."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before
