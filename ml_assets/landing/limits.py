"""How large a landing file may be once it is unpacked: a packed one can hold a thousand times its size."""

from pydantic import BaseModel, ByteSize, ConfigDict, Field

MB = 10**6


class FileLimits(BaseModel):
    """What a landing file may hold, in bytes as they are read: one that holds more is refused.

    In YAML a size is a number of bytes, or has a unit: ``500MB``, ``2GB``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    unpacked: ByteSize = Field(
        ByteSize(1000 * MB), gt=0, description="Size of a whole file, unpacked, such as 500MB or 2GB."
    )
    row: ByteSize = Field(
        ByteSize(2 * 2**20), gt=0, le=64 * 2**20, description="Size of one row, at most 64MiB."
    )


DEFAULT = FileLimits()


def in_bytes(size: int) -> str:
    """A size as messages write it."""
    return f"{size:,} bytes"
