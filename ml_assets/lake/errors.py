"""What can be wrong with what is asked of the lake."""

import re


class LakeError(Exception):
    """What was asked of a table can't be done; the message says why and what to do."""


class Damaged(LakeError):
    """A file that a table names is lost or can't be read."""


class Overtaken(LakeError):
    """The table has moved on since its writer read it; nothing was written."""


def plain(error: Exception) -> str:
    """What Rust says of an error, on one line, without colours and without the frames of its stack."""
    said = re.sub("\x1b\\[[0-9;]*m|↳", " ", str(error))
    frames = re.compile(r"\s*(\d+: |at \S+:\d+:\d+$)")
    return " ".join(" ".join(line for line in said.splitlines() if not frames.match(line)).split())
