"""Slots of time, which partition every table, and the ranges they form."""

from datetime import date, timedelta
from itertools import pairwise

Slot = date
"""One partition's stretch of time, named by the date it begins on: a day, or the week from a cutoff."""
Between = tuple[Slot, Slot]
"""A closed range of slots: the first and the last."""


def days(first: Slot, last: Slot) -> list[Slot]:
    """Every day from first to last, both included; none if last is before first."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def check_order(first: Slot, last: Slot | None) -> None:
    """Raises ValueError, in words, if what is to begin with ``first`` ends before it; without a last it goes on."""
    if last is not None and last < first:
        raise ValueError(f"end, {last}, is before start, {first}")


def as_ranges(wanted: set[Slot], step: timedelta = timedelta(days=1)) -> list[Between]:
    """Slots grouped into as few closed ranges of neighbours as possible, oldest first.

    Neighbours are at most ``step`` apart.
    """
    if not wanted:
        return []
    ordered = sorted(wanted)
    breaks = [i for i, (a, b) in enumerate(pairwise(ordered), start=1) if b - a > step]
    starts, ends = [0, *breaks], [*breaks, len(ordered)]
    return [(ordered[i], ordered[j - 1]) for i, j in zip(starts, ends, strict=True)]
