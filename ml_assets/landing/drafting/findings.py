"""What landing files that no contract describes yet are like: their columns, keys and days."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from ml_assets.contracts.compile import sql_types
from ml_assets.contracts.compile.load import RESERVED
from ml_assets.contracts.compile.quality import snake
from ml_assets.contracts.contract import SEEN_AT
from ml_assets.contracts.errors import ContractError
from ml_assets.lake import sql
from ml_assets.landing.drafting.readings import (
    DATED,
    IDENTIFYING,
    TIMED,
    LandingColumn,
    Reading,
    epoch,
    readings,
)
from ml_assets.landing.drafting.sample import Sample
from ml_assets.landing.formats.sampling import FILE

TAKEN = {*RESERVED, *SEEN_AT}
OCCURRED, AVAILABLE = "occurred_at", "available_at"
# Words of a name that say when something happened, the most telling first, and words for other moments.
HAPPENED = (
    "occurred",
    "event",
    "happened",
    "timestamp",
    "transaction",
    "purchase",
    "order",
    "invoice",
    "created",
    "start",
)
OTHERWISE = re.compile(
    "updat|modif|load|ingest|receiv|expir|due|deliver|ship|birth|end|valid|available|process|until"
)
PERSONAL = re.compile(
    r"(^|_)(e?mail|phone|mobile|(first|last|full|sur)_?name|address|street|birth\w*|iban|ssn|ip)(_|$)"
)
# Up to so many texts, each of them seen so often on average, are an enum.
MOST_TEXTS, SEEN_EACH = 12, 20
# With fewer rows than this on a day, only columns with the name of an identifier can be a key.
ENOUGH_FOR_A_KEY = 100
LONGEST_KEY, WIDEST_KEY = 64, 3
EXAMPLES = 2


@dataclass(frozen=True)
class Property:
    """A column of the contract to be, and what its values are like.

    ``low`` and ``high`` are its least and greatest value as text, ``longest`` its length in characters,
    ``texts`` all its values if they are an enum, ``examples`` its most frequent texts.
    """

    name: str
    landing: str
    reading: Reading
    filled: int = 0
    distinct: int = 0
    low: str | None = None
    high: str | None = None
    negative: bool = False
    longest: int = 0
    texts: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    nested: bool = False

    @property
    def personal(self) -> bool:
        """Whether its name, or a frequent value, looks as if it were about a person."""
        mail = any(re.fullmatch(r"[^@\s]+@[^@\s]+[.]\w+", text) for text in self.examples)
        return bool(PERSONAL.search(self.name)) or mail

    @property
    def sql_type(self) -> str:
        """The DuckDB type of the column in events."""
        return sql_types.physical_type(self.reading.logical, self.reading.physical)


@dataclass(frozen=True)
class Findings:
    """All that is known of the files: their columns, what identifies a row, and how days and files lie.

    ``once`` is whether there are several days, and no two of them share a key.
    ``repeats`` counts the rows that repeat another row of their day in every column; ``late_days`` is the most
    days that a row landed after it happened, ``early`` the number of rows that landed before. ``busiest`` and
    ``quietest`` are the rows of the days with the most and the fewest.
    """

    sample: Sample
    properties: tuple[Property, ...]
    key: tuple[str, ...]
    once: bool
    repeats: int
    quietest: int
    busiest: int
    late_days: int
    early: int


def find(con: duckdb.DuckDBPyConnection, sample: Sample) -> Findings:
    """Everything the contract is written from."""
    for column in sample.types:
        if column.lower() in TAKEN - {"event_date", "original", "reasons"}:
            message = f"the landing column {column!r} has the name of a column that every table gets"
            raise ContractError(sample.files[0], f"{message}; land it under another name")
    landed = [LandingColumn(con, sample, column) for column in sample.types]
    chosen = {column.name: next(readings(column)) for column in landed}
    occurred, chosen = _occurred_at(sample, landed, chosen)
    names = _names(con, sample, chosen, occurred)
    _read(con, sample, names, chosen)
    properties = tuple(
        _described(con, sample, Property(names[column], column, chosen[column])) for column in sample.types
    )
    key = _key(con, sample, properties)
    once = bool(key) and _days_apart(con, sample, key)
    repeats = 0 if key else _repeats(con, sample, properties)
    return Findings(sample, properties, key, once, repeats, *_days(con, sample))


def typed_table(sample: Sample) -> str:
    """The name of the table of the typed rows, with their file and their day."""
    return f"{sample.table}_typed"


def _occurred_at(
    sample: Sample, landed: Sequence[LandingColumn], chosen: dict[str, Reading]
) -> tuple[str, dict[str, Reading]]:
    """The landing column that says when an event happened, and the readings with that column as a time."""
    times = [column for column in landed if chosen[column.name].logical == "timestamp"]
    if not times:
        counted = [(column, reading) for column in landed if (reading := epoch(column)) is not None]
        if not counted:
            raise ContractError(sample.files[0], _no_time(landed, chosen))
        chosen = chosen | {column.name: reading for column, reading in counted}
        times = [column for column, _ in counted]
    best = min(times, key=lambda column: (column.blanks > 0, -_own_day(column, chosen), _rank(column.snake)))
    others = [column.name for column in times if column is not best]
    notes = [f"when the event happened{'; other times are ' + ', '.join(others) if others else ''}"]
    if best.blanks:
        notes.append(
            f"{best.blanks:,} rows have no {best.name} and are refused: an event without a time has no day"
        )
    reading = chosen[best.name]
    return best.name, chosen | {best.name: replace(reading, notes=(*notes, *reading.notes))}


def _own_day(column: LandingColumn, chosen: dict[str, Reading]) -> bool:
    """Whether nearly all rows happened, by this column, on the day that their file is named after."""
    days = column.sample.days
    if days is None:
        return False
    listed = ", ".join(f"DATE '{day}'" for day in days)
    happened = f"CAST(timezone('UTC', {chosen[column.name].value}) AS DATE)"
    [same] = column.ask(f"count(*) FILTER ({happened} = list_extract([{listed}], {FILE} + 1))")
    return bool(same >= 0.9 * column.sample.rows)


def _rank(name: str) -> tuple[bool, bool, int]:
    """How little a name says of when an event happened."""
    telling = next((at for at, word in enumerate(HAPPENED) if word in name), len(HAPPENED))
    return bool(OTHERWISE.search(name)) and name != OCCURRED, not TIMED.search(name), telling


def _no_time(landed: Sequence[LandingColumn], chosen: dict[str, Reading]) -> str:
    """What to do where no column is a time."""
    wanted = (
        "no column says when an event happened: a contract needs a timestamp that every row has, as "
        "2017-01-05 10:00:00, 2017-01-05T10:00:00Z or 05/01/2017 10:00"
    )
    dates = [column.name for column in landed if chosen[column.name].logical == "date"]
    named = [column for column in landed if TIMED.search(column.snake) or DATED.search(column.snake)]
    odd = [column for column in named if chosen[column.name].logical in ("string", "integer") and column.few]
    if dates:
        return (
            f"{wanted}. {' and '.join(dates)} give a day without a time; land the time, or write the contract by "
            "hand with a transformLogic for occurred_at that takes the end of the day, from when on it is known"
        )
    if odd:
        shown = ", ".join(f"{column.name} ({min(column.few)[:40]!r})" for column in odd)
        return f"{wanted}. Not read as times: {shown}; land them in such a form, or read them by a transformLogic"
    return (
        f"{wanted}. Found are {', '.join(column.name for column in landed)}; land the time of the event too"
    )


def _names(
    con: duckdb.DuckDBPyConnection, sample: Sample, chosen: dict[str, Reading], occurred: str
) -> dict[str, str]:
    """A snake_case name for every landing column; occurred_at and available_at mean what they say."""
    names = {occurred: OCCURRED}
    for at, column in enumerate(sample.types, start=1):
        if column == occurred:
            continue
        name = snake(column) or f"column_{at}"
        if name[0].isdigit():
            name = f"column_{name}"
        if (
            name in TAKEN
            or name == OCCURRED
            or (name == AVAILABLE and not _is_availability(con, sample, chosen, column, occurred))
        ):
            name = f"{name}_value"
        while name in names.values():
            name = f"{name}_{at}"
        names[column] = name
    return names


def _is_availability(
    con: duckdb.DuckDBPyConnection, sample: Sample, chosen: dict[str, Reading], column: str, occurred: str
) -> bool:
    """Whether the column always says a time, none of them before the event happened."""
    if chosen[column].logical != "timestamp":
        return False
    [(broken,)] = con.execute(
        f"SELECT count(*) FROM {sample.table} "
        f"WHERE NOT coalesce({chosen[column].value} >= {chosen[occurred].value}, FALSE)"
    ).fetchall()
    return bool(broken == 0)


def _read(
    con: duckdb.DuckDBPyConnection, sample: Sample, names: dict[str, str], chosen: dict[str, Reading]
) -> None:
    """Create the table of the typed rows, with their file and their day."""
    values = ", ".join(f"{chosen[column].value} AS {sql.quote(names[column])}" for column in sample.types)
    con.execute(
        f"CREATE TEMP TABLE {typed_table(sample)} AS SELECT *, "
        f"CAST(timezone('UTC', {OCCURRED}) AS DATE) AS event_date FROM (SELECT {values}, {FILE} FROM {sample.table})"
    )


def _described(con: duckdb.DuckDBPyConnection, sample: Sample, prop: Property) -> Property:
    """The property with what its values are like."""
    column, logical = sql.quote(prop.name), prop.reading.logical
    asked = [
        f"count({column})",
        f"count(DISTINCT {column})",
        f"CAST(min({column}) AS VARCHAR)",
        f"CAST(max({column}) AS VARCHAR)",
    ]
    asked.append(f"min({column}) < 0" if logical in ("integer", "number") else "FALSE")
    asked.append(f"max(length({column}))" if logical == "string" else "0")
    asked.append(f"count(*) FILTER (left({column}, 1) IN ('{{', '['))" if logical == "string" else "0")
    [row] = con.execute(f"SELECT {', '.join(asked)} FROM {typed_table(sample)}").fetchall()
    filled, distinct, low, high, negative, longest, nested = row
    texts: tuple[str, ...] = ()
    if logical == "string" and distinct <= MOST_TEXTS and filled >= SEEN_EACH * distinct > 0 and not nested:
        found = con.execute(
            f"SELECT {column}, count(*) FROM {typed_table(sample)} WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 1"
        ).fetchall()
        if all(count > 1 and text.isprintable() for text, count in found):
            texts = tuple(text for text, _ in found)
    examples = _frequent(con, sample, column) if logical == "string" and not texts else ()
    return replace(
        prop,
        filled=filled,
        distinct=distinct,
        low=low,
        high=high,
        negative=bool(negative),
        longest=longest or 0,
        texts=texts,
        examples=examples,
        nested=bool(nested) and sample.format.nests,
    )


def _frequent(con: duckdb.DuckDBPyConnection, sample: Sample, column: str) -> tuple[str, ...]:
    found = con.execute(
        f"SELECT {column} FROM {typed_table(sample)} WHERE {column} <> '' GROUP BY 1 "
        f"ORDER BY count(*) DESC, 1 LIMIT {EXAMPLES}"
    ).fetchall()
    return tuple(row[0] for row in found)


def _key(con: duckdb.DuckDBPyConnection, sample: Sample, properties: Sequence[Property]) -> tuple[str, ...]:
    """The smallest set of columns whose values no two rows of a day share; () if three don't do."""
    typed = typed_table(sample)
    [(busiest, rows)] = con.execute(
        f"SELECT event_date, count(*) FROM {typed} WHERE event_date IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"
    ).fetchall() or [(None, 0)]
    for key in _candidates(sample, properties, rows):
        columns = ", ".join(sql.quote(name) for name in key)
        of_a_day = f"event_date = DATE '{busiest}'"
        if not _repeated(con, typed, of_a_day, columns) and not _repeated(
            con, typed, "TRUE", f"event_date, {columns}"
        ):
            return key
    return ()


def _repeated(con: duckdb.DuckDBPyConnection, table: str, where: str, columns: str) -> bool:
    """Whether two of the rows agree in some columns; rows without a day are no events and don't count."""
    query = f"SELECT 1 FROM {table} WHERE {where} AND event_date IS NOT NULL GROUP BY {columns} HAVING count(*) > 1"
    return bool(con.execute(f"{query} LIMIT 1").fetchall())


def _days_apart(con: duckdb.DuckDBPyConnection, sample: Sample, key: Sequence[str]) -> bool:
    [(days,)] = con.execute(f"SELECT count(DISTINCT event_date) FROM {typed_table(sample)}").fetchall()
    return days > 1 and not _repeated(con, typed_table(sample), "TRUE", ", ".join(map(sql.quote, key)))


def _candidates(sample: Sample, properties: Sequence[Property], rows: int) -> Iterator[tuple[str, ...]]:
    """Sets of columns that could identify a row, smaller ones first, then those with names of identifiers."""
    fit = [prop for prop in properties if _may_identify(sample, prop, rows)]
    ordered = sorted(fit, key=lambda prop: (not IDENTIFYING.search(prop.name), prop.name == OCCURRED))
    for size in range(1, WIDEST_KEY + 1):
        sets = list(itertools.combinations(ordered, size))
        for found in sorted(sets, key=lambda found: sum(not IDENTIFYING.search(prop.name) for prop in found)):
            yield tuple(prop.name for prop in properties if prop in found)


def _may_identify(sample: Sample, prop: Property, rows: int) -> bool:
    if (
        prop.filled < sample.rows
        or prop.reading.logical in ("number", "boolean")
        or prop.longest > LONGEST_KEY
    ):
        return False
    counts = re.search(r"(^|_)(count|qty|quantity|units)$", prop.name)
    return not counts and (rows >= ENOUGH_FOR_A_KEY or bool(IDENTIFYING.search(prop.name)))


def _repeats(con: duckdb.DuckDBPyConnection, sample: Sample, properties: Sequence[Property]) -> int:
    columns = ", ".join(sql.quote(prop.name) for prop in properties)
    [(repeats,)] = con.execute(
        f"SELECT coalesce(sum(times - 1), 0) FROM "
        f"(SELECT count(*) AS times FROM {typed_table(sample)} GROUP BY event_date, {columns})"
    ).fetchall()
    return int(repeats)


def _days(con: duckdb.DuckDBPyConnection, sample: Sample) -> tuple[int, int, int, int]:
    """The fewest and most rows of a day; the most days between event and landing; rows that landed before."""
    typed = typed_table(sample)
    [(quietest, busiest)] = con.execute(
        f"SELECT min(rows), max(rows) FROM (SELECT count(*) AS rows FROM {typed} GROUP BY event_date)"
    ).fetchall()
    if sample.days is None:
        return quietest, busiest, 0, 0
    listed = ", ".join(f"DATE '{day}'" for day in sample.days)
    [(late, early)] = con.execute(
        "SELECT max(days), count(*) FILTER (days < 0) FROM "
        f"(SELECT list_extract([{listed}], {FILE} + 1) - event_date AS days FROM {typed})"
    ).fetchall()
    return quietest, busiest, max(late or 0, 0), early


def known(value: Any) -> str:
    """A value for a comment: printable, on one line, not too long."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in str(value))
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
