"""The commits of a table: what each is about, and what made it."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from deltalake import DeltaTable

from ml_assets.lake.days import Between, Slot, days


@dataclass(frozen=True)
class Commit:
    """One version of a table: when it came to be and what made it."""

    version: int
    at: datetime
    operation: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Commit":
        """An entry of Delta's history."""
        return cls(
            version=entry["version"],
            at=datetime.fromtimestamp(entry["timestamp"] / 1000, tz=UTC),
            operation=entry["operation"],
            metadata={key: value for key, value in entry.items() if isinstance(value, str)},
        )

    @property
    def between(self) -> Between | None:
        """The slots this commit is about, or None for one that is about none in particular."""
        if "first" not in self.metadata:
            return None
        return date.fromisoformat(self.metadata["first"]), date.fromisoformat(self.metadata["last"])

    @property
    def left(self) -> frozenset[Slot]:
        """The slots of ``between`` that the commit left as they were."""
        return frozenset(date.fromisoformat(day) for day in self.metadata.get("left", "").split())

    @property
    def compared(self) -> int:
        """The version whose slots were compared with what was to be written; its own if none were."""
        return int(self.metadata.get("compared", self.version))

    @property
    def inputs(self) -> dict[str, int]:
        """The versions of the tables it was made from: table -> version."""
        return {name: int(v) for name, v in json.loads(self.metadata.get("inputs", "{}")).items()}


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
