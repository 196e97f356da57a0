"""A landing folder in an object store that speaks the S3 protocol."""

import os
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from shutil import copyfileobj
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from ml_assets.landing.limits import DEFAULT, FileLimits
from ml_assets.landing.pieces import LandingFile, LandingUnavailable, Listing, NoLandingFiles, Piece
from ml_assets.landing.places.place import PlaceSpec, by_date, check_pattern, passed_over

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem


class ObjectStoreSpec(PlaceSpec):
    """A folder of a bucket."""

    key: ClassVar[str] = "url"

    url: str = Field(
        description="A folder of an object store, s3://bucket/prefix; credentials come from the usual AWS_* variables."
    )

    @field_validator("url")
    @classmethod
    def _names_a_bucket(cls, given: str) -> str:
        check_url(given)
        return given

    def open(self) -> "LandingBucket":
        """See ``PlaceSpec.open``."""
        return LandingBucket(self.url, self.pattern, self.delimiter, limits=self.limits)


def check_url(url: str) -> None:
    """Raise ValueError unless it is ``s3://bucket/prefix``."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or parts.username:
        raise ValueError(
            f"the landing url {url!r} isn't s3://bucket/prefix; credentials come from AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY"
        )


@dataclass(frozen=True)
class LandingBucket:
    """A folder of a bucket with one file per day: ``url`` is ``s3://bucket/prefix``.

    Credentials, region and endpoint come from the usual variables: ``AWS_ACCESS_KEY_ID``,
    ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, and ``AWS_ENDPOINT_URL`` for a store that isn't Amazon's. Raises
    ValueError for another URL or pattern.
    """

    url: str
    pattern: str = "{date}.parquet"
    delimiter: str = ","
    limits: FileLimits = DEFAULT

    def __post_init__(self) -> None:
        check_pattern(self.pattern)
        check_url(self.url)

    @property
    def place(self) -> str:
        """The URL."""
        return self.url

    @property
    def _folder(self) -> str:
        return self.url.removeprefix("s3://").rstrip("/")

    def listed(self) -> Listing:
        """The files in the order of their dates; an object's size and time of change (to the second) are its fingerprint.

        Raises NoLandingFiles if there is none, and LandingUnavailable if the store can't be asked.
        """
        from pyarrow.fs import FileSelector, FileType

        try:
            store = self._store()
            if store.get_file_info(self._folder.split("/")[0]).type is FileType.NotFound:
                raise FileNotFoundError("there is no such bucket")
            found = store.get_file_info(FileSelector(self._folder, allow_not_found=True))
        except OSError as error:
            raise self._unavailable(error) from error
        files = {info.base_name: info for info in found if info.is_file}
        matches = by_date(self.pattern, files)
        if not matches:
            raise NoLandingFiles(
                f"{self.url} has {len(files)} files, none named {self.pattern} (with {{date}} as YYYY-MM-DD); land "
                "files there, or correct `landing:` in defs.yaml"
            )
        listed = []
        for day, name in matches.items():
            info = files[name]
            mark = f"{info.size}:{info.mtime.astimezone(UTC).isoformat()}"
            listed.append(Piece((day, day), name, info.size, mark))
        return Listing.of(listed, passed_over(self.pattern, files, matches.values()))

    def fetch(self, piece: Piece, into: Path) -> LandingFile:
        """Download a file into a folder, byte by byte as it is. Raises LandingUnavailable."""
        path = into / piece.name
        try:
            with (
                self._store().open_input_stream(f"{self._folder}/{piece.name}", compression=None) as source,
                path.open("wb") as copy,
            ):
                copyfileobj(source, copy, 1 << 20)
        except OSError as error:
            raise self._unavailable(error) from error
        return LandingFile(piece.between[0], path, path.stat().st_size)

    def _store(self) -> "S3FileSystem":
        from pyarrow.fs import S3FileSystem

        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if not endpoint:
            return S3FileSystem(region=region)
        parts = urlsplit(endpoint)
        return S3FileSystem(region=region, endpoint_override=parts.netloc, scheme=parts.scheme)

    def _unavailable(self, error: OSError) -> LandingUnavailable:
        return LandingUnavailable(
            f"{self.url} can't be read ({str(error).splitlines()[0]}); check the AWS_* variables, the bucket and the "
            "network, then run it again"
        )
