"""What long work tells while it goes on: phases, how far each is, and lines that stay.

Whoever works says it here and knows nobody who listens: the command line does, a run of Dagster's doesn't. Work
inside a phase that counts things (days, cutoffs, trials) counts them with ``counted`` or ``advance``; counts nest in
the order in which they first come.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")


class Progress:
    """A listener. This one hears nothing; those that show it override all methods."""

    def begin(self, phase: str) -> None:
        """A phase begins; it has a title. Phases follow each other, they don't nest."""

    def advance(self, unit: str, done: int, of: int) -> None:
        """Of ``of`` days, cutoffs, trials, so many are done."""

    def end(self, outcome: str) -> None:
        """The phase has ended: ``done``, ``failed``, ``refused``."""

    def say(self, line: str) -> None:
        """Something to read, within a phase or between two."""


NOBODY = Progress()
_listener: ContextVar[Progress] = ContextVar("listener", default=NOBODY)


@contextmanager
def heard_by(listener: Progress) -> Iterator[None]:
    """Everything the body tells is told to ``listener``."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def begin(phase: str) -> None:
    """Begin a phase."""
    _listener.get().begin(phase)


def end(outcome: str = "done") -> None:
    """End the phase."""
    _listener.get().end(outcome)


def say(line: str) -> None:
    """Tell a line."""
    _listener.get().say(line)


def advance(unit: str, done: int, of: int) -> None:
    """Tell how many are done."""
    _listener.get().advance(unit, done, of)


def counted(items: Collection[Item], unit: str) -> Iterator[Item]:
    """The items, telling before each and after the last how many are done."""
    for done, item in enumerate(items):
        advance(unit, done, len(items))
        yield item
    advance(unit, len(items), len(items))


@contextmanager
def phase(title: str) -> Iterator[None]:
    """A phase for as long as the body takes; it has failed if that raises."""
    begin(title)
    try:
        yield
    except BaseException:
        end("failed")
        raise
    end()
