"""Calendars: the ordered slots of a table, days or cutoffs, and when each begins and ends."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from ml_assets.instance import clock

DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)


@dataclass(frozen=True)
class Calendar:
    """Slots of equal length, one after another, each named by the UTC day it begins on.

    A calendar without a ``last`` slot goes on: it has every slot that has ended by now.
    """

    first: date
    last: date | None
    step: timedelta = DAY

    def has(self, slot: date) -> bool:
        """Whether there is such a slot by now."""
        if slot < self.first or (slot - self.first) % self.step:
            return False
        return slot <= self.last if self.last else self.end(slot) <= clock.now()

    def allows(self, slot: date) -> bool:
        """Whether there is such a slot, or will be."""
        return (
            self.first <= slot
            and not (slot - self.first) % self.step
            and (self.last is None or slot <= self.last)
        )

    def begin(self, slot: date) -> datetime:
        """The first moment of the slot."""
        return datetime.combine(slot, time(), tzinfo=UTC)

    def end(self, slot: date) -> datetime:
        """The first moment after the slot."""
        return self.begin(slot + self.step)

    def between(self, first: date, last: date) -> list[date]:
        """The slots from ``first`` to ``last``, both included, that there are by now, in order."""
        start = max(first, self.first)
        start += -(start - self.first) % self.step
        newest = self.last or clock.today() - self.step
        end = min(last, newest)
        return [start + n * self.step for n in range((end - start) // self.step + 1)] if start <= end else []

    def before(self, day: date, count: int) -> list[date]:
        """The last ``count`` slots up to and including ``day``, in order."""
        ended = self.between(self.first, day)
        return ended[-count:] if count else []
