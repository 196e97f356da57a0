"""The one error a contract raises."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class ContractError(ValueError):
    """A contract that can't be enforced, or data that can't be held against it.

    The text reads ``file:line:column: what was found, what was expected, what to do``;
    ``line`` and ``column`` count from 1 and are None where no place in the file is to blame.
    """

    def __init__(self, path: Path, message: str, line: int | None = None, column: int | None = None) -> None:
        self.path, self.message, self.line, self.column = path, message, line, column
        place = ":".join(str(part) for part in (path, line, column) if part is not None)
        super().__init__(f"{place}: {message}")


def nearest(word: object, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the known word nearest to this one, else the known words."""
    words = sorted(known)
    lowered = {candidate.lower(): candidate for candidate in words}
    match = difflib.get_close_matches(str(word).lower(), list(lowered), n=1, cutoff=0.6)
    if match:
        return f"; did you mean {lowered[match[0]]!r}?"
    return f"; expected one of {', '.join(words)}"
