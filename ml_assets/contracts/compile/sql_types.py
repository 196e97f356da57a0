"""DuckDB SQL for typed values: the types, and how a text is read as one."""

import re
from collections.abc import Sequence
from typing import Literal

from ml_assets.contracts.compile.time_formats import strptime_format
from ml_assets.lake.sql import quote, text

Ambiguous = Literal["earlier", "later", "refuse"]
"""What becomes of a local time that clocks show twice or never."""
CLOCKS_OF_ONE_OFFSET = ("UTC", "Etc/UTC", "GMT", "Etc/GMT")
TYPES = {
    "string": {"VARCHAR"},
    "integer": {"TINYINT", "SMALLINT", "INTEGER", "BIGINT"},
    "number": {"DECIMAL", "FLOAT", "DOUBLE"},
    "boolean": {"BOOLEAN"},
    "date": {"DATE"},
    "timestamp": {"TIMESTAMPTZ"},
}
DEFAULT_TYPES = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DECIMAL(18,4)",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
}
ALIASES = {
    "TEXT": "VARCHAR",
    "STRING": "VARCHAR",
    "INT": "INTEGER",
    "LONG": "BIGINT",
    "BOOL": "BOOLEAN",
    "REAL": "FLOAT",
    "NUMERIC": "DECIMAL",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
}
_TIME = "([ T][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?)"
_DAY = "[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
_OFFSET = " ?(Z|z|UTC|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)"
# No clock is more than fourteen hours from UTC; DuckDB reads +99:00 all the same.
_NO_OFFSET = "[+-]((1[5-9]|[2-9][0-9])(:?[0-9]{2})?|[0-9]{2}:?[6-9][0-9])$"


def canonical(type_name: str) -> str:
    """DuckDB's spelling of a type made ours: upper case, no blanks, TIMESTAMPTZ for the long name."""
    name = " ".join(type_name.upper().split())
    base, _, parameters = name.partition("(")
    base = ALIASES.get(base.strip(), base.strip())
    return f"{base}({parameters.replace(' ', '')}" if parameters else base


def physical_type(logical: str, physical: str | None) -> str:
    """The column type for a logicalType and an optional physicalType; ValueError says what fits."""
    if physical is None:
        return DEFAULT_TYPES[logical]
    name = canonical(physical)
    base = name.partition("(")[0]
    if base not in TYPES[logical]:
        fitting = ", ".join(sorted(TYPES[logical]))
        raise ValueError(f"physicalType {physical!r} doesn't fit logicalType {logical!r}; expected {fitting}")
    if base == "DECIMAL":
        match = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", name)
        if match is None or not (1 <= int(match[1]) <= 38 and int(match[2]) <= int(match[1])):
            raise ValueError(
                f"physicalType {physical!r} isn't a decimal type; "
                "expected DECIMAL(digits, decimals) with at most 38 digits, for example DECIMAL(10,2)"
            )
    elif name != base:
        hint = "; a limit of characters is logicalTypeOptions.maxLength" if base == "VARCHAR" else ""
        raise ValueError(f"physicalType {physical!r} has a parameter that isn't enforced; write {base}{hint}")
    return name


def scale(sql_type: str) -> int:
    """The decimals of a DECIMAL type."""
    return int(sql_type.rstrip(")").split(",")[1])


def from_text(
    sql_type: str,
    value: str,
    *,
    timezone: str = "UTC",
    time_format: str | None = None,
    offset_required: bool = False,
    ambiguous: Ambiguous = "refuse",
) -> str:
    """SQL that reads the text expression ``value`` as ``sql_type``, NULL where it isn't exactly one.

    Stricter than a cast: DuckDB rounds '3.7' to the integer 4 and '2.555' to 2.56, and drops the offset of
    '10:00+02' when it makes a TIMESTAMP.
    """
    trimmed = f"trim({value})"
    if sql_type == "VARCHAR":
        return value
    if sql_type in TYPES["integer"]:
        return _matching(trimmed, "[+-]?[0-9]+", f"TRY_CAST({value} AS {sql_type})")
    if sql_type.startswith("DECIMAL"):
        decimals = scale(sql_type)
        fraction = f"[.][0-9]{{0,{decimals}}}0*" if decimals else "[.]0*"
        pattern = f"[+-]?([0-9]+({fraction})?" + (f"|[.][0-9]{{1,{decimals}}}0*)" if decimals else ")")
        return _matching(trimmed, pattern, f"TRY_CAST({value} AS {sql_type})")
    if sql_type in ("FLOAT", "DOUBLE"):
        pattern = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
        return within_range(sql_type, _matching(trimmed, pattern, f"TRY_CAST({value} AS {sql_type})"))
    if sql_type == "DATE":
        if time_format:
            return within_range(sql_type, f"CAST({_parsed(trimmed, time_format)} AS DATE)")
        return within_range(sql_type, _matching(trimmed, _DAY, f"TRY_CAST({trimmed} AS DATE)"))
    if sql_type == "TIMESTAMPTZ":
        return within_range(sql_type, _timestamp(trimmed, timezone, time_format, offset_required, ambiguous))
    return f"TRY_CAST({trimmed} AS {sql_type})"


def _matching(value: str, pattern: str, result: str) -> str:
    return f"CASE WHEN regexp_full_match({value}, {text(pattern)}) THEN {result} END"


def _parsed(value: str, time_format: str) -> str:
    """SQL of a text as strptime reads it; of a year with fewer digits than four nothing: 01/02/17 isn't of the year 17."""
    parsed = f"try_strptime({value}, {text(strptime_format(time_format))})"
    return f"CASE WHEN year({parsed}) >= 1000 THEN {parsed} END"


def _timestamp(
    value: str, timezone: str, time_format: str | None, offset_required: bool, ambiguous: Ambiguous
) -> str:
    if time_format:
        parsed = _parsed(value, time_format)
        if "%z" not in strptime_format(time_format):
            return of_local(parsed, timezone, ambiguous)
        return f"CASE WHEN NOT regexp_matches({value}, {text(_NO_OFFSET)}) THEN {parsed} END"
    has_offset = f"regexp_full_match({value}, {text(_DAY + _TIME + _OFFSET)})"
    absolute = f"WHEN {has_offset} THEN TRY_CAST({value} AS TIMESTAMPTZ)"
    if offset_required:
        return f"CASE {absolute} END"
    naive = of_local(f"TRY_CAST({value} AS TIMESTAMP)", timezone, ambiguous)
    return f"CASE WHEN regexp_full_match({value}, {text(_DAY + _TIME + '?')}) THEN {naive} {absolute} END"


def of_local(local: str, timezone: str, ambiguous: Ambiguous) -> str:
    """SQL of the moment at which clocks of a zone show a time, a TIMESTAMP, in a session whose zone is UTC.

    Where they show it twice or never, because they are put back or forward on that day, ``earlier`` takes the offset
    of the day before, ``later`` that of the day after, and ``refuse`` gives NULL.
    """
    zone = text(timezone)
    if timezone in CLOCKS_OF_ONE_OFFSET:
        return f"timezone({zone}, {local})"
    before, after = (
        f"(t.moment {sign} INTERVAL 1 DAY + (t.local - timezone({zone}, t.moment {sign} INTERVAL 1 DAY)))"
        for sign in "-+"
    )
    shown_before, shown_after = (f"timezone({zone}, {at}) = t.local" for at in (before, after))
    chosen = {
        "earlier": f"WHEN {shown_before} OR NOT {shown_after} THEN {before} ELSE {after}",
        "later": f"WHEN {shown_after} OR NOT {shown_before} THEN {after} ELSE {before}",
        "refuse": f"WHEN {shown_before} AND NOT {shown_after} THEN {before} "
        f"WHEN {shown_after} AND NOT {shown_before} THEN {after}",
    }[ambiguous]
    times = f"list_transform([{local}], lambda local: {{'local': local, 'moment': timezone({zone}, local)}})"
    return f"list_transform({times}, lambda t: CASE WHEN {before} = {after} THEN t.moment {chosen} END)[1]"


def attempt(name: str, logic: str, sources: Sequence[str], sql_type: str) -> str:
    """SQL of a transformLogic that gives a struct with ``value``; a NULL struct where the logic fails.

    DuckDB's optimizer computes what two expressions share once, before them and so outside of their TRY,
    where an error ends the query (seen in 2.0.0). It takes nothing out of the branches of a CASE unless the
    whole CASE occurs twice; the condition of this one always holds, and the name makes it the only one.
    A query may therefore name an attempt once, and has to build on its column.
    """
    inputs = ", ".join([*(quote(source) for source in sources), text(name)])
    return f"TRY({{'value': CASE WHEN hash({inputs}) IS NOT NULL THEN CAST(({logic}) AS {sql_type}) END}})"


def within_range(sql_type: str, value: str) -> str:
    """SQL that turns what no table or clock holds (NaN, infinity, years beyond 9999) into NULL."""
    if sql_type in ("FLOAT", "DOUBLE"):
        return f"CASE WHEN isfinite({value}) THEN {value} END"
    if sql_type == "DATE":
        return f"CASE WHEN {value} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN {value} END"
    if sql_type == "TIMESTAMPTZ":
        limits = "TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59+00'"
        return f"CASE WHEN {value} BETWEEN {limits} THEN {value} END"
    return value


def expected(sql_type: str, time_format: str | None = None, offset_required: bool = False) -> str:
    """What a person should have written for a type: ``an integer``."""
    if sql_type in TYPES["integer"]:
        return "an integer" if sql_type == "BIGINT" else f"an integer ({sql_type})"
    if sql_type.startswith("DECIMAL"):
        decimals = scale(sql_type)
        return (
            f"a number with at most {decimals} decimals ({sql_type})"
            if decimals
            else f"a whole number ({sql_type})"
        )
    if sql_type == "DATE":
        return f"a date as {time_format or 'YYYY-MM-DD'}"
    if sql_type == "TIMESTAMPTZ":
        offset = " with its offset from UTC" if offset_required else ""
        return f"a time as {time_format or 'YYYY-MM-DD HH:MM:SS'}{offset}"
    return {"BOOLEAN": "true or false", "VARCHAR": "a text"}.get(sql_type, "a number")
