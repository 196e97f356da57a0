"""The rules every row keeps, compiled to DuckDB SQL."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb

from ml_assets.contracts.compile import sql_types
from ml_assets.contracts.compile.document import Document, Where
from ml_assets.contracts.compile.metrics import Condition, condition, matches, one_of
from ml_assets.contracts.compile.quality import Quality, literal
from ml_assets.contracts.contract import Column, RowRule
from ml_assets.contracts.errors import nearest
from ml_assets.lake import sql

# option: (violated where the value is ... the bound, how a person says it)
LIMITS = {
    "minimum": ("<", "at least"),
    "exclusiveMinimum": ("<=", "more than"),
    "maximum": (">", "at most"),
    "exclusiveMaximum": (">=", "less than"),
    "minLength": ("<", "at least"),
    "maxLength": (">", "at most"),
}
WINDOW_RULE = "event_date_in_window"
CLOCK_RULE = "occurred_before_seen"
ORDER_RULE = "available_after_occurred"
LONGEST_QUOTE = 80

Placed = tuple[Where, RowRule]


def row_rules(
    document: Document,
    columns: tuple[Column, ...],
    primary_key: tuple[str, ...],
    qualities: list[Quality],
    scratch: duckdb.DuckDBPyConnection,
) -> Iterator[Placed]:
    """Every rule for rows: per column its type, presence and values; then the times; then uniqueness."""
    for at, column in enumerate(columns):
        where: Where = ("schema", 0, "properties", at)
        prop = document.data["schema"][0]["properties"][at]
        if column.sql_type != "VARCHAR" or column.logic is not None:
            yield where, _type_rule(column)
        if column.required:
            yield where, _required_rule(column)
        yield from _option_rules(document, where, prop.get("logicalTypeOptions", {}), column, scratch)
        if "enum" in prop:
            yield (*where, "enum"), _enum_rule(document, (*where, "enum"), prop["enum"], column, scratch)
        for quality in qualities:
            if quality.column is column and quality.refuses_rows and quality.metric != "duplicateValues":
                yield quality.where, _metric_rule(quality, column)
    yield from (((), rule) for rule in _time_rules(columns))
    yield from _unique_rules(columns, primary_key, qualities)


def _value(name: str) -> str:
    return f"CAST({sql.quote(name)} AS VARCHAR)"


def _quoted(value: str) -> str:
    return f"'''' || left({value}, {LONGEST_QUOTE}) || ''''"


def _said(column: Column, value: str, tail: str, of: str = "") -> str:
    """SQL text ``<name> is <value>, <tail>``; a long value is cut, a personal one isn't shown."""
    subject = f"{column.name} {of}".strip()
    if column.personal:
        return sql.text(f"{subject} is not as promised (personal, not shown), {tail}")
    return f"{sql.text(subject + ' is ')} || {value} || {sql.text(', ' + tail)}"


def _type_rule(column: Column) -> RowRule:
    wanted = sql_types.expected(column.sql_type, column.time_format, column.offset_required)
    if column.logic is None or column.personal:
        reason = _said(column, _quoted(_value(column.sources[0])), f"{wanted} expected")
        if column.sql_type == "TIMESTAMPTZ" and column.logic is None and column.ambiguous == "refuse":
            reason = f"CASE WHEN {_shown_twice_or_never(column)} THEN {_of_clocks(column)} ELSE {reason} END"
    else:
        start = sql.text(f"{column.name} can't be worked out from ")
        parts = [f"{sql.text(source + ' ')} || {_quoted(_value(source))}" for source in column.sources]
        listed = " || ', ' || ".join(parts)
        reason = f"{start} || {listed} || {sql.text(f', {wanted} expected')}"
    return RowRule(
        name=f"{column.name}_type",
        column=column.name,
        description=f"{column.name} is {wanted}.",
        dimension="conformity",
        severity="error",
        violation="FALSE",
        reason=reason,
        kind="type",
    )


def _shown_twice_or_never(column: Column) -> str:
    """SQL that holds where a column's text is a time that clocks of its zone show twice or never."""
    reading = sql_types.from_text(
        column.sql_type,
        _value(column.sources[0]),
        timezone=column.timezone,
        time_format=column.time_format,
        offset_required=column.offset_required,
        ambiguous="earlier",
    )
    return f"({reading}) IS NOT NULL"


def _of_clocks(column: Column) -> str:
    tail = (
        f"which clocks in {column.timezone} show twice or never; its offset, or the custom property "
        "'ambiguous' (earlier or later) in the contract expected"
    )
    return _said(column, _quoted(_value(column.sources[0])), tail)


def _required_rule(column: Column) -> RowRule:
    return RowRule(
        name=f"{column.name}_required",
        column=column.name,
        description=f"{column.name} is present.",
        dimension="completeness",
        severity="error",
        violation=f"{sql.quote(column.name)} IS NULL",
        reason=sql.text(f"{column.name} is empty, a value expected"),
        kind="required",
    )


def _option_rules(
    document: Document,
    where: Where,
    options: dict[str, Any],
    column: Column,
    scratch: duckdb.DuckDBPyConnection,
) -> Iterator[Placed]:
    bounds: dict[str, str] = {}
    for option in LIMITS:
        if option in options:
            place: Where = (*where, "logicalTypeOptions", option)
            value = options[option]
            bounds[option] = (
                str(value) if option.endswith("Length") else _bound(document, place, value, column, scratch)
            )
            yield place, _limit_rule(column, option, value, bounds[option])
    _check_bounds(document, where, bounds, scratch)
    if "pattern" in options:
        pattern = options["pattern"]
        place = (*where, "logicalTypeOptions", "pattern")
        found = matches(document, place, pattern, column, scratch)
        yield place, _value_rule(column, f"{column.name}_pattern", found)


def _limit_rule(column: Column, option: str, value: Any, bound: str) -> RowRule:
    comparison, words = LIMITS[option]
    length = option.endswith("Length")
    name = sql.quote(column.name)
    measured, unit = (f"length({name})", " characters") if length else (name, "")
    return RowRule(
        name=f"{column.name}_{_snake_option(option)}",
        column=column.name,
        description=f"{column.name} {'has' if length else 'is'} {words} {value}{unit}.",
        dimension="conformity",
        severity="error",
        violation=f"coalesce({measured} {comparison} {bound}, FALSE)",
        reason=_said(
            column,
            f"CAST({measured} AS VARCHAR)",
            f"{words} {value}{unit} expected",
            "has a length that" if length else "",
        ),
    )


def _snake_option(option: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in option)


def _bound(
    document: Document, where: Where, value: Any, column: Column, scratch: duckdb.DuckDBPyConnection
) -> str:
    """A limit as an SQL literal: an exact number, or a date or time in the column's zone."""
    if not isinstance(value, str):
        return format(Decimal(str(value)), "f")
    reading = sql_types.from_text(column.sql_type, sql.text(value), timezone=column.timezone)
    [(read,)] = scratch.execute(f"SELECT CAST({reading} AS VARCHAR)").fetchall()
    if read is None:
        raise document.error(where, f"{value!r} isn't {sql_types.expected(column.sql_type)}")
    return f"{column.sql_type} {sql.text(str(read))}"


def _check_bounds(
    document: Document, where: Where, bounds: dict[str, str], scratch: duckdb.DuckDBPyConnection
) -> None:
    pairs = [
        (low, high)
        for low in ("minimum", "exclusiveMinimum", "minLength")
        for high in ("maximum", "exclusiveMaximum", "maxLength")
        if low in bounds and high in bounds
    ]
    for low, high in pairs:
        comparison = ">" if "exclusive" not in low + high else ">="
        [(empty,)] = scratch.execute(f"SELECT {bounds[low]} {comparison} {bounds[high]}").fetchall()
        if empty:
            message = (
                f"no value keeps both {low} {bounds[low]} and {high} {bounds[high]}; correct one of them"
            )
            raise document.error((*where, "logicalTypeOptions", high), message)


def _enum_rule(
    document: Document,
    where: Where,
    enum: list[dict[str, Any]],
    column: Column,
    scratch: duckdb.DuckDBPyConnection,
) -> RowRule:
    values = [entry["value"] for entry in enum]
    literals = [
        literal(document, (*where, at, "value"), value, column, "valid value", scratch)
        for at, value in enumerate(values)
    ]
    return _value_rule(column, f"{column.name}_valid_values", one_of(column, values, literals))


def _metric_rule(quality: Quality, column: Column) -> RowRule:
    """A metric of a property that may count no row."""
    found = condition(quality, column)
    if quality.metric == "nullValues":
        rule = _required_rule(column)
    else:
        default = "missing" if quality.metric == "missingValues" else found.name
        rule = _value_rule(column, f"{column.name}_{default}", found)
    severity = quality.severity()
    if column.personal and severity == "warning" and rule.kind == "value":
        message = (
            f"{column.name} is personal and only its hash is kept, so that events can't be held against "
            f"this rule; write severity 'error', which refuses rows before the hash is taken"
        )
        raise quality.error(message, "severity")
    return RowRule(
        name=quality.name(rule.name),
        column=column.name,
        description=quality.text("description", rule.description),
        dimension=quality.text("dimension", found.dimension),
        severity=severity,
        violation=rule.violation,
        reason=rule.reason,
        kind=rule.kind,
    )


def _value_rule(column: Column, name: str, found: Condition) -> RowRule:
    value = f"coalesce({_value(column.name)}, 'empty')" if found.counts_empty else _value(column.name)
    return RowRule(
        name=name,
        column=column.name,
        description=f"{column.name} {found.promise}.",
        dimension=found.dimension,
        severity="error",
        violation=found.violation,
        reason=_said(column, _quoted(value), f"{found.expected} expected"),
    )


def _time_rules(columns: tuple[Column, ...]) -> Iterator[RowRule]:
    """The rules about times that every contract has."""
    occurred = f"'occurred_at is ' || {_value('occurred_at')}"
    yield RowRule(
        name=WINDOW_RULE,
        column="occurred_at",
        description="occurred_at lies on the landing date, or at most the source's late days before it.",
        dimension="timeliness",
        severity="error",
        violation="FALSE",
        reason=f"{occurred} || ', another day expected'",
        kind="window",
    )
    yield RowRule(
        name=CLOCK_RULE,
        column="occurred_at",
        description="An event doesn't happen more than 5 minutes after its file was first seen.",
        dimension="timeliness",
        severity="error",
        violation="FALSE",
        reason=(
            f"{occurred} || ', but the file was first seen at ' || {_value('seen_at')} || "
            "', an event of the past expected'"
        ),
        kind="clock",
    )
    if any(column.name == "available_at" for column in columns):
        yield RowRule(
            name=ORDER_RULE,
            column="available_at",
            description="available_at is not before occurred_at: nothing is known before it happens.",
            dimension="consistency",
            severity="error",
            violation="coalesce(available_at < occurred_at, FALSE)",
            reason=(
                f"'available_at is ' || {_value('available_at')} || ', occurred_at (' || "
                f"{_value('occurred_at')} || ') or later expected'"
            ),
        )


def _unique_rules(
    columns: tuple[Column, ...], primary_key: tuple[str, ...], qualities: list[Quality]
) -> Iterator[Placed]:
    explicit = [
        (quality, duplicate_keys(quality, columns, primary_key))
        for quality in qualities
        if quality.metric == "duplicateValues" and quality.refuses_rows
    ]
    if primary_key and not any(sorted(keys) == sorted(primary_key) for _, keys in explicit):
        yield ("schema", 0), _unique_rule(columns, primary_key, None)
    for at, column in enumerate(columns):
        if column.unique and primary_key != (column.name,):
            yield ("schema", 0, "properties", at, "unique"), _unique_rule(columns, (column.name,), None)
    for quality, keys in explicit:
        yield quality.where, _unique_rule(columns, keys, quality)


def duplicate_keys(
    quality: Quality, columns: tuple[Column, ...], primary_key: tuple[str, ...]
) -> tuple[str, ...]:
    """The columns that a duplicateValues rule is about."""
    if quality.column is not None:
        quality.arguments()
        if quality.column.unique or primary_key == (quality.column.name,):
            message = f"{quality.column.name} is unique already; remove duplicateValues here"
            raise quality.error(f"{message}, or unique and primaryKey there")
        return (quality.column.name,)
    keys = quality.arguments("properties").get("properties", list(primary_key))
    if not isinstance(keys, list) or not keys:
        raise quality.error("duplicateValues needs arguments.properties, a list, or a primary key")
    names = [column.name for column in columns]
    for at, key in enumerate(keys):
        if key not in names:
            raise quality.error(f"no property {key!r}{nearest(key, names)}", "arguments", "properties")
        if key in keys[:at]:
            raise quality.error(f"{key!r} is listed twice; name it once", "arguments", "properties")
    return tuple(keys)


def _unique_rule(columns: tuple[Column, ...], keys: tuple[str, ...], quality: Quality | None) -> RowRule:
    shown = ", ".join(keys)
    partition = ", ".join(sql.quote(key) for key in keys)
    if any(column.personal for column in columns if column.name in keys):
        reason = sql.text(f"an earlier row has the same {shown} (personal, not shown)")
    else:
        values = " || ', ' || ".join(f"coalesce({_value(key)}, 'empty')" for key in keys)
        reason = (
            f"{sql.text(f'an earlier row has the same {shown}: ')} || left({values}, {2 * LONGEST_QUOTE})"
        )
    name, description = f"unique_{'_'.join(keys)}", f"No two rows of a day have the same {shown}."
    return RowRule(
        name=quality.name(name) if quality else name,
        column=keys[0] if len(keys) == 1 else None,
        description=quality.text("description", description) if quality else description,
        dimension=quality.text("dimension", "uniqueness") if quality else "uniqueness",
        severity=quality.severity() if quality else "error",
        violation=f"row_number() OVER (PARTITION BY {partition}) > 1",
        reason=reason,
        kind="unique",
        keys=keys,
    )
