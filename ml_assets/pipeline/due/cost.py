"""What it will cost to build slots of a table again: an estimate, from what is on record of those built before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from statistics import fmean

from ml_assets.lake import Table, days
from ml_assets.lake.commit import Commit


@dataclass(frozen=True)
class Cost:
    """What building slots costs, about. None where nothing on record says so."""

    bytes: int | None
    """What their files will have: as many as those in their place; for missing slots the mean of the others."""
    seconds: float | None
    """At as many seconds a slot as the last run took that built some, from the table before it to this one."""


NOTHING = Cost(None, None)


def cost_of(table: Table, due: Iterable[date], pace: float | None) -> Cost:
    """The cost of the slots of a table that are ``due``, at ``pace`` seconds a slot."""
    wanted = set(due)
    sizes: dict[date, int] = {}
    for (slot, *_), size in table.sizes().items():
        sizes[slot] = sizes.get(slot, 0) + size
    each = fmean(sizes.values()) if sizes else None
    return Cost(
        None if each is None else round(sum(sizes.get(slot, each) for slot in wanted)),
        None if pace is None else pace * len(wanted),
    )


def seconds_a_slot(table: Table, *before: Table) -> float | None:
    """How long the newest run took for a slot that built some of it and of tables ``before`` it; None without one."""
    earlier: dict[str, list[Commit]] = {}
    for other in before:
        for run, commits in _by_run(other).items():
            earlier.setdefault(run, []).extend(commits)
    for run, commits in _by_run(table).items():
        began = [c.at for c in earlier.get(run, ()) if c.at <= max(own.at for own in commits)]
        if began:
            slots = {slot for c in commits if c.between for slot in set(days(*c.between)) - c.left}
            return (max(c.at for c in commits) - max(began)).total_seconds() / len(slots)
    return None


def _by_run(table: Table) -> Mapping[str, list[Commit]]:
    """The commits that changed slots by their run, the newest run first."""
    found: dict[str, list[Commit]] = {}
    for commit in table.history():
        if commit.between and commit.provenance.run and set(days(*commit.between)) - commit.left:
            found.setdefault(commit.provenance.run, []).append(commit)
    return found
