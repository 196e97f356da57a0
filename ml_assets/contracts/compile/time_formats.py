"""How times are written: Java's letters, as the standard has them, made DuckDB's; none that leaves the day to a guess."""

import re
from collections.abc import Mapping, Sequence

# java.time.format.DateTimeFormatter, the standard's notation, in DuckDB's strptime.
JAVA_FORMATS = {
    "yyyy": "%Y",
    "uuuu": "%Y",
    "yy": "%y",
    "MMMM": "%B",
    "MMM": "%b",
    "MM": "%m",
    "M": "%-m",
    "dd": "%d",
    "d": "%-d",
    "HH": "%H",
    "H": "%-H",
    "hh": "%I",
    "mm": "%M",
    "ss": "%S",
    "SSS": "%g",
    "SSSSSS": "%f",
    "a": "%p",
    "XXX": "%z",
    "xx": "%z",
}
FIELDS = {
    "year": ("yyyy", "uuuu", "yy"),
    "month": ("MMMM", "MMM", "MM", "M"),
    "day": ("dd", "d"),
    "hour": ("HH", "H", "hh"),
    "minute": ("mm",),
    "second": ("ss",),
    "fraction of a second": ("SSS", "SSSSSS"),
    "half of the day": ("a",),
    "offset": ("XXX", "xx"),
}
NEEDS = {"minute": "hour", "second": "minute", "fraction of a second": "second"}
HOURS = ("HH", "H", "hh", "h", "KK", "kk")
USUAL = "yyyy-MM-dd HH:mm:ss"
_PART = re.compile(r"('[^']*')|(([A-Za-z])\3*)|.", re.DOTALL)


def strptime_format(java: str) -> str:
    """A DateTimeFormatter pattern as DuckDB's strptime format; ValueError names the part it can't say."""
    result = []
    for match in _PART.finditer(java):
        quoted, letters, other = match[1], match[2], match[0]
        if quoted:
            result.append((quoted[1:-1] or "'").replace("%", "%%"))
        elif letters:
            if letters not in JAVA_FORMATS:
                known = ", ".join(JAVA_FORMATS)
                raise ValueError(f"format {java!r} has the part {letters!r}; expected parts of {known}")
            result.append(JAVA_FORMATS[letters])
        else:
            result.append(other.replace("%", "%%"))
    return "".join(result)


def check_format(java: str) -> None:
    """Raise ValueError for a pattern that doesn't say the whole day, or says a part twice; with the likely right one."""
    problem = _problem(java)
    if problem is None:
        return
    likely = _likely(java)
    instead = f"did you mean {likely!r}?" if _problem(likely) is None else f"write for example {USUAL!r}"
    raise ValueError(f"{problem}; {instead}")


def _problem(java: str) -> str | None:
    try:
        strptime_format(java)
    except ValueError as error:
        return str(error)
    letters = _letters(java)
    found: Mapping[str, Sequence[str]] = {
        field: [part for part in letters if part in parts] for field, parts in FIELDS.items()
    }
    for field, parts in found.items():
        if len(parts) > 1:
            return f"format {java!r} says the {field} more than once ({' and '.join(parts)})"
    for field in ("year", "month", "day"):
        if not found[field]:
            minutes = ", for mm is the minute" if field == "month" and found["minute"] else ""
            return f"format {java!r} doesn't say the {field}{minutes}"
    for field, needed in NEEDS.items():
        if found[field] and not found[needed]:
            return f"format {java!r} says the {field} and not the {needed}"
    if "hh" in letters and not found["half of the day"]:
        return f"format {java!r} has hours from 1 to 12 (hh) without am or pm (a)"
    if found["half of the day"] and "hh" not in letters:
        return f"format {java!r} has am or pm (a) without hours from 1 to 12 (hh)"
    return None


def _letters(java: str) -> list[str]:
    return [match[2] for match in _PART.finditer(java) if match[2]]


def _likely(java: str) -> str:
    """The pattern with what people mix up put right, by what stands before it."""
    halves = "a" in _letters(java)
    before, result = "", []
    for match in _PART.finditer(java):
        part = match[2]
        if not part:
            result.append(match[0])
            continue
        meant = part
        if part in ("YYYY", "YY", "DD", "D"):
            meant = part.lower()
        elif part in ("mm", "m") and before not in HOURS:
            meant = part.upper()
        elif part == "MM" and before in HOURS:
            meant = "mm"
        elif part == "SS" and before in ("mm", "MM"):
            meant = "ss"
        elif part in HOURS:
            meant = "hh" if halves else "HH"
        result.append(meant)
        before = part
    return "".join(result)
