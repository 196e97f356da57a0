"""Text landing files as lines: unpacked, and known to be whole, of the right kind and UTF-8 before they are read."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ml_assets.landing.formats.unsound import AGAIN, ONCE_MORE, Unsound, row_too_long, too_large
from ml_assets.landing.limits import FileLimits, in_bytes

PIECE = 32 * 2**20
HEAD = 512
NEWLINE = b"\n"
SHOWN = 80
"""Longest part of a bad line that a reason quotes."""
UTF_8_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
GZIP, ZSTD = "compressed with gzip", "compressed with zstd"
PACKED = {".gz": GZIP, ".zst": ZSTD}
MAGIC = {
    b"\x1f\x8b": GZIP,
    b"\x28\xb5\x2f\xfd": ZSTD,
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet or document",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF",
    b"SQLite format 3\x00": "an SQLite database",
}
MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")


def shown(content: str) -> str:
    """A bad line as a reason quotes it, cut where it is long."""
    return repr(content[:SHOWN]) + ("..." if len(content) > SHOWN else "")


def looks_like(head: bytes) -> str | None:
    """What the first bytes of a file say that it is, where that is no plain text."""
    for magic, what in MAGIC.items():
        if head.startswith(magic):
            return what
    if head.removeprefix(UTF_8_MARK).lstrip().lower().startswith(MARKUP):
        return "a web page or XML, perhaps an error message of the server it came from"
    return None


def parts(path: Path, kind: str, limits: FileLimits) -> Iterator[tuple[int, bytes]]:
    """The UTF-8 text of a file in parts of whole lines, each with the number of its first line (from 1).

    ``kind`` is what the file should be, in words: ``CSV``. A byte order mark is left out. Raises Unsound for
    a file that is cut off, damaged, empty, beyond the limits, not what its name says, or no UTF-8 text, and
    OSError for one that can't be read. Memory stays within a few parts, however far a file unpacks.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
        _check_name(path, head, kind)
        file.seek(0)
        blocks = _within(_unpacked(file, path.suffix), limits.unpacked)
        for number, content in _whole_lines(_checked(blocks, path, kind), limits.row):
            _check_text(number, content)
            yield number, content.removeprefix(UTF_8_MARK) if number == 1 else content


def check_limits(path: Path, limits: FileLimits) -> None:
    """Raise Unsound for a file that is beyond the limits once it is unpacked, or can't be unpacked."""
    with path.open("rb") as file:
        for _ in _whole_lines(_within(_unpacked(file, path.suffix), limits.unpacked), limits.row):
            pass


def _check_name(path: Path, head: bytes, kind: str) -> None:
    """Hold the first bytes of a file against the compression its name speaks of."""
    if not head:
        raise Unsound("is empty (0 bytes) and may have been cut off", ONCE_MORE)
    found, named = looks_like(head), PACKED.get(path.suffix)
    if named and found != named:
        found = found or "not compressed at all"
        raise Unsound(
            f"is {found}, by its name it should be {named}", "land it as its name says, or under another name"
        )
    if found in PACKED.values() and not named:
        raise Unsound(
            f"is {found}, by its name it should be plain {kind}",
            "unpack it, or let its name and the landing's pattern say that it is packed",
        )


def _checked(blocks: Iterator[bytes], path: Path, kind: str) -> Iterator[bytes]:
    """The blocks of a file as they are, once its content starts like ``kind``."""
    first = True
    for block in blocks:
        if first:
            _check_start(block[:HEAD], kind, packed=path.suffix in PACKED)
        first = False
        yield block
    if first:
        raise Unsound("is empty once it is unpacked and may have been cut off", ONCE_MORE)


def _check_start(head: bytes, kind: str, *, packed: bool) -> None:
    found = looks_like(head)
    if found in PACKED.values() and packed:
        raise Unsound(f"is {found} once more inside, {kind} is expected there", "compress it once only")
    if found is not None:
        raise Unsound(f"is {found}, {kind} is expected", f"land it as {kind}")
    if head.startswith(UTF_16_MARKS) or head.count(0) * 3 > len(head):
        raise Unsound(
            f"is UTF-16 text or no text at all, {kind} in UTF-8 is expected",
            "save it as UTF-8 and land it again",
        )
    if head == UTF_8_MARK:
        raise Unsound(f"holds nothing but a byte order mark, {kind} is expected", ONCE_MORE)


def _unpacked(file: IO[bytes], suffix: str) -> Iterator[bytes]:
    """The bytes of a file, unpacked; Unsound where the packing is cut off or damaged."""
    if suffix == ".zst":
        return _unpacked_zstd(file)
    return _unpacked_gzip(file) if suffix == ".gz" else iter(lambda: file.read(PIECE), b"")


def _within(blocks: Iterator[bytes], limit: int) -> Iterator[bytes]:
    """The blocks of a file as they are; Unsound once they are more than it may hold."""
    size = 0
    for block in blocks:
        size += len(block)
        if size > limit:
            raise too_large(f"more than {in_bytes(limit)} once it is unpacked", limit)
        yield block


def _unpacked_gzip(file: IO[bytes]) -> Iterator[bytes]:
    """DuckDB unpacks gzip too, but doesn't look at its checksum."""
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as stream:
            while block := stream.read(PIECE):
                yield block
    except EOFError as error:
        raise Unsound(CUT_OFF, ONCE_MORE) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise Unsound(_damaged(error), ONCE_MORE) from error


def _unpacked_zstd(file: IO[bytes]) -> Iterator[bytes]:
    """DuckDB unpacks zstd too, but takes what is left of a file that was cut off for all of it."""
    import pyarrow as pa

    stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")
    while True:
        try:
            block = stream.read(PIECE)
        except OSError as error:
            if error.errno is not None:
                raise
            raise Unsound(CUT_OFF if "Truncated" in str(error) else _damaged(error), ONCE_MORE) from error
        if not block:
            return
        yield block


CUT_OFF = "is cut off, the end of the compressed data is missing"


def _damaged(error: Exception) -> str:
    return f"is damaged, the compressed data can't be unpacked ({error})"


def _whole_lines(blocks: Iterator[bytes], longest: int) -> Iterator[tuple[int, bytes]]:
    """Blocks cut after line ends, with the number of the first line; Unsound for NUL and for endless lines."""
    number = 1
    rest = b""
    for block in blocks:
        zero = block.find(b"\x00")
        if zero >= 0:
            line = number + block.count(b"\n", 0, zero)
            raise Unsound(f"line {line} has a NUL byte, text is expected", AGAIN)
        content = rest + block
        begin = _too_long(content, longest)
        if begin is not None:
            raise row_too_long(f"line {number + content.count(NEWLINE, 0, begin)}", longest)
        whole, end, rest = content.rpartition(NEWLINE)
        if end:
            yield number, whole + end
            number += whole.count(NEWLINE) + 1
    if rest:
        yield number, rest


def _too_long(content: bytes, longest: int) -> int | None:
    """Where a line begins that is longer than it may be, or None."""
    begin = 0
    while len(content) - begin > longest:
        end = content.rfind(NEWLINE, begin, begin + longest + 1)
        if end < 0:
            return begin
        begin = end + 1
    return None


def _check_text(number: int, content: bytes) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = number + before.count(b"\n")
        start = before.rpartition(b"\n")[2]
        said = content[error.start - len(start) :].partition(b"\n")[0].decode(errors="replace").rstrip("\r")
        raise Unsound(
            f"line {line} isn't UTF-8 text (byte {len(start) + 1} of the line is 0x{content[error.start]:02X})",
            "save the file as UTF-8 and land it again",
            quoted=shown(said),
        ) from error
