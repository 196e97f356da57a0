"""What a source declares of every place that its landing files come from, and how the files of days are named."""

import re
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from datetime import date
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ml_assets.landing.formats.csv import check_delimiter
from ml_assets.landing.formats.registry import suffixes
from ml_assets.landing.limits import DEFAULT, FileLimits
from ml_assets.landing.pieces import Landing

DATED = re.compile(r"(?<!\d)(19|20)\d{2}\D?\d{1,2}\D?\d{1,2}(?!\d)")
TEMPORARY = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")


class PlaceSpec(BaseModel):
    """A place where the producer leaves one file per day; ``key`` is the key in YAML that says it is such a place."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    key: ClassVar[str]

    pattern: str = Field(
        "{date}.parquet",
        description="File name of a path or url; {date} stands for YYYY-MM-DD, the file's day. The suffix is the "
        "format: .parquet, .csv or .jsonl (or .ndjson), the last two also with .gz or .zst.",
    )
    delimiter: str = Field(",", description="The character between two fields of a CSV file.")
    limits: FileLimits = Field(DEFAULT, description="How much a file may hold at most.")
    late_days: int = Field(0, ge=0, description="How many days after it happened a row may still arrive.")

    @field_validator("pattern")
    @classmethod
    def _names_days(cls, given: str) -> str:
        check_pattern(given)
        return given

    @field_validator("delimiter")
    @classmethod
    def _parts_fields(cls, given: str) -> str:
        check_delimiter(given)
        return given

    @property
    def file_pattern(self) -> str:
        """The names of the files that come from here."""
        return self.pattern

    @abstractmethod
    def open(self) -> Landing:
        """The place itself; nothing is asked of it yet."""


def check_pattern(pattern: str) -> None:
    """Raise ValueError unless it is a file name with one ``{date}`` and a known suffix."""
    if pattern.count("{date}") != 1 or "/" in pattern or not pattern.endswith(suffixes()):
        raise ValueError(
            f"the landing pattern {pattern!r} isn't a file name with one {{date}} and a suffix of "
            f"{', '.join(suffixes())}; write for example '{{date}}.csv.gz'"
        )


def by_date(pattern: str, names: Iterable[str]) -> dict[date, str]:
    """The names that match a pattern, by their date, in order of the dates."""
    before, after = (re.escape(part) for part in pattern.split("{date}"))
    name = re.compile(rf"{before}(\d{{4}}-\d{{2}}-\d{{2}}){after}")
    matches = [match for match in map(name.fullmatch, names) if match]
    found = {day: match[0] for match in matches if (day := _date(match[1])) is not None}
    return dict(sorted(found.items()))


def passed_over(pattern: str, names: Iterable[str], taken: Iterable[str]) -> str:
    """In words, which files seem to be meant for a day and aren't named by the pattern; empty if there are none.

    They have a date in their names, or end as the pattern does in whatever case; hidden and temporary ones do not count.
    """
    suffix = pattern.rpartition("{date}")[2].lower()
    strange = sorted(
        name
        for name in set(names) - set(taken)
        if not name.startswith((".", "_"))
        and not name.lower().endswith(TEMPORARY)
        and (DATED.search(name) or (suffix and name.lower().endswith(suffix)))
    )
    if not strange:
        return ""
    return (
        f"{first_of(strange)} passed over: a file of a day is named {pattern} here, {{date}} being YYYY-MM-DD; "
        "rename them, or correct `pattern` of the landing in defs.yaml"
    )


def first_of(names: Sequence[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
