r"""JSON-lines landing files: one object a line, its values taken as the text that stands there.

DuckDB takes plain lines apart: objects without nested values. It reads a number as a double and would write
1.10 as 1.1, so a line with a number that it would write otherwise has its numbers made texts first. Python
takes the other lines apart, more slowly, and finds out what is wrong with them.
"""

import json
import re
from collections.abc import Sequence
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import duckdb

from ml_assets.contracts import Contract, ContractError
from ml_assets.lake.sql import quote, text
from ml_assets.landing.formats.format import Sampled, TextFormat
from ml_assets.landing.formats.sampling import check_columns, check_names, create_table, text_lines
from ml_assets.landing.formats.sandbox import Sandbox
from ml_assets.landing.formats.schema import column_unknown, columns_differ, land_columns
from ml_assets.landing.formats.text_file import parts, shown
from ml_assets.landing.formats.unsound import AGAIN, Unsound
from ml_assets.landing.pieces import LandingFile

if TYPE_CHECKING:
    import pyarrow as pa

Row = list[tuple[str, str | None]]
Keys = tuple[int, list[str]]

JSON_LINES = "JSON lines"
BATCH = 20_000
"""Lines that one thread takes at a time."""

_HEX = "[0-9a-fA-F]"
_SURROGATES = rf"[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}"
_ESCAPE = rf'\\(?:["\\/bfnrt]|u(?:[0-9abcefABCEF]{_HEX}{{3}}|[dD][0-7]{_HEX}{{2}}|{_SURROGATES}))'
_STRING = rf'"(?:[^"\\\x00-\x1f]|{_ESCAPE})*"'
_NUMBER = "-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?"
_SPACE = r"[ \t\r\n]*"
_MEMBER = f"{_SPACE}{_STRING}{_SPACE}:{_SPACE}(?:{_STRING}|{_NUMBER}|true|false|null){_SPACE}"
PLAIN = f"{_SPACE}[{{](?:{_MEMBER}(?:,{_MEMBER})*|{_SPACE})[}}]{_SPACE}"
"""A line that is a JSON object (RFC 8259) without nested values."""
IS_PLAIN = f"regexp_full_match(line, {text(PLAIN)})"
REWRITTEN = (
    "[.][0-9]*0(?:[^0-9]|$)|[.]0000|[.][0-9]{11}|[0-9]{12}[.]|[0-9]{6}[.][0-9]{5}|[0-9][eE]|-0(?:[^.0-9]|$)"
)
"""Is in every line with a number that DuckDB would write otherwise: 1.10, 0.00001, over 15 digits, 1e3, -0."""
NUMBERS = r'((?:[^"0-9-]|"(?:[^"\\]|\\.)*")*)(-?[0-9][0-9.eE+-]*|$)'
"""What comes before a number, texts being skipped as a whole, and the number; at last the end of the line."""

_blank = re.compile(_SPACE)


class JsonLines(TextFormat):
    """JSON lines in UTF-8: one object a line, keys being the columns; a key left out is an empty value."""

    words = JSON_LINES
    suffixes = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst")
    nests = True

    def insert_file(
        self, sandbox: Sandbox, file: LandingFile, digest: str, contract: Contract, table: str
    ) -> None:
        """See ``TextFormat.insert_file``; rows may have been inserted before an error is raised."""
        con = sandbox.target
        wanted = contract.source_columns
        columns = ", ".join(quote(name) for name in wanted)
        origin = f"DATE '{file.date}', {text(file.path.name)}, {text(digest)}, row_number"
        found: set[str] = set()
        empty = True
        try:
            for first, content in parts(file.path, JSON_LINES, sandbox.limits):
                con.register("landing_lines", _lines(first, content))
                keys, all_plain = _plain_keys(con)
                if not all_plain:
                    other_keys, other = _other_rows(con, wanted)
                    keys = sorted([*keys, *other_keys])
                for number, names in keys:
                    _check_keys(number, names, wanted)
                    found.update(names)
                    empty = False
                plain = _plain_rows(wanted, "TRUE" if all_plain else IS_PLAIN)
                con.execute(f"INSERT INTO {table} SELECT {columns}, {origin} FROM ({plain})")
                if not all_plain:
                    con.register("landing_lines", other)
                    con.execute(f"INSERT INTO {table} SELECT {columns}, {origin} FROM landing_lines")
        finally:
            con.unregister("landing_lines")
        problem = columns_differ([name for name in wanted if name in found], wanted)
        if problem is not None and not empty:
            raise Unsound(f"has, in all its lines, {problem}", land_columns(wanted))

    def sample(self, con: duckdb.DuckDBPyConnection, table: str, paths: Sequence[Path]) -> Sampled:
        """See ``Format.sample``."""
        import pyarrow as pa

        names: list[str] = []
        counts = []
        for number, path in enumerate(paths):
            rows = [
                _sampled_object(path, at, line)
                for at, line in enumerate(text_lines(con, path), start=1)
                if line.strip()
            ]
            keys = list(dict.fromkeys(key for row in rows for key in row))
            if not names:
                check_names(path, keys)
                names = keys
                create_table(con, table, dict.fromkeys(names, "VARCHAR"))
            check_columns(path, keys, paths[0], names)
            _arrow = pa.table(
                {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
            )
            values = ", ".join(quote(name) for name in names)
            con.execute(f"INSERT INTO {table} SELECT {values}, {number} FROM _arrow")
            counts.append(len(rows))
        return Sampled(dict.fromkeys(names, "VARCHAR"), counts)


def _lines(first: int, content: bytes) -> "pa.Table":
    """The lines of a piece, line ends included, and their numbers."""
    import numpy as np
    import pyarrow as pa

    ends = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == ord("\n")).astype(np.int32) + 1
    if not content.endswith(b"\n"):
        ends = np.append(ends, np.int32(len(content)))
    offsets = np.concatenate([np.zeros(1, dtype=np.int32), ends])
    count = len(ends)
    lines = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(content))
    table = pa.table({"line": lines, "row_number": np.arange(first, first + count, dtype=np.int64)})
    return pa.Table.from_batches(table.to_batches(BATCH), schema=table.schema)


def _plain_keys(con: duckdb.DuckDBPyConnection) -> tuple[list[Keys], bool]:
    """Every order of keys that the plain lines have, with the first such line; and whether all lines are plain."""
    found = con.execute(
        "SELECT min(row_number) AS first, CASE WHEN plain THEN json_keys(line) END AS keys "
        f"FROM (SELECT *, {IS_PLAIN} AS plain FROM landing_lines) GROUP BY keys ORDER BY first"
    ).fetchall()
    keys = [(number, names) for number, names in found if names is not None]
    return keys, len(keys) == len(found)


def _check_keys(number: int, keys: Sequence[str], wanted: Sequence[str]) -> None:
    known = set(wanted)
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise Unsound(f"line {number} has the key {key!r} more than once", AGAIN)
        if key not in known:
            raise Unsound(f"line {number} has {column_unknown(key, keys, wanted)}", land_columns(wanted))
        seen.add(key)


def _plain_rows(wanted: Sequence[str], condition: str) -> str:
    """The query that takes the lines apart that are plain, which is where the condition holds."""
    structure = text(json.dumps(dict.fromkeys(wanted, "VARCHAR")))
    quoted = rf"""rtrim(regexp_replace(line, {text(NUMBERS)}, '\1"\2"', 'g'), '"')"""
    values = f"CASE WHEN regexp_matches(line, {text(REWRITTEN)}) THEN {quoted} ELSE line END"
    return f"SELECT unnest(from_json({values}, {structure})), row_number FROM landing_lines WHERE {condition}"


def _other_rows(con: duckdb.DuckDBPyConnection, wanted: Sequence[str]) -> tuple[list[Keys], "pa.Table"]:
    """The lines that are neither plain nor blank: their keys, as of ``_plain_keys``, and their values.

    Unsound for the first line that is bad. No row is kept as such: Python's garbage collector would look at
    all of them again and again.
    """
    import pyarrow as pa

    first: dict[tuple[str, ...], int] = {}
    columns: dict[str, list[str | None]] = {name: [] for name in wanted}
    numbers: list[int] = []
    odd = con.execute(f"SELECT row_number, line FROM landing_lines WHERE NOT {IS_PLAIN} ORDER BY row_number")
    while lines := odd.fetchmany(BATCH):
        for number, line in lines:
            if not _blank.fullmatch(line):
                row = _members(number, line.rstrip("\r\n"))
                first.setdefault(tuple(key for key, _ in row), number)
                values = dict(row)
                for name, column in columns.items():
                    column.append(values.get(name))
                numbers.append(number)
    arrays = [pa.array(column, pa.string()) for column in columns.values()]
    table = pa.table([*arrays, pa.array(numbers, pa.int64())], names=[*columns, "row_number"])
    return [(number, list(keys)) for keys, number in first.items()], table


def _members(number: int, line: str) -> Row:
    """The members of the object in a line: texts unescaped, null as None, all else as JSON."""
    try:
        return _object(line)
    except JSONDecodeError as error:
        problem = _broken(line, error.pos)
    except UnicodeEncodeError:
        problem = "half a surrogate pair in a text"
    except RecursionError:
        problem = "nested too deeply"
    except _NoJSON as error:
        problem = str(error)
    if line.lstrip().startswith("["):
        problem = "an array"
    raise Unsound(
        f"line {number} isn't a JSON object ({problem})",
        "write every row as one object on a line of its own and land it again",
        quoted=shown(line),
    )


def _broken(line: str, at: int) -> str:
    """Where a line stops being JSON, the same with every Python: the words and places of its decoder change."""
    before, after = line[:at].rstrip(), line[at:]
    if before.endswith(",") and after.startswith(("}", "]")):
        at, after = len(before) - 1, "," + after
    if after.startswith(",") and after[1:].lstrip().startswith(("}", "]")):
        return f"a comma before the end of an object or an array at character {at + 1}"
    if not after.strip():
        return "it ends too early"
    return f"no JSON from character {at + 1} on"


class _NoJSON(ValueError):
    """What Python's parser lets through and JSON doesn't."""


def _object(line: str) -> Row:
    found = _decoder.decode(line)
    if not isinstance(found, _Object):
        raise _NoJSON("another value")
    row = [
        (key, value if value is None or isinstance(value, str) else _written(value)) for key, value in found
    ]
    if "\\u" in line:
        "".join(f"{key}{value}" for key, value in row).encode()
    return row


class _Number(str):
    """A number as it is written."""


class _Object(list[tuple[str, Any]]):
    """The members of an object, in order; a dict would forget a key's first value."""


def _written(value: Any) -> str:
    """A value other than a text as JSON without blanks, its numbers as they are written."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, _Object):
        keys = [key for key, _ in value]
        if len(set(keys)) < len(keys):
            raise _NoJSON("a nested object with a key more than once")
        return "{" + ",".join(f"{_written(key)}:{_written(part)}" for key, part in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _no_constant(name: str) -> NoReturn:
    raise _NoJSON(f"{name} is no JSON value")


_decoder = JSONDecoder(
    parse_float=_Number, parse_int=_Number, parse_constant=_no_constant, object_pairs_hook=_Object
)


def _sampled_object(path: Path, line: int, content: str) -> dict[str, str | None]:
    """A line's values as text, numbers as they are written."""
    try:
        found = json.loads(content, parse_float=str, parse_int=str, parse_constant=_refuse_constant)
    except ValueError as error:
        message = f"the line isn't JSON ({error}); one object a line is expected"
        raise ContractError(path, message, line) from error
    if not isinstance(found, dict) or not found:
        raise ContractError(path, f"the line holds {content[:80]!r}; an object with keys is expected", line)
    return {key: _as_text(value) for key, value in found.items()}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    return json.dumps(value, ensure_ascii=False)
