"""Where the landing files of a source are: the block ``landing:`` of its YAML."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_assets.instance.home import STAGED, root
from ml_assets.landing import Landing, LandingFolder
from ml_assets.landing.places.database import LandingQuery
from ml_assets.landing.places.object_store import LandingBucket


class LandingSpec(BaseModel):
    """Where the producer leaves one file per day: a folder, an object store, or the rows of a database query."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = Field(
        None, description="A folder of landing files, absolute or below the project's root."
    )
    url: str | None = Field(
        None,
        description="A folder of an object store, s3://bucket/prefix; credentials come from the usual AWS_* variables.",
    )
    database: str | None = Field(
        None, description="An SQLAlchemy URL; ${NAME} in it is taken from the environment when it is used."
    )
    query: str | None = Field(None, description="With database: the SELECT whose rows are events.")
    watermark: str | None = Field(
        None,
        description="With database: the column that says when a row was written; its UTC day is the landing day.",
    )
    pattern: str = Field(
        "{date}.parquet",
        description="File name of a path or url; {date} stands for YYYY-MM-DD, the file's day. The suffix is the "
        "format: .parquet, .csv or .jsonl (or .ndjson), the last two also with .gz or .zst.",
    )
    delimiter: str = Field(",", description="The character between two fields of a CSV file.")
    late_days: int = Field(0, ge=0, description="How many days after it happened a row may still arrive.")

    @model_validator(mode="after")
    def _one_place(self) -> "LandingSpec":
        named = [name for name in ("path", "url", "database") if getattr(self, name)]
        if len(named) != 1:
            raise ValueError(
                f"landing names {' and '.join(named) or 'no place'}; exactly one of path, url and database is expected"
            )
        for name in ("query", "watermark"):
            if bool(getattr(self, name)) != (named == ["database"]):
                raise ValueError(f"landing.{name} goes with landing.database: give both, or neither")
        return self

    def of(self, source: str) -> Landing:
        """The landing of a source; a relative path is below the project's root.

        Where ML_ASSETS_LANDING names a folder, it is that folder's subfolder of the source's name instead.
        """
        if staged := os.environ.get(STAGED):
            pattern = "{date}.jsonl" if self.database else self.pattern
            return LandingFolder(Path(staged) / source, pattern, self.delimiter)
        if self.path:
            return LandingFolder(root() / self.path, self.pattern, self.delimiter)
        if self.url:
            return LandingBucket(self.url, self.pattern, self.delimiter)
        assert self.database
        assert self.query
        assert self.watermark
        return LandingQuery(self.database, self.query, self.watermark)
