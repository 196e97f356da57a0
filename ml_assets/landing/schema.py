"""A landing file's columns held against the contract's, in the words in which contracts are compared."""

from collections.abc import Mapping, Sequence

from ml_assets.contracts.changes import Change, column_added, columns_changed, describe


def columns_differ(found: Sequence[str], wanted: Sequence[str]) -> str | None:
    """Why the columns of a file aren't the contract's, in whatever order; None if they are."""
    repeated = sorted({name for name in found if found.count(name) > 1})
    if repeated:
        names = ", ".join(repr(name) for name in repeated)
        return f"another schema: column {names} is there more than once; {_remedy(wanted)}"
    changes = columns_changed(wanted, found)
    return _another(changes, wanted) if changes else None


def column_unknown(name: str, others: Sequence[str], wanted: Sequence[str]) -> str:
    """Why a column that the contract doesn't know has no place beside the ``others``."""
    return _another([column_added(name, [column for column in wanted if column not in others])], wanted)


def types_differ(changes: Sequence[Change], wanted: Mapping[str, str]) -> str:
    """A reason that names the columns of other types; ``wanted`` are the contract's."""
    return _another(changes, [f"{name} {kind}" for name, kind in wanted.items()])


def _another(changes: Sequence[Change], wanted: Sequence[str]) -> str:
    return f"another schema: {describe(changes)}; {_remedy(wanted)}"


def _remedy(wanted: Sequence[str]) -> str:
    return f"land the contract's columns ({', '.join(wanted)}), or change the contract"
