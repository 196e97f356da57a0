"""The metrics of the standard's library that count rows by a column's value, as conditions in DuckDB SQL."""

from dataclasses import dataclass
from typing import Any

import duckdb

from ml_assets.contracts.compile import sql_types
from ml_assets.contracts.compile.document import Document, Where
from ml_assets.contracts.compile.quality import Quality
from ml_assets.contracts.contract import Column
from ml_assets.lake import sql


@dataclass(frozen=True)
class Condition:
    """Which rows a metric counts: those for which ``violation`` holds, never NULL.

    ``promise`` says what a row without it keeps (``is one of A, B``), ``broken`` what the counted ones do
    (``have no brand``), ``expected`` what should stand there. ``counts_empty`` is whether rows
    without a value may be among them.
    """

    name: str
    violation: str
    promise: str
    broken: str
    expected: str
    dimension: str
    counts_empty: bool = False


def condition(quality: Quality, column: Column) -> Condition:
    """What a nullValues, missingValues or invalidValues rule of a property counts."""
    if quality.metric == "nullValues":
        return _nulls(quality, column)
    if quality.metric == "missingValues":
        return _missing(quality, column)
    return _invalid(quality, column)


def _nulls(quality: Quality, column: Column) -> Condition:
    quality.arguments()
    _check_not_required(quality, column)
    return Condition(
        name="nulls",
        violation=f"{sql.quote(column.name)} IS NULL",
        promise="is present",
        broken=f"have no {column.name}",
        expected="a value",
        dimension="completeness",
        counts_empty=True,
    )


def _check_not_required(quality: Quality, column: Column) -> None:
    if column.required:
        message = (
            f"{column.name} is required already; remove {quality.metric} here, or required and primaryKey"
        )
        raise quality.error(f"{message} there")


def _missing(quality: Quality, column: Column) -> Condition:
    """Rows with one of the listed values; null is none at all, and so is '' in a column that isn't text."""
    quality.arguments("missingValues")
    values = quality.value_list("missingValues")
    if values is None:
        message = "missingValues needs arguments.missingValues, a list such as [null, '', 'N/A']"
        raise quality.error(f"{message}; without one, write nullValues")
    where: Where = (*quality.where, "arguments", "missingValues")
    empty = [value is None or (value == "" and column.sql_type != "VARCHAR") for value in values]
    written = [value for value, none in zip(values, empty, strict=True) if not none]
    if not written:
        _check_not_required(quality, column)
    literals = [
        quality.literal(value, (*where, at), "missing value")
        for at, (value, none) in enumerate(zip(values, empty, strict=True))
        if not none
    ]
    name = sql.quote(column.name)
    counted = [f"coalesce({name} IN ({', '.join(literals)}), FALSE)"] if literals else []
    counts_empty = any(empty) and not column.required
    if counts_empty:
        counted.append(f"{name} IS NULL")
    shown = ", ".join([*(repr(str(value)) for value in written), *(["empty"] if counts_empty else [])])
    return Condition(
        name="missing",
        violation=f"({' OR '.join(counted)})",
        promise=f"is not missing (none of {shown})",
        broken=f"have one of {shown} as {column.name}",
        expected=f"none of {shown}",
        dimension="completeness",
        counts_empty=counts_empty,
    )


def _invalid(quality: Quality, column: Column) -> Condition:
    """Rows whose value isn't in the list or doesn't match the pattern; where both are given, it must do both."""
    arguments = quality.arguments("validValues", "pattern")
    values, pattern = quality.value_list("validValues"), arguments.get("pattern")
    if values is None and pattern is None:
        message = (
            "invalidValues needs arguments.validValues, a list, or arguments.pattern, a regular expression"
        )
        raise quality.error(message)
    found: list[Condition] = []
    if values is not None:
        where: Where = (*quality.where, "arguments", "validValues")
        literals = [quality.literal(v, (*where, at), "valid value") for at, v in enumerate(values)]
        found.append(one_of(column, values, literals))
    if pattern is not None:
        where = (*quality.where, "arguments", "pattern")
        if not isinstance(pattern, str) or not pattern or column.sql_type != "VARCHAR":
            message = f"pattern is {pattern!r} for {column.name}, {sql_types.expected(column.sql_type)}"
            raise quality.error(f"{message}; a pattern is a text and holds for texts", "arguments", "pattern")
        found.append(matches(quality.document, where, pattern, column, quality.scratch))
    if len(found) == 1:
        return found[0]
    return Condition(
        name="valid_values",
        violation=f"({' OR '.join(one.violation for one in found)})",
        promise=" and ".join(one.promise for one in found),
        broken=_other(column, " and ".join(one.expected for one in found)),
        expected=" and ".join(one.expected for one in found),
        dimension="conformity",
    )


def one_of(column: Column, values: list[Any], literals: list[str]) -> Condition:
    """Rows with a value outside of a list."""
    shown = ", ".join(str(value) for value in values)
    return Condition(
        name="valid_values",
        violation=f"coalesce({sql.quote(column.name)} NOT IN ({', '.join(literals)}), FALSE)",
        promise=f"is one of {shown}",
        broken=_other(column, f"one of {shown}"),
        expected=f"one of {shown}",
        dimension="conformity",
    )


def matches(
    document: Document, where: Where, pattern: str, column: Column, scratch: duckdb.DuckDBPyConnection
) -> Condition:
    """Rows with a value that no part of matches a regular expression."""
    try:
        scratch.execute("SELECT regexp_matches('', ?)", [pattern]).fetchall()
    except duckdb.Error as error:
        problem = str(error).splitlines()[0]
        message = (
            f"the pattern {pattern!r} can't be enforced: {problem}; write it without look-around (RE2 syntax)"
        )
        raise document.error(where, message) from error
    return Condition(
        name="valid_pattern",
        violation=f"coalesce(NOT regexp_matches({sql.quote(column.name)}, {sql.text(pattern)}), FALSE)",
        promise=f"matches the pattern {pattern}",
        broken=_other(column, f"a match of the pattern {pattern}"),
        expected=f"a match of the pattern {pattern}",
        dimension="conformity",
    )


def _other(column: Column, expected: str) -> str:
    return f"don't have {expected} as {column.name} (empty ones apart)"
