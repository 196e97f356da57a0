"""The rules judged once per day: counts, shares, references and queries."""

import re
from collections.abc import Iterator
from typing import Any

import duckdb

from ml_assets.contracts.compile.document import Document, Where
from ml_assets.contracts.compile.metrics import condition
from ml_assets.contracts.compile.quality import Quality, check, snake
from ml_assets.contracts.compile.query import checked_query
from ml_assets.contracts.compile.rules import duplicate_keys
from ml_assets.contracts.contract import OPERATORS, Column, DayRule, Limit
from ml_assets.contracts.errors import nearest

UPPER = ("mustBeLessThan", "mustBeLessOrEqualTo")
SHORTHAND = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*[.][A-Za-z_][A-Za-z0-9_-]*")
FORM = "`to: <source>.<column>`, for example products.product_id"

Placed = tuple[Where, DayRule]


def day_rules(
    document: Document,
    columns: tuple[Column, ...],
    primary_key: tuple[str, ...],
    qualities: list[Quality],
    scratch: duckdb.DuckDBPyConnection,
) -> Iterator[Placed]:
    """The quality entries that are no rule for rows, then the relationships."""
    for quality in qualities:
        if quality.kind == "sql":
            yield quality.where, _query_rule(quality, columns)
        elif quality.kind == "library" and not quality.refuses_rows:
            yield quality.where, _counting_rule(quality, columns, primary_key)
    yield from _reference_rules(document, columns, scratch)


def _counting_rule(quality: Quality, columns: tuple[Column, ...], primary_key: tuple[str, ...]) -> DayRule:
    if quality.metric == "duplicateValues":
        keys = duplicate_keys(quality, columns, primary_key)
        return _rule(
            quality,
            kind="duplicates",
            default=f"duplicate_{'_'.join(keys)}",
            subject=f"of a day's events repeat another one in {', '.join(keys)}",
            dimension="uniqueness",
            keys=keys,
        )
    if quality.column is not None:
        return _violations_rule(quality, quality.column)
    quality.arguments()
    if quality.metric == "rowCount":
        if quality.unit != "rows":
            raise quality.error("rowCount counts rows; write `unit: rows` or nothing", "unit")
        return _rule(quality, "rows", "row_count", "rows a day", "completeness")
    limit = quality.limit
    if limit.operator not in UPPER and not limit.allows_none(quality.unit):
        message = (
            f"{limit.operator} is no upper limit of refused rows; use mustBeLessThan or mustBeLessOrEqualTo"
        )
        raise quality.error(message, limit.operator)
    default = "refused_share" if quality.unit == "percent" else "refused_rows"
    return _rule(quality, "refused", default, "of a day's landed rows refused", "conformity")


def _violations_rule(quality: Quality, column: Column) -> DayRule:
    found = condition(quality, column)
    if column.personal and quality.metric != "nullValues":
        message = (
            f"{column.name} is personal and only its hash is kept, so that events can't be counted by its "
            "values; write `mustBe: 0`, which refuses rows before the hash is taken"
        )
        raise quality.error(message, quality.limit.operator)
    name = {"nullValues": "nulls", "missingValues": "missing", "invalidValues": "invalid"}[quality.metric]
    return _rule(
        quality,
        kind="violations",
        default=f"{column.name}_{name}",
        subject=f"of a day's events {found.broken}",
        dimension=found.dimension,
        violation=found.violation,
    )


def _query_rule(quality: Quality, columns: tuple[Column, ...]) -> DayRule:
    place = quality.column.name if quality.column else "query"
    number = quality.where[-1]
    return _rule(
        quality,
        kind="sql",
        default=f"{place}_rule_{int(number) + 1}",
        subject="as the query's number for a day's events",
        dimension="conformity",
        query=checked_query(quality, columns),
    )


def _rule(quality: Quality, kind: Any, default: str, subject: str, dimension: str, **parts: Any) -> DayRule:
    limit = quality.limit
    return DayRule(
        name=quality.name(default),
        kind=kind,
        limit=limit,
        unit="percent" if quality.unit == "percent" else "rows",
        severity=quality.severity(),
        description=quality.text("description", _sentence(limit, quality.unit, subject)),
        dimension=quality.text("dimension", dimension),
        column=quality.column.name if quality.column else None,
        **parts,
    )


def _sentence(limit: Limit, unit: str, subject: str) -> str:
    """``At most 5 percent of a day's events have no brand.``"""
    words = f"{limit} percent" if unit == "percent" else str(limit)
    return f"{words[0].upper()}{words[1:]} {subject}."


def check_relationship(document: Document, where: Where, entry: dict[str, Any]) -> None:
    """Refuse a relationship that isn't a foreign key in the shorthand notation."""
    of_property = "properties" in where
    if entry.get("type", "foreignKey") != "foreignKey":
        message = f"type is {entry['type']!r}; a relationship is a 'foreignKey': write that, or nothing"
        raise document.error((*where, "type"), message)
    if of_property and "from" in entry:
        message = "a relationship of a property starts at it; remove from, or move it to the schema entry"
        raise document.error((*where, "from"), message)
    for key in ("to",) if of_property else ("from", "to"):
        if key not in entry:
            expected = FORM if key == "to" else "the columns it starts at"
            message = f"a relationship needs the key {key!r}; expected {expected}"
            raise document.error(where, message)
        for written in _listed(entry[key]):
            if not (isinstance(written, str) and SHORTHAND.fullmatch(written)):
                message = (
                    f"{key} is {written!r}; ml_assets follows the shorthand with one dot only: write {FORM}"
                )
                raise document.error((*where, key), message)
        if len(set(_listed(entry[key]))) < len(_listed(entry[key])):
            raise document.error((*where, key), f"{key} names a column twice; name each once")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _reference_rules(
    document: Document, columns: tuple[Column, ...], scratch: duckdb.DuckDBPyConnection
) -> Iterator[Placed]:
    """The relationships of the properties and of the schema entry: foreign keys into another source."""
    schema = document.data["schema"][0]
    for at, column in enumerate(columns):
        for number, entry in enumerate(schema["properties"][at].get("relationships", [])):
            where: Where = ("schema", 0, "properties", at, "relationships", number)
            terms = _terms(document, where, entry, scratch)
            yield where, _reference(document, where, entry, (column.name,), terms)
    names = [column.name for column in columns]
    for number, entry in enumerate(schema.get("relationships", [])):
        where = ("schema", 0, "relationships", number)
        keys: list[str] = []
        for written in _listed(entry["from"]):
            table, name = written.split(".")
            if table != schema["name"]:
                message = f"from names {table!r}, and a relationship starts at its own schema"
                raise document.error((*where, "from"), f"{message}; write {schema['name']}.{name}")
            if name not in names:
                raise document.error((*where, "from"), f"no property {name!r}{nearest(name, names)}")
            keys.append(name)
        terms = _terms(document, where, entry, scratch)
        yield where, _reference(document, where, entry, tuple(keys), terms)


def _terms(
    document: Document, where: Where, entry: dict[str, Any], scratch: duckdb.DuckDBPyConnection
) -> Quality:
    """How many events may refer to nothing, and how bad it is; in the entry's customProperties, as of other rules.

    The standard has no place of its own for it. Without any, none may.
    """
    known = ("severity", "unit", *OPERATORS)
    found: dict[str, Any] = {}
    for at, custom in enumerate(entry.get("customProperties", [])):
        name, place = custom["property"], (*where, "customProperties", at)
        if name not in known:
            message = f"{name!r} of a relationship is not enforced by ml_assets{nearest(name, known)}"
            raise document.error((*place, "property"), message)
        if name in found:
            raise document.error(place, f"{name} is there a second time; keep one of the two")
        found[name] = custom["value"]
    limit = {} if found.keys() & set(OPERATORS) else {"mustBe": 0}
    terms = Quality(document, where, {"metric": "invalidValues", **limit, **found}, None, scratch)
    check(terms)
    return terms


def _reference(
    document: Document, where: Where, entry: dict[str, Any], keys: tuple[str, ...], terms: Quality
) -> DayRule:
    to = [written.split(".") for written in _listed(entry["to"])]
    sources = sorted({source for source, _ in to})
    if len(sources) > 1:
        message = (
            f"to names the sources {' and '.join(sources)}; a relationship leads to one: write two of them"
        )
        raise document.error((*where, "to"), message)
    [source] = sources
    if source == document.data["schema"][0]["name"]:
        message = f"to names {source!r}, the schema itself; events are held against another source's only"
        raise document.error((*where, "to"), f"{message}: name one, or write an sql rule")
    if len(keys) != len(to):
        message = f"the relationship starts at {len(keys)} columns and leads to {len(to)}"
        raise document.error((*where, "to"), f"{message}; name as many, in the same order")
    shown, own = ", ".join(f"{source}.{column}" for _, column in to), ", ".join(keys)
    limit = terms.limit
    description = f"Every {own} that is there is found as {shown}."
    if not limit.allows_none(terms.unit):
        description = _sentence(limit, terms.unit, f"of a day's events have a {own} not found as {shown}")
    return DayRule(
        name=snake(entry.get("id") or f"{'_'.join(keys)}_in_{source}"),
        kind="reference",
        limit=limit,
        unit="percent" if terms.unit == "percent" else "rows",
        severity=terms.severity(),
        description=description,
        dimension="consistency",
        column=keys[0] if len(keys) == 1 else None,
        keys=keys,
        to=source,
        to_keys=tuple(column for _, column in to),
    )
