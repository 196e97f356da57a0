"""Why a landing file can't be taken in."""

from ml_assets.landing.limits import in_bytes

AGAIN = "correct it and land it again"
ONCE_MORE = "land it again"
UNREADABLE = "isn't readable, it may be cut off, damaged or of another format"


class Unsound(Exception):
    """Why a file can't be taken in: what was found, where, what was expected; and what to do.

    ``quoted`` is what stands at the place, or what another program says of it: values may be in it.
    """

    def __init__(self, found: str, remedy: str, *, quoted: str = "") -> None:
        super().__init__(found, remedy, quoted)
        self.found, self.remedy, self.quoted = found, remedy, quoted

    def reason(self, *, quoting: bool) -> str:
        """The whole of it as a sentence, with the quotation or without."""
        said = f": {self.quoted}" if quoting and self.quoted else ""
        return f"{self.found}{said}; {self.remedy}"


def too_large(size: str, limit: int) -> Unsound:
    """Why a file is refused that holds more than it may."""
    return Unsound(
        f"holds {size}, and may hold {in_bytes(limit)}",
        "land less in one file, or raise `limits.unpacked` of the landing in defs.yaml",
    )


def row_too_long(where: str, limit: int) -> Unsound:
    """Why a file is refused with a row that is longer than one may be."""
    return Unsound(
        f"{where} is longer than {in_bytes(limit)}",
        f"{AGAIN}, or raise `limits.row` of the landing in defs.yaml",
    )


def cannot_open(error: OSError) -> Unsound:
    """Why a file is refused that can't be opened or read to its end."""
    return Unsound(
        f"can't be read ({error.strerror or error})",
        "see that it is a file anybody may read, and land it again",
    )
