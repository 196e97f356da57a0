"""A database query as a landing: the rows of a day, by their watermark, are that day's file."""

import heapq
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from pydantic import Field

from ml_assets.instance import clock
from ml_assets.landing.limits import DEFAULT, FileLimits
from ml_assets.landing.pieces import LandingFile, LandingUnavailable, Listing, NoLandingFiles, Piece
from ml_assets.landing.places.place import PlaceSpec

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, TextClause

CHUNK = 10_000
"""Rows fetched from the database at a time."""
HELD = 100_000
"""Lines of one watermark that are sorted in memory; more of them wait in files."""


class DatabaseSpec(PlaceSpec):
    """The rows of a query, by their watermark; ``pattern`` and ``delimiter`` say nothing of them."""

    key: ClassVar[str] = "database"

    database: str = Field(
        description="An SQLAlchemy URL; ${NAME} in it is taken from the environment when it is used."
    )
    query: str = Field(description="With database: the SELECT whose rows are events.")
    watermark: str = Field(
        description="With database: the column that says when a row was written; its UTC day is the landing day."
    )

    @property
    def file_pattern(self) -> str:
        """A day's rows are written as JSON lines."""
        return "{date}.jsonl"

    def open(self) -> "LandingQuery":
        """See ``PlaceSpec.open``."""
        return LandingQuery(self.database, self.query, self.watermark, limits=self.limits)


@dataclass(frozen=True)
class LandingQuery:
    """The rows of ``query``, a SELECT, in the database at an SQLAlchemy URL.

    The rows whose ``watermark`` falls on a UTC day are the landing file of that day, as JSON lines in a fixed
    order: the same rows give the same bytes. The watermark is a column of the query: a date or a time, in SQLite
    ISO text of one; UTC where it has no zone. Rows without one belong to no day. Only days that are over are
    listed. ``${NAME}`` in ``database`` is taken from the environment when it is used, a password as it is.
    Whatever the database says no to is raised as LandingUnavailable.
    """

    database: str
    query: str
    watermark: str
    delimiter: str = ","
    limits: FileLimits = DEFAULT

    @property
    def place(self) -> str:
        """The database as it is declared, without password and options, and the column that is watched."""
        shown = re.sub("://([^:/@?]*):.*@", r"://\1@", self.database).partition("?")[0]
        return f"{shown}, by {self.watermark}"

    def listed(self) -> Listing:
        """The days with rows, in order, each a piece; the number of rows and the last watermark are the fingerprint.

        A change that leaves both as they are isn't seen. Raises NoLandingFiles or LandingUnavailable.
        """
        with self._connected() as con:
            mark = self._mark(con)
            found = con.execute(
                self._select(
                    f"date({mark}), count(*), max({mark})", f"{mark} IS NOT NULL GROUP BY 1 ORDER BY 1"
                )
            ).fetchall()
            rows = [(_day(day), number, last) for day, number, last in found]
        today = clock.today()
        listed = [
            Piece((day, day), f"{day}.jsonl", None, f"{number}:{_plain(last)}")
            for day, number, last in rows
            if day < today
        ]
        if not listed:
            raise NoLandingFiles(
                f"the query on {self.place} has no rows of a day that is over (UTC); check query and watermark"
            )
        return Listing.of(listed)

    def fetch(self, piece: Piece, into: Path) -> LandingFile:
        """Write the rows of a day as JSON lines into a folder, a chunk of rows in memory at a time.

        They are in the order of the watermark, those of the same watermark in the order of their text. Numbers
        keep every digit, times their offset, bytes are hex; what JSON has no number for (NaN) is its name.
        """
        path = into / piece.name
        with self._connected() as con, path.open("w", encoding="utf-8", newline="\n") as file:
            mark = self._mark(con)
            first = datetime.combine(piece.between[0], time.min, UTC)
            bounds: dict[str, object] = {"first": first, "last": first + timedelta(days=1)}
            wanted = f"{mark} >= :first AND {mark} < :last"
            if con.dialect.name == "sqlite":
                wanted, bounds = f"date({mark}) = :day", {"day": str(piece.between[0])}
            result = con.execution_options(yield_per=CHUNK).execute(
                self._select(f"{mark}, landing_query.*", f"{wanted} ORDER BY {mark}"), bounds
            )
            names = list(result.keys())[1:]
            _check_names(names)
            lines = ((row[0], _line(names, row[1:])) for row in result)
            for _, tied in itertools.groupby(lines, itemgetter(0)):
                file.writelines(_in_order(line for _, line in tied))
        return LandingFile(piece.between[0], path, path.stat().st_size)

    def _select(self, what: str, condition: str) -> "TextClause":
        from sqlalchemy import text

        own = re.sub(r"(?<![:\\]):(?=\w)", r"\:", self.query.strip().rstrip(";"))
        return text(f"SELECT {what} FROM (\n{own}\n) AS landing_query WHERE {condition}")

    def _mark(self, con: "Connection") -> str:
        """The watermark in SQL; SQLite would take an unknown name in quotes for a text, were it not qualified."""
        return f"landing_query.{con.dialect.identifier_preparer.quote(self.watermark)}"

    @contextmanager
    def _connected(self) -> Iterator["Connection"]:
        """A connection whose session is in UTC; errors become LandingUnavailable, without a password."""
        from sqlalchemy import create_engine, text
        from sqlalchemy.exc import DataError, SQLAlchemyError
        from sqlalchemy.pool import NullPool

        try:
            engine = create_engine(self._url(), poolclass=NullPool)
            with engine.connect() as con:
                if con.dialect.name == "postgresql":
                    con.execute(text("SET TIME ZONE 'UTC'"))
                yield con
        except (SQLAlchemyError, ImportError, ValueError) as error:
            said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            if isinstance(error, DataError):
                said = "a value can't be read or converted (not shown, it may be personal)"
            raise LandingUnavailable(
                f"the query on {self.place} failed: {said}; check database, query and watermark in defs.yaml and "
                "that the database is up, then run it again"
            ) from error

    def _url(self) -> "URL":
        """The URL with what the environment says. Raises ValueError where that gives none to connect to."""
        from sqlalchemy.engine import make_url

        login, at, rest = self.database.rpartition("@")
        url = make_url(_filled(login, lambda value: quote(value, safe="")) + at + _filled(rest, str))
        if "@" in (url.host or ""):
            raise ValueError(
                "the URL has more than one @; put the password in a variable and write ${ITS_NAME}"
            )
        file = url.database or ""
        if url.get_backend_name() == "sqlite" and not file.startswith("file:"):
            if not Path(file).is_absolute():
                raise ValueError(
                    f"the path {file!r} is relative, and each process has a folder of its own; write "
                    "sqlite://// and the absolute path"
                )
            if not Path(file).is_file():
                raise ValueError(f"there is no file {file}")
        return url


def _filled(template: str, written: Callable[[str], str]) -> str:
    """A text with the environment's value for every ``${NAME}``; ValueError for one that is not set."""

    def value(found: "re.Match[str]") -> str:
        name = found[1]
        if name not in os.environ:
            raise ValueError(f"the environment variable {name} is not set")
        return written(os.environ[name])

    return re.sub(r"\$\{(\w+)\}", value, template)


def _day(day: object) -> date:
    """A day as the databases give it, SQLite as text."""
    try:
        return date.fromisoformat(str(day))
    except ValueError:
        raise ValueError("the watermark of some rows isn't a date or a time") from None


def _check_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"several columns of the query are named {', '.join(twice)}; name each with AS")


def _in_order(lines: Iterable[str]) -> Iterator[str]:
    """The lines sorted, however many they are."""
    coming = iter(lines)
    with ExitStack() as files:
        runs: list[Iterable[str]] = []
        while run := sorted(itertools.islice(coming, HELD)):
            if len(run) < HELD:
                runs.append(run)
                break
            file = files.enter_context(TemporaryFile("w+", encoding="utf-8", newline="\n"))
            file.writelines(run)
            file.seek(0)
            runs.append(file)
        yield from heapq.merge(*runs)


def _line(names: Sequence[str], row: Sequence[Any]) -> str:
    values = {name: _plain(value) for name, value in zip(names, row, strict=True)}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n"


def _plain(value: Any) -> object:
    """A value of a row as JSON holds it without loss: most as text, which the contract reads."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value)
