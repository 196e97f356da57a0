"""The entries of ``quality``: what each may say, and its limit in numbers and words."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import duckdb

from ml_assets.contracts.compile import sql_types
from ml_assets.contracts.compile.document import Document, Where
from ml_assets.contracts.contract import OPERATORS, Bound, Column, Limit, Rule, Severity
from ml_assets.contracts.errors import ContractError, nearest
from ml_assets.lake import sql

UNITS = ("rows", "percent")
SEVERITIES = ("error", "warning")
ENGINE = "ml_assets"
PROPERTY_METRICS = ("nullValues", "missingValues", "invalidValues", "duplicateValues")
SCHEMA_METRICS = ("rowCount", "invalidValues", "duplicateValues")
OTHER_LEVEL = {
    "rowCount": "it counts the events of a day: write it in the quality of the schema entry",
    "nullValues": "it counts the values of one column: write it in the quality of that property",
    "missingValues": "it counts the values of one column: write it in the quality of that property",
}
# Names of checks that every source has beside its contract's.
TAKEN_NAMES = ("files_accepted", "every_day_landed", "rows_kept", "rows_accounted")


@dataclass(frozen=True)
class Quality:
    """One entry of ``quality``, where it stands, and the column it is about; None for the schema's."""

    document: Document
    where: Where
    data: dict[str, Any]
    column: Column | None
    scratch: duckdb.DuckDBPyConnection

    def error(self, message: str, *at: str | int) -> ContractError:
        """An error at this entry, or at a key of it."""
        return self.document.error((*self.where, *at), message)

    @property
    def kind(self) -> str:
        """Its type: library, sql or custom."""
        return str(self.data.get("type", "library"))

    @property
    def metric(self) -> str:
        """The metric of a library rule; empty for another type."""
        return str(self.data["metric"]) if self.kind == "library" else ""

    @property
    def unit(self) -> str:
        """Rows or percent."""
        return str(self.data.get("unit", "rows"))

    @property
    def refuses_rows(self) -> bool:
        """Whether it is a rule for every row: no row may be counted by its metric."""
        return (
            self.kind == "library"
            and (self.column is not None or self.metric == "duplicateValues")
            and self.limit.allows_none(self.unit)
        )

    def severity(self, default: Severity = "error") -> Severity:
        """Its severity, or the default."""
        return cast("Severity", self.data.get("severity", default))

    def text(self, key: str, default: str) -> str:
        """Its description or dimension, or the default."""
        return str(self.data.get(key) or default).strip()

    def name(self, default: str) -> str:
        """The rule's own name made snake_case, else the default."""
        return rule_name(self.data, default)

    @property
    def limit(self) -> Limit:
        """Its operator and number or pair of numbers."""
        operator = find_operator(self.document, self.where, self.data)
        bound = self.data[operator]
        parts = bound if isinstance(bound, list) else [bound]
        if not all(_is_number(part) for part in parts):
            raise self.error(f"{operator} is {bound!r}; a number is expected", operator)
        if len(parts) == 2 and parts[0] > parts[1]:
            raise self.error(f"{operator} is {bound}; the smaller number comes first", operator)
        return Limit(operator, cast("Bound", tuple(parts) if isinstance(bound, list) else bound))

    def arguments(self, *known: str) -> dict[str, Any]:
        """Its arguments; ContractError for one that isn't known."""
        found: dict[str, Any] = self.data.get("arguments", {})
        for key in found:
            if key not in known:
                hint = nearest(key, known) if known else "; remove it"
                message = f"the argument {key!r} is not enforced by ml_assets here{hint}"
                raise self.error(message, "arguments", key)
        return found

    def value_list(self, key: str) -> list[Any] | None:
        """The list of single values that an argument is; None if it isn't given."""
        arguments = self.data.get("arguments", {})
        if key not in arguments:
            return None
        values = arguments[key]
        if not isinstance(values, list) or not values or any(isinstance(v, dict | list) for v in values):
            raise self.error(f"{self.metric} needs arguments.{key} as a list of values", "arguments", key)
        return values

    def literal(self, value: Any, where: Where, what: str) -> str:
        """A value of a list as an SQL literal of the column's type; ContractError if it isn't one."""
        return literal(self.document, where, value, cast("Column", self.column), what, self.scratch)


def entries(
    document: Document, columns: tuple[Column, ...], scratch: duckdb.DuckDBPyConnection
) -> list[Quality]:
    """The checked entries of all properties, in their order, then those of the schema."""
    schema = document.data["schema"][0]
    found: list[Quality] = []
    for at, column in enumerate(columns):
        where: Where = ("schema", 0, "properties", at, "quality")
        listed = schema["properties"][at].get("quality", [])
        found += [Quality(document, (*where, n), data, column, scratch) for n, data in enumerate(listed)]
    where = ("schema", 0, "quality")
    listed = schema.get("quality", [])
    found += [Quality(document, (*where, n), data, None, scratch) for n, data in enumerate(listed)]
    for quality in found:
        check(quality)
    return found


def check(quality: Quality) -> None:
    """Refuse what no type of rule may say, metrics at the wrong level and limits that nothing can keep."""
    data = quality.data
    if quality.kind == "text":
        message = "quality of type 'text' is not enforced by ml_assets; say it in the description instead"
        raise quality.error(message, "type")
    if data.get("severity") == "info":
        message = (
            "severity 'info' would neither refuse nor warn; write 'warning', or say it in the description"
        )
        raise quality.error(message, "severity")
    for key, known in (("severity", SEVERITIES), ("unit", UNITS)):
        if key in data and data[key] not in known:
            raise quality.error(f"{key} is {data[key]!r}{nearest(data[key], known)}", key)
    if quality.kind != "library" and "metric" in data:
        message = f"metric has no effect on a rule of type {quality.kind!r}; remove it, or write two rules"
        raise quality.error(message, "metric")
    if quality.kind == "custom" and "unit" in data:
        raise quality.error("unit has no effect on a trend, which compares shares; remove it", "unit")
    if quality.kind == "custom" and data["engine"] != ENGINE:
        message = f"engine is {data['engine']!r}, which ml_assets doesn't run; expected {ENGINE!r}"
        raise quality.error(f"{message}, or a library metric or an sql rule instead", "engine")
    if quality.kind == "library":
        _check_metric(quality)


def _check_metric(quality: Quality) -> None:
    known = SCHEMA_METRICS if quality.column is None else PROPERTY_METRICS
    if "metric" not in quality.data:
        raise quality.error(f"a quality rule needs a metric; expected one of {', '.join(known)}")
    if quality.metric not in known:
        level = "on the schema" if quality.column is None else "on a property"
        message = f"{quality.metric} {level} is not enforced by ml_assets; {OTHER_LEVEL[quality.metric]}"
        raise quality.error(message, "metric")
    limit = quality.limit
    said = str(limit).removeprefix(f"{OPERATORS[limit.operator]} ")
    parts = limit.bound if isinstance(limit.bound, tuple) else (limit.bound,)
    if min(parts) < 0 or (limit.operator, limit.bound) == ("mustBeLessThan", 0):
        message = f"{limit.operator} is {said}; a count is never below 0: write 0 or more"
        raise quality.error(message, limit.operator)
    if quality.unit == "percent" and max(parts) > 100:
        message = f"{limit.operator} is {said}; a share is from 0 to 100 percent"
        raise quality.error(message, limit.operator)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def find_operator(document: Document, where: Where, quality: dict[str, Any]) -> str:
    """The one operator of a rule; ContractError for none or several."""
    found = [operator for operator in OPERATORS if operator in quality]
    if len(found) != 1:
        message = f"a quality rule needs exactly one mustBe... operator; found {', '.join(found) or 'none'}"
        raise document.error(where, message)
    return found[0]


def literal(
    document: Document,
    where: Where,
    value: Any,
    column: Column,
    what: str,
    scratch: duckdb.DuckDBPyConnection,
) -> str:
    """``value`` as an SQL literal of the column's type; ContractError if it can't be read as one."""
    if column.sql_type == "VARCHAR" and (word := document.misread.get(where)):
        raise document.error(where, f"the {what} is {word}; put it in quotes, for {column.name} is a text")
    written = str(value).lower() if isinstance(value, bool) else str(value)
    reading = sql_types.from_text(column.sql_type, sql.text(written), timezone=column.timezone)
    [(read,)] = scratch.execute(f"SELECT CAST({reading} AS VARCHAR)").fetchall()
    if value is None or read is None:
        shown = "null" if value is None else repr(value)
        message = f"the {what} {shown} isn't {sql_types.expected(column.sql_type)}, which {column.name} is"
        raise document.error(where, message)
    return f"CAST({sql.text(str(read))} AS {column.sql_type})"


def check_names(document: Document, placed: Iterable[tuple[Where, Rule]]) -> None:
    """Refuse two rules of one name: a rule is known by it in checks, waivers and the quarantine."""
    names: set[str] = set()
    for where, rule in placed:
        if rule.name in TAKEN_NAMES:
            message = (
                f"the rule name {rule.name!r} is taken by a check of every source; give this rule another"
            )
            raise document.error(where, message)
        if rule.name in names:
            message = (
                f"the rule name {rule.name!r} is taken; give this rule another name, or remove one of the two"
            )
            raise document.error(where, message)
        names.add(rule.name)


def rule_name(quality: dict[str, Any], default: str) -> str:
    """The rule's own name made snake_case, else the default."""
    return snake(quality["name"]) or snake(default) if quality.get("name") else snake(default)


def snake(words: str) -> str:
    """``Brand is known`` and ``brandIsKnown`` as ``brand_is_known``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", words)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
