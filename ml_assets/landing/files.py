"""Which files have landed, and the identity of their bytes."""

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

CSV_SUFFIXES = (".csv", ".csv.gz", ".csv.zst")
SUFFIXES = (".parquet", *CSV_SUFFIXES)


class NoLandingFiles(FileNotFoundError):
    """Nothing has landed: the folder is missing, or no file in it has the expected name."""


@dataclass(frozen=True)
class LandingFile:
    """A file of one landing date; ``size`` in bytes, ``mtime_ns`` in nanoseconds since 1970."""

    date: date
    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class LandingFolder:
    """A folder with one file per day, named by ``pattern``: ``{date}`` stands for YYYY-MM-DD.

    Raises ValueError if the pattern isn't a file name with one ``{date}`` and a known suffix
    (.parquet, .csv, .csv.gz, .csv.zst).
    """

    path: Path
    pattern: str = "{date}.parquet"

    def __post_init__(self) -> None:
        if self.pattern.count("{date}") != 1 or "/" in self.pattern or not self.pattern.endswith(SUFFIXES):
            raise ValueError(
                f"the landing pattern {self.pattern!r} isn't a file name with one {{date}} and a suffix of "
                f"{', '.join(SUFFIXES)}; write for example '{{date}}.csv.gz'"
            )

    def files(self) -> dict[date, LandingFile]:
        """The files by date, in order; names that don't match are left alone, hidden and temporary ones too.

        Raises NoLandingFiles if there is none.
        """
        if not self.path.is_dir():
            raise NoLandingFiles(f"the landing folder {self.path} does not exist; {self._remedy()}")
        before, after = (re.escape(part) for part in self.pattern.split("{date}"))
        name = re.compile(rf"{before}(\d{{4}}-\d{{2}}-\d{{2}}){after}")
        found: dict[date, LandingFile] = {}
        seen = 0
        for path in sorted(self.path.iterdir()):
            if not path.is_file():
                continue
            seen += 1
            match = name.fullmatch(path.name)
            day = _date(match[1]) if match else None
            if day is not None:
                status = path.stat()
                found[day] = LandingFile(day, path, status.st_size, status.st_mtime_ns)
        if not found:
            raise NoLandingFiles(
                f"the landing folder {self.path} has {seen} files, none named {self.pattern} "
                f"(with {{date}} as YYYY-MM-DD); {self._remedy()}"
            )
        return found

    def _remedy(self) -> str:
        return (
            "land files there (`ml-assets land completejourney` for the sample), "
            "or correct `landing:` in defs.yaml"
        )


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes as hex, read in pieces; OSError if it can't be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
