"""From an Open Data Contract Standard file to a Contract; what isn't enforced is refused here."""

import hashlib
from collections.abc import Collection
from datetime import timedelta
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from ml_assets.contracts.compile.closed import closed_days
from ml_assets.contracts.compile.columns import TIMES, build_columns, check_bindings, source_columns
from ml_assets.contracts.compile.day_rules import check_relationship, day_rules
from ml_assets.contracts.compile.definitions import promises, readings
from ml_assets.contracts.compile.document import Document, Where, check_schema, known_keys, parse, standard
from ml_assets.contracts.compile.quality import Quality, check_names, entries, find_operator
from ml_assets.contracts.compile.rules import row_rules
from ml_assets.contracts.compile.service_level import ServiceLevel, service_level
from ml_assets.contracts.compile.sql_types import TYPES
from ml_assets.contracts.compile.trend_rules import trend_rules
from ml_assets.contracts.contract import (
    OPERATORS,
    ROW_IDENTITY,
    Column,
    Contract,
    DayRule,
    RowRule,
    TrendRule,
)
from ml_assets.contracts.errors import ContractError, nearest
from ml_assets.lake import engine

API_VERSION = "v3.2.0"
RESERVED = {*ROW_IDENTITY, "event_date", "original", "reasons"}
# Keys that promise something, and where the promise belongs instead.
NOT_ENFORCED = {
    "contract": {"slaDefaultElement": "name the element in slaProperties"},
    "schema": {},
    "property": {
        "partitioned": "events are partitioned by the day of occurred_at",
        "partitionKeyPosition": "events are partitioned by the day of occurred_at",
        "encryptedName": "land the encrypted column as a property of its own",
        "items": "use a flat column",
        "properties": "use flat columns",
        "map": "use flat columns",
    },
    "quality": {
        "method": "say it in the description",
        "rule": "write metric",
        "schedule": "rules are judged whenever events are built",
        "scheduler": "rules are judged whenever events are built",
    },
    "relationship": {},
    "slaProperties": {
        "valueExt": "write one value",
        "schedule": "say it in the description",
        "scheduler": "say it in the description",
    },
}


def load_contract(path: Path) -> Contract:
    """Read, check and compile a contract file.

    Raises ContractError, naming file, line and column, for anything that isn't in the standard, that
    contradicts itself, or that promises what isn't enforced.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        message = (
            f"the contract can't be read ({error.strerror}); check `contract:` in the source's defs.yaml"
        )
        raise ContractError(path, message) from error
    return _compiled(path, content)


@lru_cache(maxsize=32)
def _compiled(path: Path, content: bytes) -> Contract:
    document = parse(path, content)
    check_keys(document)
    check_schema(document)
    data = document.data
    if data["apiVersion"] != API_VERSION:
        message = f"apiVersion is {data['apiVersion']!r}; expected {API_VERSION!r}"
        raise document.error(("apiVersion",), message)
    schemas = data.get("schema", [])
    if len(schemas) != 1:
        message = (
            f"schema has {len(schemas)} entries, exactly 1 expected; a source has one contract of its own"
        )
        raise document.error(("schema",), message)
    refuse_promises(document)
    with engine.scratch() as scratch:
        columns = build_columns(document, scratch)
        check_columns(document)
        sources = source_columns(document, columns)
        check_bindings(document, columns, sources, scratch)
        primary_key = key_columns(document)
        level = service_level(document)
        rules = build_rules(document, columns, primary_key, level, scratch)
    check_retention(document, level, rules.trends)
    closed = closed_days(document)
    return Contract(
        path=path,
        name=str(data.get("name") or data["id"]),
        version=data["version"],
        table=schemas[0]["name"],
        description=_description(data, schemas[0]),
        columns=columns,
        primary_key=primary_key,
        row_rules=rules.rows,
        day_rules=rules.days,
        trend_rules=rules.trends,
        service_rules=tuple(level.rules.values()),
        latency=level.latency,
        retention=level.retention,
        closed=closed,
        source_columns=tuple(sources),
        source_types=tuple(sources.values()),
        sha256=hashlib.sha256(content).hexdigest(),
        readings=readings(columns, level.latency),
        promises=promises(document, columns, primary_key, rules.qualities, closed),
    )


class Rules(NamedTuple):
    """The rules of a contract about its events."""

    rows: tuple[RowRule, ...]
    days: tuple[DayRule, ...]
    trends: tuple[TrendRule, ...]
    qualities: list[Quality]
    """The entries of ``quality`` that some of them come from."""


def build_rules(
    document: Document,
    columns: tuple[Column, ...],
    primary_key: tuple[str, ...],
    level: ServiceLevel,
    scratch: duckdb.DuckDBPyConnection,
) -> Rules:
    """Compile every rule; ContractError if one can't be enforced, or if two have one name."""
    qualities = entries(document, columns, scratch)
    rows = list(row_rules(document, columns, primary_key, qualities, scratch))
    days = list(day_rules(document, columns, primary_key, qualities, scratch))
    trends = list(trend_rules(qualities, primary_key))
    check_names(document, [*rows, *days, *trends, *level.rules.items()])
    return Rules(
        tuple(rule for _, rule in rows),
        tuple(rule for _, rule in days),
        tuple(rule for _, rule in trends),
        qualities,
    )


def check_retention(document: Document, level: ServiceLevel, trends: tuple[TrendRule, ...]) -> None:
    """Refuse to delete days that a trend rule still looks at."""
    for rule in trends:
        if level.retention is not None and level.retention < timedelta(weeks=rule.weeks, days=1):
            message = (
                f"days are kept for {level.retention.days} days, but {rule.name} looks {rule.weeks} weeks back; "
                "keep them longer, or look back less"
            )
            raise document.error((*level.retention_at, "value"), message)


def check_keys(document: Document) -> None:
    """Refuse misspelt keys first, with the nearest right one; the schema's own message is of little help."""
    data = document.data
    document.check_keys((), data, known_keys(), "a contract")
    keys = {
        "schema": known_keys("SchemaObject", "SchemaElement"),
        "property": known_keys("SchemaBaseProperty", "SchemaElement") | {"items", "properties", "map"},
        "quality": known_keys("DataQuality", "DataQualityLibrary", "DataQualitySql", "DataQualityCustom")
        | set(OPERATORS),
        "relationship": known_keys("RelationshipBase"),
        "slaProperties": known_keys("ServiceLevelAgreementProperty"),
    }
    if isinstance(data.get("description"), dict):
        known = set(standard()["properties"]["description"]["properties"])
        document.check_keys(("description",), data["description"], known, "the description of a contract")
    for where, value, what in _elements(data):
        holder = "an slaProperties entry" if what == "slaProperties" else f"a {what}"
        document.check_keys(where, value, keys[what], holder)
        if what in ("schema", "property", "quality"):
            _check_custom(document, where, value, keys[what], what)
        _check_word(document, where, value, what)


def _check_custom(
    document: Document, where: Where, value: dict[str, Any], known: Collection[str], what: str
) -> None:
    """Refuse a custom property that says what a key of its holder would: nothing reads it there."""
    listed = value.get("customProperties")
    for at, entry in enumerate(listed if isinstance(listed, list) else []):
        name = entry.get("property") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            continue
        near = name if name in known else next(iter(get_close_matches(name, known, 1, 0.8)), None)
        if near is not None or what == "quality":
            instead = f"write the key {near!r}" if near else "say it in the description"
            message = f"the custom property {name!r} of a {what} entry has no effect; {instead} instead"
            raise document.error((*where, "customProperties", at), message)


def _check_word(document: Document, where: Where, value: dict[str, Any], what: str) -> None:
    """What the standard's other demands hang on: a property's type, a rule's metric and operator."""
    if what == "property" and "logicalType" not in value:
        known = ", ".join(TYPES)
        message = f"the property {value.get('name')!r} has no logicalType; expected one of {known}"
        raise document.error(where, message)
    metrics = standard()["$defs"]["DataQualityLibrary"]["properties"]["metric"]["enum"]
    if what == "quality" and value.get("metric", metrics[0]) not in metrics:
        message = f"metric is {value['metric']!r}{nearest(value['metric'], metrics)}"
        raise document.error((*where, "metric"), message)
    if what == "relationship":
        check_relationship(document, where, value)
    if what == "quality" and ("metric" in value or value.get("type") == "sql"):
        find_operator(document, where, value)


def _elements(data: dict[str, Any]) -> list[tuple[Where, dict[str, Any], str]]:
    """Every schema object, property, quality rule, relationship and SLA entry with its place, as far as well-formed."""
    found: list[tuple[Where, dict[str, Any], str]] = []

    def each(where: Where, holder: dict[str, Any], key: str, what: str) -> list[tuple[Where, dict[str, Any]]]:
        values = holder.get(key)
        items = values if isinstance(values, list) else []
        result = [((*where, key, at), item) for at, item in enumerate(items) if isinstance(item, dict)]
        found.extend((place, item, what) for place, item in result)
        return result

    for where, schema in each((), data, "schema", "schema"):
        each(where, schema, "quality", "quality")
        each(where, schema, "relationships", "relationship")
        for place, prop in each(where, schema, "properties", "property"):
            each(place, prop, "quality", "quality")
            each(place, prop, "relationships", "relationship")
    each((), data, "slaProperties", "slaProperties")
    return found


def refuse_promises(document: Document) -> None:
    """Refuse keys whose promise nothing keeps."""
    for where, value, what in [((), document.data, "contract"), *_elements(document.data)]:
        for key, instead in NOT_ENFORCED[what].items():
            if key in value:
                message = f"{key!r} is not enforced by ml_assets; remove it ({instead})"
                raise document.error((*where, key), message)
        if what == "property" and value.get("semanticType", "column") == "measure":
            message = "semanticType 'measure' is not enforced by ml_assets; remove it, and use a feature"
            raise document.error((*where, "semanticType"), message)


def check_columns(document: Document) -> None:
    """Names that mean something to the tables: reserved ones, ``occurred_at`` and ``available_at``."""
    where: Where = ("schema", 0, "properties")
    properties = document.data["schema"][0].get("properties", [])
    for at, prop in enumerate(properties):
        if prop["name"].lower() in RESERVED:
            message = (
                f"the property name {prop['name']!r} is taken by a column that every table gets; rename it"
            )
            raise document.error((*where, at, "name"), message)
        if prop["name"].lower() in TIMES and prop["name"] not in TIMES:
            message = f"the property name {prop['name']!r} is written {prop['name'].lower()!r}; rename it"
            raise document.error((*where, at, "name"), message)
    named = {prop["name"]: (at, prop) for at, prop in enumerate(properties)}
    if "occurred_at" not in named:
        message = (
            f"the property 'occurred_at' (when an event happened) is missing{nearest('occurred_at', named)}"
        )
        raise document.error(where, message)
    for name in TIMES:
        at, prop = named.get(name, (0, None))
        if prop is not None and not (prop["logicalType"] == "timestamp" and prop.get("required", False)):
            message = f"the property {name!r} must have logicalType timestamp and required true"
            raise document.error((*where, at), message)


def key_columns(document: Document) -> tuple[str, ...]:
    """The primary key in the order of primaryKeyPosition, else of the file."""
    keys = []
    for at, prop in enumerate(document.data["schema"][0]["properties"]):
        position = prop.get("primaryKeyPosition", -1)
        if prop.get("primaryKey", False):
            keys.append((position if position > 0 else at + 1, at, prop["name"]))
        elif position > 0:
            message = (
                f"{prop['name']!r} has a primaryKeyPosition but primaryKey isn't true; set it or remove both"
            )
            raise document.error(("schema", 0, "properties", at, "primaryKeyPosition"), message)
    return tuple(name for _, _, name in sorted(keys))


def _description(data: dict[str, Any], schema: dict[str, Any]) -> str:
    whole = data.get("description", {})
    purpose = whole.get("purpose", "") if isinstance(whole, dict) else whole
    return str(schema.get("description") or purpose).strip()
