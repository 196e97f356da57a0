"""The one wording of schema changes, for two versions of a contract and for a landing file and its contract."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from unicodedata import normalize

from ml_assets.contracts.errors import nearest

Kind = Literal["breaking", "safe"]


@dataclass(frozen=True)
class Change:
    """One difference from an old schema to a new one.

    ``where`` is the place it is written at, as ``properties.amount.required``. A ``breaking`` change needs
    somebody else to change too: who lands files, or who reads events.
    """

    kind: Kind
    where: str
    text: str


def column_removed(name: str) -> Change:
    """The old schema has the column, the new one hasn't."""
    return Change("breaking", f"properties.{name}", f"column {name!r} is gone")


def column_added(name: str, removed: Sequence[str] = ()) -> Change:
    """The new schema has the column, the old one hasn't; maybe one of the ``removed`` under another name."""
    composed = normalize("NFC", name)
    same = next((other for other in removed if normalize("NFC", other) == composed), None)
    if same is not None:
        text = f"column {name!a} is {same!a} in another Unicode form; write its letters as these are"
        return Change("breaking", f"properties.{name}", text)
    hint = nearest(name, removed) if removed else ""
    maybe = hint if "did you mean" in hint else ""
    return Change("breaking", f"properties.{name}", f"column {name!r} is new{maybe}")


def type_changed(name: str, old: str, new: str) -> Change:
    """The column has another type."""
    return Change("breaking", f"properties.{name}", f"column {name!r} changed from {old} to {new}")


def columns_changed(old: Iterable[str], new: Iterable[str]) -> list[Change]:
    """The columns that are gone, in the order of ``old``, then those that are new, in the order of ``new``."""
    before, after = list(old), list(new)
    removed = [name for name in before if name not in after]
    added = [name for name in after if name not in before]
    return [*(column_removed(name) for name in removed), *(column_added(name, removed) for name in added)]


def describe(changes: Iterable[Change]) -> str:
    """All changes in one line: ``column 'amount' is gone; column 'note' is new``."""
    return "; ".join(change.text for change in changes)
