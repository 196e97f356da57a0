"""The commits of a table: what each is about, and what made it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from deltalake import DeltaTable

from ml_assets.lake.days import Between, Slot, days
from ml_assets.lake.provenance import Provenance

ADOPTS = "adopts"
"""The key of a commit that adopts slots."""
RETYPED = "retyped"
"""The key of a commit that gives columns another type: the names of the definitions that these follow."""


@dataclass(frozen=True)
class Commit:
    """One version of a table: when it came to be, which slots it is about, and what made it."""

    version: int
    at: datetime
    operation: str
    between: Between | None = None
    """The slots it is about, or None for one that is about none in particular."""
    left: frozenset[Slot] = frozenset()
    """The slots of ``between`` that it left as they were."""
    compared: int | None = None
    """The version whose rows those it left were found to be equal to, -1 for no table; None if nothing was compared."""
    provenance: Provenance = field(default_factory=Provenance)
    redefined: frozenset[Slot] = frozenset()
    """The slots of ``between`` that it changed in columns of another definition alone."""
    retyped: frozenset[str] = frozenset()
    """The names of definitions that no slot follows any more, since the values of their columns were cast."""
    adopts: bool = False
    """Whether it changes nothing, and says by which definitions the slots were made that say none themselves."""

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Commit":
        """An entry of Delta's history."""
        ends = [date.fromisoformat(entry[name]) for name in ("first", "last") if name in entry]
        return cls(
            version=entry["version"],
            at=datetime.fromtimestamp(entry["timestamp"] / 1000, tz=UTC),
            operation=entry["operation"],
            between=(ends[0], ends[1]) if ends else None,
            left=_slots(entry, "left"),
            redefined=_slots(entry, "redefined"),
            compared=int(entry["compared"]) if "compared" in entry else None,
            retyped=frozenset(entry.get(RETYPED, "").split("\n")) - {""},
            adopts=ADOPTS in entry,
            provenance=Provenance.of(entry),
        )

    @property
    def inputs(self) -> Mapping[str, int]:
        """The versions of the tables it was made from: table -> version."""
        return self.provenance.inputs

    def says(self, facts: Mapping[str, str]) -> bool:
        """Whether all these facts are among those of its provenance."""
        return facts.items() <= self.provenance.facts.items()


def _slots(entry: Mapping[str, Any], name: str) -> frozenset[Slot]:
    return frozenset(date.fromisoformat(day) for day in entry.get(name, "").split())


def history(delta: DeltaTable, limit: int | None = None) -> list[Commit]:
    """The newest ``limit`` commits of a table, or all, the newest first.

    delta-rs reads up to the newest commit, but counts from the version it has opened: of a commit that comes in
    between it would tell the wrong version. So it is read until none has.
    """
    while True:
        opened, entries = delta.version(), delta.history(limit)
        delta.update_incremental()
        if delta.version() == opened:
            return [Commit.of(entry) for entry in entries]


def span(about: Collection[Slot], between: Between | None = None) -> dict[str, str]:
    """What a commit says of the slots it is about: the first, the last, and those in between left alone."""
    first, last = between or (min(about), max(about))
    left = sorted(set(days(first, last)) - set(about))
    return {
        "first": first.isoformat(),
        "last": last.isoformat(),
        "left": " ".join(day.isoformat() for day in left),
    }
