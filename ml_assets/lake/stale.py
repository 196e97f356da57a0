"""Which slots of a table are older than what they are built from."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Protocol

from ml_assets.lake.days import Slot
from ml_assets.lake.definition import Definitions
from ml_assets.lake.marks import Marks


class Slots(Protocol):
    """The slots that a table has."""

    def between(self, first: Slot, last: Slot) -> list[Slot]:
        """The slots from first to last, both included, oldest first."""
        ...


def stale_days(
    upstream: Marks, downstream: Marks, upstream_name: str, reach: tuple[int, int], calendar: Slots
) -> set[Slot]:
    """The downstream slots whose upstream days have changed since they were written, or that are missing.

    Downstream slot D reads the upstream days D + reach[0] to D + reach[1]. Only slots of ``calendar``, the
    downstream table's, are named, from the first that any upstream day allows to the last whose nearest upstream
    day there is.
    """
    changed = {slot: mark.changed for slot, mark in upstream.items() if mark.changed is not None}
    if not changed:
        return set()
    nearest = max(reach[0], min(reach[1], 0))
    asked = calendar.between(min(changed) - timedelta(days=reach[1]), max(changed) - timedelta(days=nearest))
    return {
        slot
        for slot, newest in _newest_within(changed, asked, reach)
        if slot not in downstream or newest > downstream[slot].read.get(upstream_name, -1)
    }


def redefined_slots(
    marks: Marks, differs: Callable[[Definitions | None], frozenset[str]]
) -> dict[Slot, frozenset[str]]:
    """The slots that were built by other definitions than those declared, with the names of what ``differs``.

    What was deleted for its age is not among them: there is nothing to build it from.
    """
    by_record: dict[int, frozenset[str]] = {}
    found = {}
    for slot, mark in marks.items():
        record = id(mark.definitions)
        if record not in by_record:
            by_record[record] = differs(mark.definitions)
        if by_record[record] and not mark.gone:
            found[slot] = by_record[record]
    return found


def _newest_within(
    changed: Mapping[Slot, int], slots: Iterable[Slot], reach: tuple[int, int]
) -> Iterator[tuple[Slot, int]]:
    """Every slot, of ordered ones, with the newest version among the days it reads, or -1.

    Both ends of what is read move on with the slots, so each change comes and goes once: kept are those that no
    later day outdoes.
    """
    coming, within = deque(sorted(changed.items())), deque[tuple[Slot, int]]()
    for slot in slots:
        while coming and (coming[0][0] - slot).days <= reach[1]:
            day, version = coming.popleft()
            while within and within[-1][1] <= version:
                within.pop()
            within.append((day, version))
        while within and (within[0][0] - slot).days < reach[0]:
            within.popleft()
        yield slot, within[0][1] if within else -1
