"""The typed columns of a contract, and the landing columns they read."""

import difflib
import re
from typing import Any, get_args

import duckdb

from ml_assets.contracts.compile import sql_types
from ml_assets.contracts.compile.document import Document, Where
from ml_assets.contracts.compile.quality import snake
from ml_assets.contracts.compile.time_formats import check_format, strptime_format
from ml_assets.contracts.contract import ROW_IDENTITY, SEEN_AT, Column
from ml_assets.contracts.errors import nearest
from ml_assets.lake import sql, syntax

PROPERTIES: Where = ("schema", 0, "properties")
PERSONAL = "personal"
AMBIGUOUS = "ambiguous"
TIMES = ("occurred_at", "available_at")


def build_columns(document: Document, scratch: duckdb.DuckDBPyConnection) -> tuple[Column, ...]:
    """One Column per property, in the order of the file."""
    properties = document.data["schema"][0].get("properties", [])
    seen: dict[str, str] = {}
    spelling = {
        name.lower(): name for name in (_landing_name(prop) for prop in properties) if name is not None
    }
    columns = []
    for at, prop in enumerate(properties):
        where: Where = (*PROPERTIES, at)
        if "name" not in prop:
            raise document.error(where, "a property needs a name")
        name = prop["name"]
        if name.lower() in seen:
            message = f"the property {name!r} has the name of {seen[name.lower()]!r} (case doesn't count)"
            raise document.error((*where, "name"), f"{message}; rename one of them")
        if name.lower() in SEEN_AT:
            message = f"the property name {name!r} is taken by a column of the row's way into the tables"
            raise document.error((*where, "name"), f"{message}; rename it")
        if sql.is_reserved(name):
            message = f"the property name {name!r} is taken: columns that queries make begin so"
            raise document.error((*where, "name"), f"{message}; leave {sql.RESERVED_PREFIX!r} off")
        if not re.fullmatch(r"\w+", name, re.ASCII):
            message = f"the property name {name!r} names checks, so it has letters, digits and _ alone"
            raise document.error(
                (*where, "name"),
                f"{message}; write name: {snake(name) or f'column_{at}'}, and physicalName: {name!r}",
            )
        seen[name.lower()] = name
        columns.append(_column(document, where, prop, spelling, scratch))
    _check_apart(document, columns)
    return tuple(columns)


def _check_apart(document: Document, columns: list[Column]) -> None:
    """Refuse a landing column whose value a personal column hides and another column shows."""
    personal: dict[str, str] = {}
    for column in columns:
        if column.personal:
            personal |= {source.lower(): column.name for source in column.sources}
    for at, column in enumerate(columns):
        for source in () if column.personal else column.sources:
            if source.lower() in personal:
                message = (
                    f"{column.name!r} reads the landing column {source!r}, as the personal column "
                    f"{personal[source.lower()]!r} does, and would show what that one hides; "
                    f"give {column.name!r} `classification: {PERSONAL}` too, or let it read another column"
                )
                raise document.error((*PROPERTIES, at), message)


def _landing_name(prop: dict[str, Any]) -> str | None:
    return prop.get("physicalName", None if "transformLogic" in prop else prop.get("name"))


def _column(
    document: Document,
    where: Where,
    prop: dict[str, Any],
    spelling: dict[str, str],
    scratch: duckdb.DuckDBPyConnection,
) -> Column:
    logical = prop.get("logicalType")
    if logical not in sql_types.TYPES:
        known = ", ".join(sql_types.TYPES)
        message = f"the property {prop['name']!r} has logicalType {logical!r}; expected one of {known}"
        raise document.error((*where, "logicalType"), message)
    try:
        sql_type = sql_types.physical_type(logical, prop.get("physicalType"))
    except ValueError as error:
        raise document.error((*where, "physicalType"), str(error)) from error
    options = _type_options(document, where, prop, logical, scratch)
    logic = prop.get("transformLogic")
    if logic is None:
        sources: tuple[str, ...] = (spelling[str(_landing_name(prop)).lower()],)
        text = f"CAST({sql.quote(sources[0])} AS VARCHAR)"
        expression = sql_types.from_text(sql_type, text, **options)
    else:
        sources = _read_by(document, where, prop, logic, spelling)
        expression = sql_types.within_range(
            sql_type, f"struct_extract({sql_types.attempt(prop['name'], logic, sources, sql_type)}, 'value')"
        )
    return Column(
        name=prop["name"],
        sources=sources,
        sql_type=sql_type,
        logical_type=logical,
        description=str(prop.get("description") or prop.get("businessName") or "").strip(),
        required=bool(prop.get("required", False) or prop.get("primaryKey", False)),
        primary_key=bool(prop.get("primaryKey", False)),
        unique=bool(prop.get("unique", False)),
        expression=expression,
        logic=logic,
        personal=_personal(document, where, prop),
        **options,
    )


def _personal(document: Document, where: Where, prop: dict[str, Any]) -> bool:
    """Whether the classification says personal; a word that only looks as if it did is refused."""
    word = str(prop.get("classification", ""))
    folded = " ".join(word.casefold().split())
    place: Where = (*where, "classification")
    if folded == PERSONAL:
        if prop["name"] in TIMES:
            message = f"{prop['name']!r} can't be {PERSONAL}: the order of events hangs on it; remove it here"
            raise document.error(place, message)
        return True
    near = bool(difflib.get_close_matches(folded, [PERSONAL], cutoff=0.75)) or folded.startswith(PERSONAL)
    if folded == "pii" or (near and not folded.startswith(("non", "not", "im"))):
        message = (
            f"classification is {word!r}; write {PERSONAL} to keep the column as a keyed hash only, "
            "or a word that is less like it"
        )
        raise document.error(place, message)
    return False


def _type_options(
    document: Document, where: Where, prop: dict[str, Any], logical: str, scratch: duckdb.DuckDBPyConnection
) -> dict[str, Any]:
    """How text is read as a time: zone, format, and whether an offset must be written."""
    options = prop.get("logicalTypeOptions", {})
    place: Where = (*where, "logicalTypeOptions")
    for key, instead in (
        ("multipleOf", "say it in the description"),
        ("format", _INSTEAD_OF_FORMAT.get(logical)),
    ):
        if key in options and instead:
            message = f"logicalTypeOptions.{key} is not enforced by ml_assets; remove it, or {instead}"
            raise document.error((*place, key), message)
    result: dict[str, Any] = {}
    if "format" in options:
        try:
            check_format(options["format"])
        except ValueError as error:
            raise document.error((*place, "format"), str(error)) from error
        result["time_format"] = options["format"]
    if "transformLogic" in prop and options.keys() & {"format", "timezone", "defaultTimezone"}:
        message = (
            "format, timezone and defaultTimezone have no effect beside transformLogic; say it there in SQL"
        )
        raise document.error(place, message)
    if options.get("timezone", False):
        if "defaultTimezone" in options:
            message = (
                "defaultTimezone has no effect where timezone is true (times carry their own); remove one"
            )
            raise document.error((*place, "defaultTimezone"), message)
        if "format" in options and "%z" not in strptime_format(options["format"]):
            message = (
                f"timezone is true but format {options['format']!r} has no offset; add XXX or remove timezone"
            )
            raise document.error((*place, "format"), message)
        result["offset_required"] = True
    if "defaultTimezone" in options:
        zone = options["defaultTimezone"]
        known = [str(row[0]) for row in scratch.execute("SELECT name FROM pg_timezone_names()").fetchall()]
        if zone not in known:
            hint = (
                nearest(zone, known)
                if len(nearest(zone, known)) < 80
                else "; expected a name like Europe/London"
            )
            raise document.error((*place, "defaultTimezone"), f"there is no time zone {zone!r}{hint}")
        result["timezone"] = zone
    return result | _ambiguous(document, where, prop, result.get("timezone", "UTC"))


def _ambiguous(document: Document, where: Where, prop: dict[str, Any], zone: str) -> dict[str, Any]:
    """What becomes of local times that occur twice or never: a custom property, for the standard has no word for it."""
    result: dict[str, Any] = {}
    for at, custom in enumerate(prop.get("customProperties", [])):
        place: Where = (*where, "customProperties", at)
        if custom["property"] != AMBIGUOUS:
            continue
        if custom["value"] not in get_args(sql_types.Ambiguous):
            known = get_args(sql_types.Ambiguous)
            message = f"{AMBIGUOUS} is {custom['value']!r}{nearest(custom['value'], known)}"
            raise document.error((*place, "value"), message)
        if zone in sql_types.CLOCKS_OF_ONE_OFFSET:
            message = (
                f"{AMBIGUOUS} is about times of a zone whose clocks are put back; name it as defaultTimezone"
            )
            raise document.error(place, message)
        result["ambiguous"] = custom["value"]
    return result


_INSTEAD_OF_FORMAT = {
    "string": "use logicalTypeOptions.pattern",
    "integer": "use physicalType",
    "number": "use physicalType",
}


def _read_by(
    document: Document,
    where: Where,
    prop: dict[str, Any],
    logic: str,
    spelling: dict[str, str],
) -> tuple[str, ...]:
    """The landing columns a transformLogic names, in order of appearance."""
    place: Where = (*where, "transformLogic")
    try:
        named = syntax.columns(logic)
    except ValueError as error:
        raise document.error(place, f"transformLogic {error}") from error
    names: dict[str, str] = {}
    for name in named:
        names.setdefault(name.lower(), spelling.setdefault(name.lower(), name))
    if not names:
        raise document.error(place, "transformLogic names no landing column; expected at least one")
    landing = prop.get("physicalName")
    if landing is not None and landing.lower() not in names:
        message = (
            f"transformLogic doesn't read physicalName {landing!r}; name it there or remove physicalName"
        )
        raise document.error((*where, "physicalName"), message)
    return tuple(names.values())


def source_columns(document: Document, columns: tuple[Column, ...]) -> dict[str, str]:
    """The landing columns in order of first use, with their types in a Parquet file."""
    types: dict[str, str] = {}
    spelling: dict[str, str] = {}
    for column in columns:
        for source in column.sources:
            spelling.setdefault(source.lower(), source)
    for at, column in enumerate(columns):
        if column.logic is not None:
            continue
        source = column.sources[0]
        if types.setdefault(source, column.sql_type) != column.sql_type:
            message = (
                f"the landing column {source!r} is read as {types[source]} and here as {column.sql_type}; "
                "give one of the two a transformLogic"
            )
            raise document.error((*PROPERTIES, at), message)
    for source in spelling.values():
        if source.lower() in ROW_IDENTITY | SEEN_AT:
            message = f"the landing column name {source!r} is taken by a column that every table gets"
            raise document.error(PROPERTIES, message)
    return {source: types.get(source, "VARCHAR") for source in spelling.values()}


def check_bindings(
    document: Document,
    columns: tuple[Column, ...],
    sources: dict[str, str],
    scratch: duckdb.DuckDBPyConnection,
) -> None:
    """Refuse a transformLogic that binds neither to a CSV file's texts nor to a Parquet file's types."""
    for at, column in enumerate(columns):
        if column.logic is None:
            continue
        problems = []
        for types in (dict.fromkeys(sources, "VARCHAR"), sources):
            fields = ", ".join(f"CAST(NULL AS {kind}) AS {sql.quote(name)}" for name, kind in types.items())
            try:
                scratch.execute(f"SELECT {column.expression} FROM (SELECT {fields})")
            except duckdb.Error as error:
                problems.append(str(error).splitlines()[0])
        if len(problems) == 2:
            message = f"transformLogic doesn't give {column.sql_type}: {problems[0]}"
            raise document.error((*PROPERTIES, at, "transformLogic"), message)
