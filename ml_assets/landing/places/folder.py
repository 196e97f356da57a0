"""A folder of this machine with one landing file per day."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ml_assets.landing.formats.registry import suffixes
from ml_assets.landing.landed import LandingFile, LandingUnavailable, Listed, NoLandingFiles


@dataclass(frozen=True)
class LandingFolder:
    """A folder with one file per day, named by ``pattern``: ``{date}`` stands for YYYY-MM-DD.

    Raises ValueError if the pattern isn't a file name with one ``{date}`` and a known suffix.
    """

    path: Path
    pattern: str = "{date}.parquet"
    delimiter: str = ","

    def __post_init__(self) -> None:
        check_pattern(self.pattern)

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.path)

    def listed(self) -> dict[date, Listed]:
        """The files by date, in order; names that don't match are left alone, hidden and temporary ones too.

        Raises NoLandingFiles if there is none, and LandingUnavailable if the folder can't be read.
        """
        try:
            names = {path.name: path for path in self.path.iterdir() if path.is_file()}
        except (FileNotFoundError, NotADirectoryError):
            raise NoLandingFiles(f"the landing folder {self.path} does not exist; {REMEDY}") from None
        except OSError as error:
            raise LandingUnavailable(
                f"the landing folder {self.path} can't be read ({error.strerror}); see that it is there and may be "
                "read, then run it again"
            ) from error
        found = by_date(self.pattern, names)
        if not found:
            raise NoLandingFiles(
                f"the landing folder {self.path} has {len(names)} files, none named {self.pattern} "
                f"(with {{date}} as YYYY-MM-DD); {REMEDY}"
            )
        listed = {}
        for day, name in found.items():
            with suppress(FileNotFoundError):
                status = names[name].stat()
                listed[day] = Listed(day, name, status.st_size, f"{status.st_size}:{status.st_mtime_ns}")
        return listed

    def fetch(self, listed: Listed, into: Path) -> LandingFile:
        """The file where it is. One that has gone since it was listed has size 0, and can't be read."""
        path = self.path / listed.name
        return LandingFile(listed.date, path, path.stat().st_size if path.exists() else 0)


REMEDY = "land files there (`ml-assets data land completejourney` for the sample), or correct `landing:` in defs.yaml"


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


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
