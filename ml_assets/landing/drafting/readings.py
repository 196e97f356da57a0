"""How the values of a landing column that no contract describes yet may be read, without losing anything."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

import duckdb

from ml_assets.contracts.compile import sql_types
from ml_assets.contracts.compile.time_formats import strptime_format
from ml_assets.lake import sql
from ml_assets.landing.drafting.sample import Sample
from ml_assets.landing.formats.sampling import FILE
from ml_assets.landing.formats.types import WALL_CLOCK

SAMPLED = 1000
# Whole numbers that a double holds exactly, and that DuckDB prints without an exponent.
WHOLE_DIGITS = 14
LARGEST_SCALE = 9
PRECISIONS = (10, 12, 14, 18, 24, 30, 38)
WORDS_FOR_NONE = ("na", "n/a", "#n/a", "nan", "null", "none", "nil", "missing", "unknown", "?", "-", ".")
IDENTIFYING = re.compile(r"(^|_)(id|ids|key|no|nr|num|number|code|uuid|guid|count|qty|quantity|units)$")
DATED = re.compile(r"(^|_)(date|day|dt|on)(_|$)")
TIMED = re.compile(r"(^|_)(ts|time|timestamp|epoch|at|date|datetime|occurred|created|when)(_|$)|time")
DAYS = (
    *(
        f"{day}{blank}{month}{blank}{year}"
        for blank in "/.-"
        for day, month in (("dd", "MM"), ("MM", "dd"))
        for year in ("yy", "yyyy")
    ),
    *("yyyy/MM/dd", "yyyy.MM.dd", "dd-MMM-yy", "dd-MMM-yyyy", "dd MMM yyyy", "dd MMMM yyyy", "MMM dd yyyy"),
)
TIMES = ("HH:mm", "HH:mm:ss", "HH:mm:ss.SSSSSS", "hh:mm a", "hh:mm:ss a")
ISO_TIMES = tuple(
    f"yyyy-MM-dd{blank}{time}{offset}"
    for blank in (" ", "'T'")
    for time in TIMES[:3]
    for offset in ("", "XXX", "'Z'")
)
OFFSET = "(Z|z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)"
EARLIEST = "1000-01-01"
EPOCHS = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000}
EPOCH_RANGE = (946_684_800, 4_102_444_800)  # 2000-01-01 to 2100-01-01


@dataclass(frozen=True)
class Reading:
    """What a property may say of its landing column, and ``value``, the DuckDB SQL that reads it so.

    ``notes`` are the guesses in it, for the one who reviews the contract.
    """

    logical: str
    value: str
    physical: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    logic: str | None = None
    logic_said: str | None = None
    notes: tuple[str, ...] = ()


class LandingColumn:
    """One landing column of a sample, and questions about all its values."""

    def __init__(self, con: duckdb.DuckDBPyConnection, sample: Sample, name: str) -> None:
        self.con, self.sample, self.name = con, sample, name
        self.kind = sample.types[name]
        self.snake = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).lower().strip("_")
        self.text = f"CAST({sql.quote(name)} AS VARCHAR)"
        self.present = f"trim({self.text}) <> ''"
        self.logical_name = _as_logic(con, name)
        self.values, self.blanks = self.ask(f"count(*) FILTER ({self.present})", "count(*)")
        self.blanks -= self.values
        found = con.execute(
            f"SELECT DISTINCT {self.text} FROM {sample.table} WHERE {self.present} LIMIT {SAMPLED}"
        ).fetchall()
        self.few = [str(row[0]) for row in found]

    def ask(self, *aggregates: str) -> tuple[Any, ...]:
        """The values of some aggregates over all rows."""
        [row] = self.con.execute(f"SELECT {', '.join(aggregates)} FROM {self.sample.table}").fetchall()
        return row

    def holds(self, condition: str) -> bool:
        """Whether a condition holds for every value."""
        [broken] = self.ask(f"count(*) FILTER ({self.present} AND NOT coalesce({condition}, FALSE))")
        return bool(self.values) and broken == 0

    def matches(self, pattern: str) -> bool:
        """Whether every value matches a regular expression as a whole; the first few are asked first."""
        return self.holds(f"regexp_full_match(trim({self.text}), {sql.text(pattern)})")

    def any_match(self, pattern: str) -> int:
        """How many values match a regular expression as a whole."""
        condition = f"regexp_full_match(trim({self.text}), {sql.text(pattern)})"
        return int(self.ask(f"count(*) FILTER ({self.present} AND {condition})")[0])

    def worked_out(
        self, logical: str, sql_type: str, logic: Callable[[str], str], said: str, *notes: str
    ) -> Reading:
        """A reading by a transformLogic, which is given the column as text."""
        return Reading(
            logical,
            f"TRY(CAST(({logic(self.text)}) AS {sql_type}))",
            sql_type if logical == "number" else None,
            logic=logic(self.logical_name),
            logic_said=said,
            notes=notes,
        )


def _as_logic(con: duckdb.DuckDBPyConnection, name: str) -> str:
    """A column's name as it is written in a transformLogic."""
    [(taken,)] = con.execute(
        "SELECT count(*) FROM duckdb_keywords() WHERE keyword_name = ?", [name.lower()]
    ).fetchall()
    return name if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) and not taken else sql.quote(name)


def readings(column: LandingColumn) -> Iterator[Reading]:
    """The ways to read every value of the column, the most telling first; as text, last, goes always."""
    if column.sample.format.typed:
        yield from _of_type(column)
        return
    if column.values:
        yield from _words(column)
        yield from _day_numbers(column)
        yield from _numbers(column)
        yield from _times(column)
    yield Reading("string", column.text)


def _of_type(column: LandingColumn) -> Iterator[Reading]:
    """By the type a Parquet column has."""
    kind, name = column.kind, sql.quote(column.name)
    if kind in ("FLOAT", "DOUBLE"):
        yield from _whole(column)
        yield from _doubles(column)
    elif kind == "UBIGINT":
        yield Reading("number", f"CAST({name} AS DECIMAL(20,0))", "DECIMAL(20,0)")
    elif kind.startswith("DECIMAL"):
        yield Reading("number", name, kind)
    elif kind.endswith("INT") or kind.endswith("INTEGER"):
        if kind != "HUGEINT" and kind != "UHUGEINT":
            yield Reading("integer", f"CAST({name} AS BIGINT)")
    elif kind == "BOOLEAN":
        yield Reading("boolean", name)
    elif kind == "DATE":
        yield Reading("date", name)
    elif kind == "TIMESTAMPTZ":
        yield Reading("timestamp", name, options={"timezone": True})
    elif kind in WALL_CLOCK:
        cut = ("nanoseconds are cut to microseconds",) if kind == "TIMESTAMP_NS" else ()
        value = f"timezone('UTC', CAST({name} AS TIMESTAMP))"
        yield Reading("timestamp", value, notes=(NO_OFFSET, *cut))
    elif kind == "VARCHAR" and column.values:
        yield from _times_in_text(column)
    if kind == "VARCHAR":
        yield Reading("string", name)
    as_text = (f"The {kind} as text", f"{kind} is kept as text")
    yield column.worked_out("string", "VARCHAR", "CAST({} AS VARCHAR)".format, *as_text)


NO_OFFSET = (
    "no offset is written, so times are UTC; if they are local, say where: defaultTimezone: Europe/London"
)


def _words(column: LandingColumn) -> Iterator[Reading]:
    if column.holds(f"lower(trim({column.text})) IN ('true', 'false')"):
        yield Reading("boolean", sql_types.from_text("BOOLEAN", column.text))


def _day_numbers(column: LandingColumn) -> Iterator[Reading]:
    if DATED.search(column.snake) and column.matches("(19|20)[0-9]{6}"):
        value = sql_types.from_text("DATE", column.text, time_format="yyyyMMdd")
        if column.holds(f"{value} IS NOT NULL"):
            yield Reading(
                "date", value, options={"format": "yyyyMMdd"}, notes=("a date by the column's name",)
            )


def _numbers(column: LandingColumn) -> Iterator[Reading]:
    if not any(re.search("[0-9]", value) for value in column.few):
        return
    integer = sql_types.from_text("BIGINT", column.text)
    if column.holds(f"CAST({integer} AS VARCHAR) = trim({column.text})"):
        yield Reading("integer", integer)
    yield from _whole(column)
    yield from _decimals(column)
    yield from _doubles_in_text(column)
    yield from _decimal_commas(column)
    yield from _numbers_among_words(column)


def _whole(column: LandingColumn) -> Iterator[Reading]:
    """Integers that a float column printed: 17850.0, because some rows have none."""
    if not (column.blanks or IDENTIFYING.search(column.snake)):
        return
    if column.matches(f"-?(0|[1-9][0-9]{{0,{WHOLE_DIGITS}}})([.]0)?") and not column.any_match("-0([.]0)?"):
        printed = column.any_match(".*[.]0")
        of = "each" if printed == column.values else f"{printed:,}"
        note = (
            f"an integer: {of} of the {column.values:,} values ends in .0, as where a float column has gaps"
        )
        yield column.worked_out(
            "integer",
            "BIGINT",
            lambda of: f"regexp_extract({of}, '^(-?[0-9]+)([.]0)?$', 1)",
            "The digits before .0",
            note,
        )


def _sizes(column: LandingColumn, where: str = "TRUE") -> tuple[int, int]:
    """The most digits before and behind the decimal point (or comma)."""
    digits = f"regexp_replace(trim({column.text}), '^[+-]', '')"
    whole, decimals = column.ask(
        f"max(length(regexp_extract({digits}, '^[0-9]*'))) FILTER ({column.present} AND {where})",
        f"max(length(regexp_extract({digits}, '[.,]([0-9]*)$', 1))) FILTER ({column.present} AND {where})",
    )
    return int(whole or 0), int(decimals or 0)


def _decimal_type(whole: int, decimals: int) -> str | None:
    """A DECIMAL of these sizes with room for a thousandfold; None if there is none."""
    scale = max(decimals, 2)
    wide = next((size for size in PRECISIONS if size >= whole + 3 + scale), PRECISIONS[-1])
    return f"DECIMAL({wide},{scale})" if whole + scale <= wide else None


def _decimals(column: LandingColumn) -> Iterator[Reading]:
    if not column.matches("[+-]?((0|[1-9][0-9]*)([.][0-9]*)?|[.][0-9]+)") or not column.any_match(".*[.].*"):
        return
    whole, decimals = _sizes(column)
    kind = _decimal_type(whole, decimals)
    if kind and decimals <= LARGEST_SCALE:
        yield Reading("number", sql_types.from_text(kind, column.text), kind, notes=(_room(decimals),))
        return
    yield from _doubles_in_text(column)
    if kind:
        yield Reading("number", sql_types.from_text(kind, column.text), kind, notes=(_room(decimals),))


def _room(decimals: int) -> str:
    scale = max(decimals, 2)
    return f"no more than {scale} decimals; there is room for numbers a thousand times as large"


def _doubles_in_text(column: LandingColumn) -> Iterator[Reading]:
    """Floating point numbers that a double gives back as they are written, or that have few digits."""
    if not column.matches("[+-]?((0|[1-9][0-9]*)([.][0-9]*)?|[.][0-9]+)([eE][+-][0-9]+)?"):
        return
    if not column.any_match(".*[.].*") and not column.any_match(".*[eE].*"):
        return
    value = sql_types.from_text("DOUBLE", column.text)
    digits = f"length(regexp_replace(regexp_extract(trim({column.text}), '^[^eE]*'), '[^0-9]', '', 'g'))"
    if column.holds(
        f"{value} IS NOT NULL AND ({digits} <= 15 OR CAST({value} AS VARCHAR) = trim({column.text}))"
    ):
        yield Reading("number", value, "DOUBLE", notes=(FLOATING,))


FLOATING = (
    "a floating point number; if it is money, land it with a fixed number of decimals and write DECIMAL"
)


def _doubles(column: LandingColumn) -> Iterator[Reading]:
    name = sql.quote(column.name)
    [odd] = column.ask(f"count(*) FILTER (NOT isfinite({name}))")
    if not odd:
        yield Reading("number", name, column.kind, notes=(FLOATING,))
        return
    yield column.worked_out(
        "number",
        column.kind,
        lambda of: f"CASE WHEN {of} NOT IN ('nan', '-nan', 'inf', '-inf') THEN {of} END",
        "None where it isn't a finite number",
        FLOATING,
        f"{odd:,} values that are NaN or infinite count as none",
    )


def _decimal_commas(column: LandingColumn) -> Iterator[Reading]:
    if not column.matches("-?(0|[1-9][0-9]*)(,[0-9]+)?") or column.any_match(".*,.*") == column.any_match(
        ".*,[0-9]{3}"
    ):
        return
    whole, decimals = _sizes(column)
    kind = _decimal_type(whole, decimals)
    if kind is None:
        return
    pattern = f"^-?[0-9]+(,[0-9]{{1,{kind.rstrip(')').split(',')[1]}}})?$"
    yield column.worked_out(
        "number",
        kind,
        lambda of: f"replace(regexp_extract({of}, '{pattern}'), ',', '.')",
        "With a decimal comma",
        _room(decimals),
    )


def _numbers_among_words(column: LandingColumn) -> Iterator[Reading]:
    """Numbers, and words that stand for none."""
    listed = ", ".join(sql.text(word) for word in WORDS_FOR_NONE)
    word = f"lower({column.text}) IN ({listed})"
    number = f"regexp_full_match({column.text}, '-?(0|[1-9][0-9]*)([.][0-9]+)?')"
    if not column.holds(f"{word} OR {number}"):
        return
    found = column.con.execute(
        f"SELECT {column.text}, count(*) FROM {column.sample.table} WHERE {word} GROUP BY 1 ORDER BY 1"
    ).fetchall()
    whole, decimals = _sizes(column, number)
    if not found or not whole:
        return
    kind = _decimal_type(whole, decimals) if decimals else ("BIGINT" if whole <= 18 else None)
    if kind is None:
        return
    fraction = f"([.][0-9]{{1,{kind.rstrip(')').split(',')[1]}}})?" if decimals else ""
    shown = ", ".join(sql.text(spelt) for spelt, _ in found)
    times = sum(count for _, count in found)
    yield column.worked_out(
        "number" if decimals else "integer",
        kind,
        lambda of: f"CASE WHEN {of} NOT IN ({shown}) THEN regexp_extract({of}, '^-?[0-9]+{fraction}$') END",
        f"{shown} stands for none",
        f"{shown}, in {times:,} rows, stands for none",
    )


def _times(column: LandingColumn) -> Iterator[Reading]:
    for sql_type, logical in (("DATE", "date"), ("TIMESTAMPTZ", "timestamp")):
        value = sql_types.from_text(sql_type, column.text)
        if column.holds(f"{value} IS NOT NULL"):
            yield _iso_time(column, value) if logical == "timestamp" else Reading("date", value)
            return
    formats = [
        *((day, "DATE") for day in DAYS),
        *(
            (f"{day} {time}{offset}", "TIMESTAMPTZ")
            for day in DAYS
            for time in TIMES
            for offset in ("", "XXX", " XXX")
        ),
    ]
    for written, sql_type in _fitting(column, formats):
        value = sql_types.from_text(sql_type, column.text, time_format=written)
        options: dict[str, Any] = {"format": written}
        notes = [f"written as {written}", *_turned(column, written)]
        if sql_type == "TIMESTAMPTZ":
            if "XXX" in written:
                options["timezone"] = True
            else:
                notes.append(NO_OFFSET)
        yield Reading(
            "timestamp" if sql_type == "TIMESTAMPTZ" else "date", value, options=options, notes=tuple(notes)
        )


def _iso_time(column: LandingColumn, value: str) -> Reading:
    offsets = column.any_match(f".*[0-9] ?{OFFSET}")
    cut = column.any_match(f".*[.][0-9]{{6}}[0-9]*[1-9][0-9]*( ?{OFFSET})?")
    notes = [f"nanoseconds, in {cut:,} values, are cut to microseconds"] if cut else []
    if offsets == column.values:
        return Reading("timestamp", value, options={"timezone": True}, notes=tuple(notes))
    if offsets:
        notes.append(f"{offsets:,} of {column.values:,} values have an offset, the others are UTC")
        return Reading("timestamp", value, notes=tuple(notes))
    return Reading("timestamp", value, notes=(NO_OFFSET, *notes))


def _times_in_text(column: LandingColumn) -> Iterator[Reading]:
    """Times in a text column of a Parquet file, which has types for them and didn't use them."""
    formats = [(written, "TIMESTAMPTZ") for written in ISO_TIMES]
    formats += [(f"{day} {time}", "TIMESTAMPTZ") for day in DAYS for time in TIMES]
    for written, _ in _fitting(column, formats)[:1]:
        parsed = f"strptime({{}}, {sql.text(strptime_format(written))})"
        logic = parsed if "XXX" in written else f"timezone('UTC', {parsed})"
        notes = [f"a time in a text column, written as {written}", *_turned(column, written)]
        if not written.endswith(("XXX", "'Z'")):
            notes.append("no offset is written, so times are UTC; if they are local, name their zone instead")
        yield column.worked_out("timestamp", "TIMESTAMPTZ", logic.format, f"Written as {written}", *notes)


def _fitting(column: LandingColumn, formats: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The formats that read every value, those first by which most rows are of their file's own day."""
    shaped = [
        pair for pair in formats if all(_shape(pair[0]).fullmatch(value.strip()) for value in column.few)
    ]
    found = [pair for pair in shaped if column.holds(_plausible(column.text, *pair))]
    days = column.sample.days
    if days is None or len(found) < 2:
        return found
    return sorted(found, key=lambda pair: -_of_own_day(column, pair[0], pair[1], days))


@cache
def _shape(written: str) -> re.Pattern[str]:
    """Roughly what a text in a format looks like: to ask DuckDB for every format would take a second a column."""
    shapes = {
        "yyyy": "[0-9]{4}",
        "MMM": "[A-Za-z]+",
        "MMMM": "[A-Za-z]+",
        "SSSSSS": "[0-9]+",
        "a": "[AaPp][Mm]",
    }
    shapes["XXX"] = "(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
    shaped = ""
    for match in re.finditer(r"'([^']*)'|(([A-Za-z])\3*)|.", written):
        quoted, letters = match[1], match[2]
        if letters:
            shaped += shapes.get(letters, "[0-9]{1,2}")
        else:
            shaped += re.escape(quoted if quoted is not None else match[0])
    return re.compile(shaped)


def _plausible(value: str, written: str, kind: str) -> str:
    """SQL that holds where a text is a time in this format; yyyy also reads 17, as a year of antiquity."""
    return f"coalesce({sql_types.from_text(kind, value, time_format=written)} >= DATE '{EARLIEST}', FALSE)"


def _of_own_day(column: LandingColumn, written: str, kind: str, days: Sequence[date]) -> int:
    value = f"CAST({sql_types.from_text(kind, column.text, time_format=written)} AS DATE)"
    listed = ", ".join(f"DATE '{day}'" for day in days)
    return int(column.ask(f"count(*) FILTER ({value} = list_extract([{listed}], {FILE} + 1))")[0])


def _turned(column: LandingColumn, written: str) -> tuple[str, ...]:
    """A note where day and month could be the other way round."""
    other = written.replace("dd", "@").replace("MM", "dd").replace("@", "MM")
    if other == written or "MMM" in written or not written.startswith(("dd", "MM")):
        return ()
    if not column.holds(_plausible(column.text, other, "TIMESTAMPTZ" if "m" in written else "DATE")):
        return ()
    return (f"no value tells {written} from {other}",)


def epoch(column: LandingColumn) -> Reading | None:
    """The column as a time, if it counts seconds, milliseconds or microseconds from 1970 in this century."""
    if not TIMED.search(column.snake) or column.blanks:
        return None
    value = sql_types.from_text("BIGINT", column.text)
    for unit, factor in EPOCHS.items():
        low, high = (limit * factor for limit in EPOCH_RANGE)
        if column.holds(f"{value} BETWEEN {low} AND {high}"):
            micros = 1_000_000 // factor
            times = f" * {micros}" if micros > 1 else ""
            return column.worked_out(
                "timestamp",
                "TIMESTAMPTZ",
                f"timezone('UTC', make_timestamp(CAST({{}} AS BIGINT){times}))".format,
                f"Counted in {unit} from 1970",
                f"integers that count {unit} from 1970, UTC",
            )
    return None
