"""The rules of a contract, compiled to DuckDB SQL."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, cast

import duckdb

from ml_assets.contracts import sql
from ml_assets.contracts.document import Document, Where
from ml_assets.contracts.errors import nearest
from ml_assets.contracts.model import Bound, Column, DayRule, RowRule, Severity

OPERATORS = {
    "mustBe": "exactly",
    "mustNotBe": "not",
    "mustBeGreaterThan": "more than",
    "mustBeGreaterOrEqualTo": "at least",
    "mustBeLessThan": "less than",
    "mustBeLessOrEqualTo": "at most",
    "mustBeBetween": "between",
    "mustNotBeBetween": "not between",
}
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
LONGEST_QUOTE = 80


def build_row_rules(
    document: Document,
    columns: tuple[Column, ...],
    primary_key: tuple[str, ...],
    scratch: duckdb.DuckDBPyConnection,
) -> tuple[RowRule, ...]:
    """Every rule for rows: per column its type, presence and values; then the day; then uniqueness."""
    rules: list[RowRule] = []
    names: set[str] = set()

    def add(where: Where, rule: RowRule) -> None:
        if rule.name in names:
            message = (
                f"the rule name {rule.name!r} is taken; give this rule another name, or remove one of the two"
            )
            raise document.error(where, message)
        names.add(rule.name)
        rules.append(rule)

    for at, column in enumerate(columns):
        where: Where = ("schema", 0, "properties", at)
        prop = document.data["schema"][0]["properties"][at]
        if column.sql_type != "VARCHAR" or column.logic is not None:
            add(where, _type_rule(column))
        if column.required:
            add(where, _required_rule(column, {}))
        for place, rule in _option_rules(
            document, where, prop.get("logicalTypeOptions", {}), column, scratch
        ):
            add(place, rule)
        if "enum" in prop:
            values = [entry["value"] for entry in prop["enum"]]
            add((*where, "enum"), _values_rule(document, (*where, "enum"), values, {}, column, scratch))
        for index, quality in enumerate(prop.get("quality", [])):
            place = (*where, "quality", index)
            add(place, _column_quality(document, place, quality, column, scratch))
    add((), _window_rule())
    for place, rule in _unique_rules(document, columns, primary_key):
        add(place, rule)
    return tuple(rules)


def _value(column: Column) -> str:
    return f"CAST({sql.quote(column.name)} AS VARCHAR)"


def _said(name: str, value: str, tail: str) -> str:
    """SQL text ``<name> is <value>, <tail>``; a long value is cut."""
    return f"{sql.text(name + ' is ')} || left({value}, {LONGEST_QUOTE}) || {sql.text(', ' + tail)}"


def _quoted(value: str) -> str:
    return f"'''' || left({value}, {LONGEST_QUOTE}) || ''''"


def _type_rule(column: Column) -> RowRule:
    wanted = sql.expected(column.sql_type, column.time_format, column.offset_required)
    inputs = {source: f"CAST({sql.quote(source)} AS VARCHAR)" for source in column.sources}
    if column.logic is None:
        [value] = inputs.values()
        reason = f"{sql.text(column.name + ' is ')} || {_quoted(value)} || {sql.text(f', {wanted} expected')}"
    else:
        parts = [f"{sql.text(source + ' ')} || {_quoted(value)}" for source, value in inputs.items()]
        start = sql.text(f"{column.name} can't be worked out from ")
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


def _required_rule(column: Column, quality: dict[str, Any]) -> RowRule:
    return RowRule(
        name=rule_name(quality, f"{column.name}_required"),
        column=column.name,
        description=quality.get("description") or f"{column.name} is present.",
        dimension=quality.get("dimension", "completeness"),
        severity=quality.get("severity", "error"),
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
) -> Iterator[tuple[Where, RowRule]]:
    name = sql.quote(column.name)
    bounds: dict[str, str] = {}
    for option, (comparison, words) in LIMITS.items():
        if option not in options:
            continue
        place: Where = (*where, "logicalTypeOptions", option)
        length = option.endswith("Length")
        bound = str(options[option]) if length else _bound(document, place, options[option], column, scratch)
        bounds[option] = bound
        measured = f"length({name})" if length else name
        unit = " characters" if length else ""
        shown = f"CAST({measured} AS VARCHAR)"
        yield (
            place,
            RowRule(
                name=f"{column.name}_{snake(option)}",
                column=column.name,
                description=f"{column.name} {'has' if length else 'is'} {words} {options[option]}{unit}.",
                dimension="conformity",
                severity="error",
                violation=f"coalesce({measured} {comparison} {bound}, FALSE)",
                reason=_said(
                    f"{column.name} {'has a length that' if length else ''}".strip(),
                    shown,
                    f"{words} {options[option]}{unit} expected",
                ),
            ),
        )
    _check_bounds(document, where, bounds, scratch)
    if "pattern" in options:
        place = (*where, "logicalTypeOptions", "pattern")
        yield place, _pattern_rule(document, place, options["pattern"], column, scratch)


def _bound(
    document: Document, where: Where, value: Any, column: Column, scratch: duckdb.DuckDBPyConnection
) -> str:
    """A limit as an SQL literal: an exact number, or a date or time in the column's zone."""
    if not isinstance(value, str):
        return format(Decimal(str(value)), "f")
    reading = sql.from_text(column.sql_type, sql.text(value), timezone=column.timezone)
    [(read,)] = scratch.execute(f"SELECT CAST({reading} AS VARCHAR)").fetchall()
    if read is None:
        raise document.error(where, f"{value!r} isn't {sql.expected(column.sql_type)}")
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


def _pattern_rule(
    document: Document, where: Where, pattern: str, column: Column, scratch: duckdb.DuckDBPyConnection
) -> RowRule:
    try:
        scratch.execute("SELECT regexp_matches('', ?)", [pattern]).fetchall()
    except duckdb.Error as error:
        problem = str(error).splitlines()[0]
        message = (
            f"the pattern {pattern!r} can't be enforced: {problem}; write it without look-around (RE2 syntax)"
        )
        raise document.error(where, message) from error
    return RowRule(
        name=f"{column.name}_pattern",
        column=column.name,
        description=f"{column.name} matches the pattern {pattern}.",
        dimension="conformity",
        severity="error",
        violation=f"coalesce(NOT regexp_matches({sql.quote(column.name)}, {sql.text(pattern)}), FALSE)",
        reason=_said(column.name, _quoted(_value(column)), f"a match of the pattern {pattern} expected"),
    )


def _values_rule(
    document: Document,
    where: Where,
    values: list[Any],
    quality: dict[str, Any],
    column: Column,
    scratch: duckdb.DuckDBPyConnection,
) -> RowRule:
    literals = []
    for value in values:
        written = str(value).lower() if isinstance(value, bool) else str(value)
        reading = sql.from_text(column.sql_type, sql.text(written), timezone=column.timezone)
        [(read,)] = scratch.execute(f"SELECT CAST({reading} AS VARCHAR)").fetchall()
        if read is None:
            message = (
                f"the valid value {value!r} isn't {sql.expected(column.sql_type)}, which {column.name} is"
            )
            raise document.error(where, message)
        literals.append(f"CAST({sql.text(str(read))} AS {column.sql_type})")
    shown = ", ".join(str(value) for value in values)
    return RowRule(
        name=rule_name(quality, f"{column.name}_valid_values"),
        column=column.name,
        description=quality.get("description") or f"{column.name} is one of {shown}.",
        dimension=quality.get("dimension", "conformity"),
        severity=quality.get("severity", "error"),
        violation=f"coalesce({sql.quote(column.name)} NOT IN ({', '.join(literals)}), FALSE)",
        reason=_said(column.name, _quoted(_value(column)), f"one of {shown} expected"),
    )


def _column_quality(
    document: Document,
    where: Where,
    quality: dict[str, Any],
    column: Column,
    scratch: duckdb.DuckDBPyConnection,
) -> RowRule:
    metric = check_quality(document, where, quality)
    instead = {
        "duplicateValues": "write `unique: true`",
        "rowCount": "write it in the quality of the schema entry",
    }
    if metric not in ("invalidValues", "nullValues"):
        hint = instead.get(metric, "use nullValues or invalidValues")
        raise document.error(
            (*where, "metric"), f"{metric} on a property is not enforced by ml_assets; {hint}"
        )
    operator, bound = _operator(document, where, quality)
    if (operator, bound) != ("mustBe", 0):
        message = (
            f"{metric} on a property is enforced as `mustBe: 0` only; write that, or limit the refused share"
        )
        raise document.error((*where, operator), f"{message} in the quality of the schema entry")
    arguments = quality.get("arguments", {})
    _check_arguments(document, where, arguments, {"validValues"} if metric == "invalidValues" else set())
    if metric == "nullValues":
        if column.required:
            message = (
                f"{column.name} is required already; remove nullValues here, or required and primaryKey there"
            )
            raise document.error(where, message)
        return _required_rule(column, quality)
    values = arguments.get("validValues")
    if not isinstance(values, list) or not values:
        message = "invalidValues needs arguments.validValues, a list; a pattern is logicalTypeOptions.pattern"
        raise document.error(where, message)
    return _values_rule(document, where, values, quality, column, scratch)


def check_quality(document: Document, where: Where, quality: dict[str, Any]) -> str:
    """The metric of a library rule; ContractError for another type, or an unknown severity or unit."""
    kind = quality.get("type", "library")
    if kind != "library":
        message = f"quality of type {kind!r} is not enforced by ml_assets; remove it, or use a library metric"
        raise document.error((*where, "type"), message)
    if "metric" not in quality:
        raise document.error(
            where,
            "a quality rule needs a metric; expected invalidValues, nullValues, rowCount or duplicateValues",
        )
    for key, known in (("severity", ("error", "warning")), ("unit", ("rows", "percent"))):
        if key in quality and quality[key] not in known:
            message = f"{key} is {quality[key]!r}{nearest(quality[key], known)}"
            raise document.error((*where, key), message)
    return str(quality["metric"])


def find_operator(document: Document, where: Where, quality: dict[str, Any]) -> str:
    """The one operator of a rule; ContractError for none or several."""
    found = [operator for operator in OPERATORS if operator in quality]
    if len(found) != 1:
        message = f"a quality rule needs exactly one mustBe... operator; found {', '.join(found) or 'none'}"
        raise document.error(where, message)
    return found[0]


def _operator(document: Document, where: Where, quality: dict[str, Any]) -> tuple[str, Bound]:
    """The one operator of a rule and its number or pair of numbers."""
    operator = find_operator(document, where, quality)
    bound = quality[operator]
    parts = bound if isinstance(bound, list) else [bound]
    if not all(isinstance(part, int | float) and not isinstance(part, bool) for part in parts):
        raise document.error((*where, operator), f"{operator} is {bound!r}; a number is expected")
    if len(parts) == 2 and parts[0] > parts[1]:
        raise document.error((*where, operator), f"{operator} is {bound}; the smaller number comes first")
    return operator, cast("Bound", tuple(parts) if isinstance(bound, list) else bound)


def _check_arguments(document: Document, where: Where, arguments: dict[str, Any], known: set[str]) -> None:
    for key in arguments:
        if key not in known:
            hint = nearest(key, known) if known else "; remove it"
            message = f"the argument {key!r} is not enforced by ml_assets here{hint}"
            raise document.error((*where, "arguments", key), message)


def _window_rule() -> RowRule:
    return RowRule(
        name=WINDOW_RULE,
        column="occurred_at",
        description="occurred_at lies on the landing date, or at most the source's late days before it.",
        dimension="timeliness",
        severity="error",
        violation="FALSE",
        reason=f"'occurred_at is ' || {_value_of('occurred_at')} || ', another day expected'",
        kind="window",
    )


def _value_of(name: str) -> str:
    return f"CAST({sql.quote(name)} AS VARCHAR)"


def _unique_rules(
    document: Document, columns: tuple[Column, ...], primary_key: tuple[str, ...]
) -> Iterator[tuple[Where, RowRule]]:
    schema = document.data["schema"][0]
    names = [column.name for column in columns]
    explicit: set[tuple[str, ...]] = set()
    rules: list[tuple[Where, RowRule]] = []
    for at, quality in enumerate(schema.get("quality", [])):
        where: Where = ("schema", 0, "quality", at)
        if check_quality(document, where, quality) != "duplicateValues":
            continue
        if _operator(document, where, quality) != ("mustBe", 0) or quality.get("unit", "rows") != "rows":
            raise document.error(where, "duplicateValues is enforced as `mustBe: 0` rows only; write that")
        arguments = quality.get("arguments", {})
        _check_arguments(document, where, arguments, {"properties"})
        keys = arguments.get("properties", list(primary_key))
        if not isinstance(keys, list) or not keys:
            message = "duplicateValues needs arguments.properties, a list, or a primary key"
            raise document.error(where, message)
        for key in keys:
            if key not in names:
                raise document.error(
                    (*where, "arguments", "properties"), f"no property {key!r}{nearest(key, names)}"
                )
        explicit.add(tuple(keys))
        rules.append((where, _unique_rule(tuple(keys), quality)))
    if primary_key and not any(sorted(keys) == sorted(primary_key) for keys in explicit):
        yield ("schema", 0), _unique_rule(primary_key, {})
    for at, column in enumerate(columns):
        if column.unique and primary_key != (column.name,):
            yield ("schema", 0, "properties", at, "unique"), _unique_rule((column.name,), {})
    yield from rules


def _unique_rule(keys: tuple[str, ...], quality: dict[str, Any]) -> RowRule:
    shown = ", ".join(keys)
    partition = ", ".join(sql.quote(key) for key in keys)
    values = " || ', ' || ".join(f"coalesce({_value_of(key)}, 'empty')" for key in keys)
    return RowRule(
        name=rule_name(quality, f"unique_{'_'.join(keys)}"),
        column=keys[0] if len(keys) == 1 else None,
        description=quality.get("description") or f"No two rows have the same {shown}.",
        dimension=quality.get("dimension", "uniqueness"),
        severity=quality.get("severity", "error"),
        violation=f"row_number() OVER (PARTITION BY {partition}) > 1",
        reason=f"{sql.text(f'an earlier row has the same {shown}: ')} || left({values}, {2 * LONGEST_QUOTE})",
        kind="unique",
        keys=keys,
    )


def build_day_rules(document: Document, taken: set[str]) -> tuple[DayRule, ...]:
    """The rules of the schema entry that are judged per day."""
    rules: list[DayRule] = []
    for at, quality in enumerate(document.data["schema"][0].get("quality", [])):
        where: Where = ("schema", 0, "quality", at)
        metric = check_quality(document, where, quality)
        if metric == "duplicateValues":
            continue
        if metric not in ("rowCount", "invalidValues"):
            message = (
                f"{metric} is not enforced by ml_assets here; use rowCount, invalidValues or duplicateValues"
            )
            raise document.error((*where, "metric"), message)
        rule = _day_rule(document, where, quality, metric)
        if rule.name in taken | {other.name for other in rules}:
            raise document.error(
                where, f"the rule name {rule.name!r} is taken; give this rule a name of its own"
            )
        rules.append(rule)
    return tuple(rules)


def _day_rule(document: Document, where: Where, quality: dict[str, Any], metric: str) -> DayRule:
    _check_arguments(document, where, quality.get("arguments", {}), set())
    operator, bound = _operator(document, where, quality)
    unit = quality.get("unit", "rows")
    subject, unit_word = "rows a day", ""
    default = "row_count"
    if metric == "rowCount":
        if unit != "rows":
            raise document.error((*where, "unit"), "rowCount counts rows; write `unit: rows` or nothing")
    else:
        upper = operator in ("mustBeLessThan", "mustBeLessOrEqualTo") or (operator, bound) == ("mustBe", 0)
        if not upper:
            message = (
                f"{operator} is no upper limit of refused rows; use mustBeLessThan or mustBeLessOrEqualTo"
            )
            raise document.error((*where, operator), message)
        subject, unit_word = "of a day's landed rows refused", " percent" if unit == "percent" else " rows"
        default = "refused_share" if unit == "percent" else "refused_rows"
    shown = " and ".join(str(part) for part in bound) if isinstance(bound, tuple) else str(bound)
    return DayRule(
        name=rule_name(quality, default),
        metric=cast("Any", metric),
        operator=operator,
        bound=bound,
        unit=unit,
        severity=cast("Severity", quality.get("severity", "error")),
        description=quality.get("description")
        or f"{OPERATORS[operator].capitalize()} {shown}{unit_word} {subject}.",
        dimension=quality.get("dimension", "completeness" if metric == "rowCount" else "conformity"),
    )


def rule_name(quality: dict[str, Any], default: str) -> str:
    """The rule's own name made snake_case, else the default."""
    return snake(quality["name"]) or snake(default) if quality.get("name") else snake(default)


def snake(words: str) -> str:
    """``Brand is known`` and ``brandIsKnown`` as ``brand_is_known``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", words)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
