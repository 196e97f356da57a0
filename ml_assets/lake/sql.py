"""SQL text: how a name and a text are quoted, and the names that no user may give."""

RESERVED_PREFIX = "__"
"""Columns that a query makes for itself begin with it; no column, feature or entity of a user does."""


def quote(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def is_reserved(name: str) -> bool:
    """Whether a name is kept for columns that queries make for themselves."""
    return name.startswith(RESERVED_PREFIX)
