"""What the commits of a table say of every slot: who asks what is due, or covered, asks this and nothing else."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from deltalake import DeltaTable

from ml_assets.lake.commit import Commit, history
from ml_assets.lake.days import Slot, days
from ml_assets.lake.definition import Definitions, is_comparable, redefined

BEFORE = "before"
"""The fact of a commit that deletes what is no longer kept: the first day that is."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of one slot of a table."""

    changed: int | None
    """The version that last changed it; None if every commit about it left it as it was."""
    read: Mapping[str, int]
    """The versions of the tables it was last built from, or found to be equal to: table -> version."""
    definitions: Definitions | None = None
    """The hashes of what was declared when it was built; None where none were recorded."""
    parts: Mapping[str, int] = field(default_factory=dict)
    """The columns that another definition has changed since, and they alone: column -> version."""
    gone: bool = False
    """Whether its rows were deleted since, because they were older than what is kept."""


Marks = Mapping[Slot, Mark]
"""The slots that commits have been about, with what they say of each."""


def replayed(marks: Marks, commits: Iterable[Commit]) -> Marks:
    """The marks after further commits, the oldest first.

    A slot that a commit left as it was has been read, unless another writer changed it after it was compared. One
    that it changed in columns of another definition alone has not changed for who reads the others.
    """
    after = dict(marks)
    for commit in commits:
        parts_after = _PartsAfter(commit)
        definitions = commit.provenance.definitions or None
        if commit.adopts:
            adopted = {slot: mark for slot, mark in after.items() if not is_comparable(mark.definitions)}
            after |= {slot: replace(mark, definitions=definitions) for slot, mark in adopted.items()}
        if commit.retyped:
            after = {slot: _without(mark, commit.retyped) for slot, mark in after.items()}
        if before := commit.provenance.facts.get(BEFORE):
            expired = [slot for slot in after if slot < date.fromisoformat(before)]
            after |= {slot: replace(after[slot], gone=True) for slot in expired}
        if commit.between is None:
            continue
        written = Mark(commit.version, commit.inputs, definitions)
        for slot in days(*commit.between):
            changed = after[slot].changed if slot in after else None
            is_as_compared = changed is None or commit.compared is None or changed <= commit.compared
            if slot not in commit.left and not (slot in commit.redefined and is_as_compared):
                after[slot] = written
            elif is_as_compared and slot in after:
                old = after[slot]
                parts = parts_after(old) if slot in commit.redefined else old.parts
                after[slot] = replace(written, changed=changed, parts=parts, gone=old.gone)
            elif is_as_compared:
                after[slot] = replace(written, changed=None)
    return after


def _without(mark: Mark, names: Collection[str]) -> Mark:
    """The mark of a slot whose columns don't follow these definitions any more."""
    if mark.definitions is None:
        return mark
    return replace(mark, definitions={name: h for name, h in mark.definitions.items() if name not in names})


class _PartsAfter:
    """The parts of slots after a commit that changed columns of another definition; slots share what is the same."""

    def __init__(self, commit: Commit) -> None:
        self._commit, self._known = commit, dict[tuple[int, int], Mapping[str, int]]()

    def __call__(self, mark: Mark) -> Mapping[str, int]:
        key = (id(mark.parts), id(mark.definitions))
        if key not in self._known:
            names = redefined(mark.definitions, self._commit.provenance.definitions)
            self._known[key] = {**mark.parts, **dict.fromkeys(names, self._commit.version)}
        return self._known[key]


@dataclass(frozen=True)
class _Seen:
    newest: Commit
    marks: Marks


_SEEN: dict[tuple[str, frozenset[tuple[str, str]]], _Seen] = {}
_ROOM = 1024


def marks_of(delta: DeltaTable, version: int | None, said: Mapping[str, str]) -> Marks:
    """The marks of a table up to a version, None for the newest, from the commits whose provenance has the facts ``said``.

    What a process has worked out of the newest version it keeps, and reads only the commits since.
    """
    place = (delta.table_uri, frozenset(said.items()))
    now = _followed(delta, _SEEN.get(place), said)
    if len(_SEEN) >= _ROOM:
        _SEEN.clear()
    _SEEN[place] = now
    if version is None or version >= now.newest.version:
        return now.marks
    return replayed({}, _saying(said, (c for c in history(delta) if c.version <= version)))


def _followed(delta: DeltaTable, seen: _Seen | None, said: Mapping[str, str]) -> _Seen:
    """What was seen of a table, and the commits since; all of them, if they don't follow on from it.

    They do if the newest that was seen is still there, word for word: a table that was made anew or put back from
    a backup is read from the start.
    """
    if seen and seen.newest.version <= delta.version():
        *since, last = history(delta, delta.version() - seen.newest.version + 1)
        if last == seen.newest:
            return _Seen((since or [last])[0], replayed(seen.marks, _saying(said, since)))
    commits = history(delta)
    return _Seen(commits[0], replayed({}, _saying(said, commits)))


def _saying(said: Mapping[str, str], commits: Iterable[Commit]) -> list[Commit]:
    """The commits whose provenance has the facts ``said``, turned round: the oldest first."""
    return [commit for commit in commits if commit.says(said)][::-1]
