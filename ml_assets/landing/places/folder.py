"""A folder of this machine with one landing file per day."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from ml_assets.instance.home import root
from ml_assets.landing.limits import DEFAULT, FileLimits
from ml_assets.landing.pieces import LandingFile, LandingUnavailable, Listing, NoLandingFiles, Piece
from ml_assets.landing.places.place import PlaceSpec, by_date, check_pattern, passed_over


class FolderSpec(PlaceSpec):
    """A folder; a relative one is below the project's root."""

    key: ClassVar[str] = "path"

    path: str = Field(description="A folder of landing files, absolute or below the project's root.")

    def open(self) -> "LandingFolder":
        """See ``PlaceSpec.open``."""
        return LandingFolder(root() / self.path, self.pattern, self.delimiter, limits=self.limits)


@dataclass(frozen=True)
class LandingFolder:
    """A folder with one file per day, named by ``pattern``: ``{date}`` stands for YYYY-MM-DD.

    Raises ValueError if the pattern isn't a file name with one ``{date}`` and a known suffix.
    """

    path: Path
    pattern: str = "{date}.parquet"
    delimiter: str = ","
    limits: FileLimits = DEFAULT

    def __post_init__(self) -> None:
        check_pattern(self.pattern)

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.path)

    def listed(self) -> Listing:
        """The files in the order of their dates; names that don't match are left alone, hidden and temporary ones too.

        So are links to what lies outside of the folder.

        Raises NoLandingFiles if there is none, and LandingUnavailable if the folder can't be read.
        """
        try:
            names = {path.name: path for path in self.path.iterdir() if path.is_file() and self._holds(path)}
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
        listed = []
        for day, name in found.items():
            with suppress(FileNotFoundError):
                status = names[name].stat()
                mark = f"{status.st_size}:{status.st_mtime_ns}"
                listed.append(Piece((day, day), name, status.st_size, mark))
        return Listing.of(listed, passed_over(self.pattern, names, found.values()))

    def _holds(self, path: Path) -> bool:
        """Whether what stands at a path of the folder lies in it: a link out of it would copy whatever it names."""
        return not path.is_symlink() or path.resolve().is_relative_to(self.path.resolve())

    def fetch(self, piece: Piece, into: Path) -> LandingFile:
        """The file where it is. One that has gone since it was listed has size 0, and can't be read."""
        path = self.path / piece.name
        return LandingFile(piece.between[0], path, path.stat().st_size if path.exists() else 0)


REMEDY = "land files there (`ml-assets data land completejourney` for the sample), or correct `landing:` in defs.yaml"
