"""Landing files that no contract describes yet, read into one table; what they hold is text unless it is typed."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from ml_assets.contracts.errors import ContractError
from ml_assets.landing.formats.format import Format
from ml_assets.landing.formats.registry import format_of, suffixes
from ml_assets.landing.formats.text_file import check_limits
from ml_assets.landing.formats.unsound import Unsound
from ml_assets.landing.limits import DEFAULT

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Sample:
    """Rows of landing files in the temporary ``table``, with the number of their file as FILE.

    ``types`` are the landing columns with their DuckDB types, all VARCHAR unless the format is typed.
    ``counts`` has the rows of every file, ``days`` the day that each file's name gives, None if one has none,
    ``options`` what ``landing`` in defs.yaml has to say beside the pattern.
    """

    table: str
    format: type[Format]
    types: Mapping[str, str]
    files: tuple[Path, ...]
    counts: tuple[int, ...]
    days: tuple[date, ...] | None
    options: Mapping[str, str]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(self.counts)

    @property
    def pattern(self) -> str | None:
        """The files' names with ``{date}`` for their day, if they have it in common."""
        if self.days is None:
            return None
        found = {
            file.name.replace(str(day), "{date}", 1) for file, day in zip(self.files, self.days, strict=True)
        }
        return found.pop() if len(found) == 1 else None


def read_sample(con: duckdb.DuckDBPyConnection, files: Sequence[Path], delimiter: str | None) -> Sample:
    """Read files of one format and one set of columns; ContractError names the first that doesn't fit."""
    if not files:
        raise ContractError(Path(), "no files are given; name at least one landing file")
    paths = tuple(Path(file) for file in files)
    kind = _format(paths)
    try:
        format = kind.of(delimiter)
    except ValueError as error:
        raise ContractError(paths[0], str(error)) from None
    for path in paths:
        _check_there(path)
        if not kind.typed:
            _check_limits(path)
    table = f"inferred_{next(_numbers)}"
    found = format.sample(con, table, paths)
    if not sum(found.counts):
        raise ContractError(
            paths[0], "no file has a row; types can't be guessed from nothing: give one that has"
        )
    return Sample(table, kind, found.types, paths, tuple(found.counts), _days(paths), found.options)


def _format(paths: Sequence[Path]) -> type[Format]:
    found: dict[type[Format], Path] = {}
    for path in paths:
        kind = format_of(path.name)
        if kind is None:
            raise ContractError(path, f"the suffix says no format; expected one of {', '.join(suffixes())}")
        found.setdefault(kind, path)
    if len(found) > 1:
        names = " and ".join(path.name for path in found.values())
        raise ContractError(
            paths[0], f"{names} are of two formats; a source has one: give files of one format"
        )
    return next(iter(found))


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise ContractError(path, "there is no such file; check the name")
    if path.stat().st_size == 0:
        raise ContractError(path, "the file is empty (0 bytes); leave it out")


def _check_limits(path: Path) -> None:
    try:
        check_limits(path, DEFAULT)
    except Unsound as error:
        raise ContractError(path, error.reason(quoting=True)) from error


def _days(paths: Sequence[Path]) -> tuple[date, ...] | None:
    days = []
    for path in paths:
        match = re.search(r"\d{4}-\d{2}-\d{2}", path.name)
        try:
            days.append(date.fromisoformat(match[0] if match else ""))
        except ValueError:
            return None
    return tuple(days) if len(set(days)) == len(days) else None
