"""From an Open Data Contract Standard file to a Contract; what isn't enforced is refused here."""

import hashlib
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb

from ml_assets.contracts.columns import build_columns, check_bindings, source_columns
from ml_assets.contracts.contract import ROW_IDENTITY, Contract
from ml_assets.contracts.document import Document, Where, check_schema, known_keys, parse, standard
from ml_assets.contracts.errors import ContractError, nearest
from ml_assets.contracts.rules import OPERATORS, build_day_rules, build_row_rules, find_operator
from ml_assets.contracts.sql import TYPES

API_VERSION = "v3.2.0"
RESERVED = {*ROW_IDENTITY, "event_date", "original", "reasons"}
UNIT_SECONDS = {
    **dict.fromkeys(("s", "second", "seconds"), 1),
    **dict.fromkeys(("min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 604800),
}
LONGEST_LATENCY = timedelta(days=3650)
# Keys that promise something, and where the promise belongs instead.
NOT_ENFORCED = {
    "contract": {"slaDefaultElement": "name the element in slaProperties"},
    "schema": {"relationships": "say it in the description"},
    "property": {
        "partitioned": "events are partitioned by the day of occurred_at",
        "partitionKeyPosition": "events are partitioned by the day of occurred_at",
        "relationships": "say it in the description",
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
    "slaProperties": {
        "valueExt": "write one value",
        "schedule": "say it in the description",
        "scheduler": "say it in the description",
    },
}


def load(path: Path) -> Contract:
    """Read, check and compile a contract; ContractError names the place of the first thing wrong."""
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
    with duckdb.connect(":memory:") as scratch:
        scratch.execute("SET TimeZone = 'UTC'")
        columns = build_columns(document, scratch)
        check_columns(document)
        sources = source_columns(document, columns)
        check_bindings(document, columns, sources, scratch)
        primary_key = key_columns(document)
        row_rules = build_row_rules(document, columns, primary_key, scratch)
    return Contract(
        path=path,
        name=str(data.get("name") or data["id"]),
        version=data["version"],
        table=schemas[0]["name"],
        description=_description(data, schemas[0]),
        columns=columns,
        primary_key=primary_key,
        row_rules=row_rules,
        day_rules=build_day_rules(document, {rule.name for rule in row_rules}),
        latency=latency(document),
        source_columns=tuple(sources),
        source_types=tuple(sources.values()),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def check_keys(document: Document) -> None:
    """Refuse misspelt keys first, with the nearest right one; the schema's own message is of little help."""
    data = document.data
    document.check_keys((), data, known_keys(), "a contract")
    keys = {
        "schema": known_keys("SchemaObject", "SchemaElement"),
        "property": known_keys("SchemaBaseProperty", "SchemaElement") | {"items", "properties", "map"},
        "quality": known_keys("DataQuality", "DataQualityLibrary", "DataQualitySql", "DataQualityCustom")
        | set(OPERATORS),
        "slaProperties": known_keys("ServiceLevelAgreementProperty"),
    }
    for where, value, what in _elements(data):
        holder = "an slaProperties entry" if what == "slaProperties" else f"a {what}"
        document.check_keys(where, value, keys[what], holder)
        _check_word(document, where, value, what)


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
    if what == "quality" and "metric" in value:
        find_operator(document, where, value)


def _elements(data: dict[str, Any]) -> list[tuple[Where, dict[str, Any], str]]:
    """Every schema object, property, quality rule and SLA entry with its place, as far as well-formed."""
    found: list[tuple[Where, dict[str, Any], str]] = []

    def each(where: Where, holder: dict[str, Any], key: str, what: str) -> list[tuple[Where, dict[str, Any]]]:
        values = holder.get(key)
        items = values if isinstance(values, list) else []
        result = [((*where, key, at), item) for at, item in enumerate(items) if isinstance(item, dict)]
        found.extend((place, item, what) for place, item in result)
        return result

    for where, schema in each((), data, "schema", "schema"):
        each(where, schema, "quality", "quality")
        for place, prop in each(where, schema, "properties", "property"):
            each(place, prop, "quality", "quality")
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
    named = {prop["name"]: (at, prop) for at, prop in enumerate(properties)}
    if "occurred_at" not in named:
        message = (
            f"the property 'occurred_at' (when an event happened) is missing{nearest('occurred_at', named)}"
        )
        raise document.error(where, message)
    for name in ("occurred_at", "available_at"):
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


def latency(document: Document) -> timedelta:
    """The declared delivery delay: slaProperties' ``latency``, zero without one."""
    delay: timedelta | None = None
    table = document.data["schema"][0]["name"]
    names = [prop["name"] for prop in document.data["schema"][0]["properties"]]
    for at, entry in enumerate(document.data.get("slaProperties", [])):
        where: Where = ("slaProperties", at)
        if entry["property"] != "latency":
            message = f"{entry['property']!r} is not enforced by ml_assets; remove it, only 'latency' is"
            raise document.error((*where, "property"), message)
        if delay is not None:
            raise document.error(where, "latency is declared a second time; keep one")
        if "available_at" in names:
            message = "latency has no effect beside the property 'available_at'; remove one of them"
            raise document.error(where, message)
        if entry.get("element", "occurred_at") not in ("occurred_at", f"{table}.occurred_at"):
            message = f"element is {entry['element']!r}; latency counts from occurred_at: write 'occurred_at'"
            raise document.error((*where, "element"), message)
        delay = _delay(document, where, entry)
    return delay or timedelta(0)


def _delay(document: Document, where: Where, entry: dict[str, Any]) -> timedelta:
    unit, value = entry.get("unit", "none"), entry["value"]
    if unit not in UNIT_SECONDS:
        raise document.error((*where, "unit"), f"unit is {unit!r}{nearest(unit, UNIT_SECONDS)}")
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise document.error((*where, "value"), f"value is {value!r}; a number of 0 or more is expected")
    seconds = value * UNIT_SECONDS[unit]
    if not seconds <= LONGEST_LATENCY.total_seconds():
        raise document.error(
            (*where, "value"), f"a latency of {value} {unit} is more than 10 years; check the unit"
        )
    return timedelta(seconds=seconds)


def _description(data: dict[str, Any], schema: dict[str, Any]) -> str:
    whole = data.get("description", {})
    purpose = whole.get("purpose", "") if isinstance(whole, dict) else whole
    return str(schema.get("description") or purpose).strip()
