"""Why a landing file can't be taken in."""

AGAIN = "correct it and land it again"
ONCE_MORE = "land it again"


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


def cannot_open(error: OSError) -> Unsound:
    """Why a file is refused that can't be opened or read to its end."""
    return Unsound(
        f"can't be read ({error.strerror or error})",
        "see that it is a file anybody may read, and land it again",
    )
