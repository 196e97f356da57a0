"""How progress looks: a bar with elapsed and estimated time on a terminal, lines that read well anywhere else."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ml_assets.cli import show
from ml_assets.instance import progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

EVERY = 10.0
"""Seconds between two lines about how far a phase is."""


@contextmanager
def shown() -> Iterator[None]:
    """What the body tells of its progress is shown on stderr."""
    listener = Terminal() if sys.stderr.isatty() else Lines()
    try:
        with progress.heard_by(listener):
            yield
    finally:
        listener.close()


class Counts:
    """How far a phase is: counts by unit, each inside those before it, or after them if those are complete."""

    def __init__(self) -> None:
        self.started = self.counting = time.monotonic()
        self.by_unit: dict[str, tuple[int, int]] = {}

    def advance(self, unit: str, done: int, of: int) -> None:
        """Take a count; those inside it begin anew when it moves."""
        if unit not in self.by_unit:
            self.by_unit = {name: (n, all_) for name, (n, all_) in self.by_unit.items() if n < all_}
            if not self.by_unit:
                self.counting = time.monotonic()
        units = list(self.by_unit)
        if unit in units and self.by_unit[unit] != (done, of):
            for inside in units[units.index(unit) + 1 :]:
                del self.by_unit[inside]
        self.by_unit[unit] = done, of

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1: a count inside another is part of one of its items."""
        found, weight = 0.0, 1.0
        for done, of in self.by_unit.values():
            if of == 0 or done >= of:
                return min(1.0, found + weight)
            found, weight = found + weight * done / of, weight / of
        return found

    @property
    def elapsed(self) -> float:
        """Seconds since the phase began."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float | None:
        """Seconds that are left if it goes on like this; None before anything is done."""
        spent = time.monotonic() - self.counting
        return spent * (1 - self.share) / self.share if self.share else None

    def in_words(self) -> str:
        """Every count."""
        return ", ".join(f"{done} of {of} {unit}" for unit, (done, of) in self.by_unit.items() if of > 1)


def duration(seconds: float) -> str:
    """``9.4 s`` below two minutes, ``12 min`` from there."""
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


class Shown(progress.Progress):
    """What both ways to show it share."""

    def __init__(self) -> None:
        self.phase, self.counts = "", Counts()

    def close(self) -> None:
        """Nothing more will be told."""

    def begin(self, phase: str) -> None:
        """Begin counting anew."""
        self.phase, self.counts = phase, Counts()

    def ended(self, outcome: str) -> str:
        """How a phase ended, and in what time."""
        self.phase, elapsed = "", self.counts.elapsed
        return f"{outcome} in {elapsed:.1f} s"


class Lines(Shown):
    """Lines for a log: begin, every ten seconds how far it is, end."""

    def begin(self, phase: str) -> None:
        """Say what begins."""
        super().begin(phase)
        self.told = self.counts.started
        show.note(f"  {phase}")

    def advance(self, unit: str, done: int, of: int) -> None:
        """Say how far it is, now and then."""
        self.counts.advance(unit, done, of)
        words, left = self.counts.in_words(), self.counts.left
        if words and time.monotonic() - self.told >= EVERY:
            self.told = time.monotonic()
            estimate = "" if left is None else f", about {duration(left)} left"
            show.note(f"      {words}; {duration(self.counts.elapsed)}{estimate}")

    def end(self, outcome: str) -> None:
        """Say how it ended."""
        show.note(f"      {self.ended(outcome)}")

    def say(self, line: str) -> None:
        """Print it, further in inside a phase."""
        show.note(f"{'      ' if self.phase else '  '}{line}")


class Terminal(Shown):
    """A bar for the phase that goes on, below the lines of what is done."""

    def __init__(self) -> None:
        super().__init__()
        self.bar: Bar | None = None

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def begin(self, phase: str) -> None:
        """A new bar, without an end until something is counted."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        super().begin(phase)
        show.silence()
        self.close()
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.fields[says]}", style="dim", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self.bar.add_task(phase, total=None, says="")
        self.bar.start()

    def advance(self, unit: str, done: int, of: int) -> None:
        """Move the bar."""
        self.counts.advance(unit, done, of)
        if self.bar is None:
            return
        words, left = self.counts.in_words(), self.counts.left
        estimate = "" if left is None else f"about {duration(left)} left"
        for task in self.bar.task_ids:
            self.bar.update(
                task,
                total=1.0 if self.counts.share else None,
                completed=self.counts.share,
                says=", ".join(filter(None, [words, estimate])),
            )

    def end(self, outcome: str) -> None:
        """A line for the phase in place of its bar."""
        phase = self.phase
        self.close()
        show.note(f"  {phase}  {self.ended(outcome)}")

    def say(self, line: str) -> None:
        """Print it above the bar, or on its own."""
        indented = f"{'      ' if self.phase else '  '}{line}"
        if self.bar is None:
            show.note(indented)
        else:
            from rich.text import Text

            self.bar.console.print(Text(indented))
