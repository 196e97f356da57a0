"""A landing file's columns held against the contract's, in the words in which contracts are compared."""

from collections.abc import Sequence

from ml_assets.contracts.compare.changes import Change, column_added, columns_changed, describe


def columns_differ(found: Sequence[str], wanted: Sequence[str]) -> str | None:
    """Why the columns of a file aren't the contract's, in whatever order; None if they are."""
    repeated = sorted({name for name in found if found.count(name) > 1})
    if repeated:
        names = ", ".join(repr(name) for name in repeated)
        return f"another schema: column {names} is there more than once"
    changes = columns_changed(wanted, found)
    return _another(changes) if changes else None


def column_unknown(name: str, others: Sequence[str], wanted: Sequence[str]) -> str:
    """Why a column that the contract doesn't know has no place beside the ``others``."""
    return _another([column_added(name, [column for column in wanted if column not in others])])


def types_differ(changes: Sequence[Change]) -> str:
    """Why the types of a file's columns aren't the contract's."""
    return _another(changes)


def _another(changes: Sequence[Change]) -> str:
    return f"another schema: {describe(changes)}"


def land_columns(wanted: Sequence[str]) -> str:
    """What to do about a file of another schema; ``wanted`` are the contract's columns, with their types or not."""
    return f"land the contract's columns ({', '.join(wanted)}), or change the contract"
