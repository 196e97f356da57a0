"""The hashes of what a contract says of its events: how columns are read, and which rows and days are refused.

What is prose, only warns, or is about the delivery is not in them.
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from ml_assets.contracts.compile.document import Document
from ml_assets.contracts.compile.quality import Quality
from ml_assets.contracts.compile.query import PLACEHOLDER
from ml_assets.contracts.contract import Closed, Column
from ml_assets.lake import sql
from ml_assets.lake.definition import changed, hash_of, syntax

READING = 1
"""How columns are read and rules are judged: raised by a release under which the same contract gives other rows."""
PROSE = (
    "id",
    "name",
    "description",
    "dimension",
    "severity",
    "businessImpact",
    "tags",
    "customProperties",
    "authoritativeDefinitions",
)
"""The keys of a quality entry or a relationship that say nothing of which rows it refuses."""
HASHED_OTHERWISE = ("format", "timezone", "defaultTimezone")
"""The keys of ``logicalTypeOptions`` that are about how a column is read, and not about which rows are refused."""

NO_READING = (
    "name",
    "logical_type",
    "description",
    "required",
    "primary_key",
    "unique",
    "expression",
    "logic",
)
"""The fields of a column that say nothing of how it is read, or say it in generated or unparsed SQL."""


def readings(columns: tuple[Column, ...], latency: timedelta) -> dict[str, str]:
    """Of every column of ``events``, by its name: where its values come from, and how they are read."""
    found = {column.name: hash_of(_reading(column)) for column in columns}
    if "available_at" not in found:
        found["available_at"] = hash_of(
            {"after": found["occurred_at"], "seconds": latency.total_seconds() or None}
        )
    return found


def _reading(column: Column) -> dict[str, Any]:
    facts = {name: value for name, value in changed(column).items() if name not in NO_READING}
    return {**facts, "logic": syntax(column.logic), "version": _but_first(READING)}


def promises(
    document: Document,
    columns: tuple[Column, ...],
    primary_key: tuple[str, ...],
    qualities: list[Quality],
    closed: Closed,
) -> dict[str, str]:
    """What decides which landed rows are events, by name: ``rules of <column>``, ``rules``, ``keys``."""
    schema = document.data["schema"][0]
    holders = [(f"rules of {c.name}", c, schema["properties"][at]) for at, c in enumerate(columns)]
    found: dict[str, Any] = {}
    for name, column, holder in [*holders, ("rules", None, schema)]:
        options = holder.get("logicalTypeOptions", {}) if column else {}
        found[name] = {
            "required": (column is not None and column.required) or None,
            "unique": (column is not None and column.unique) or None,
            "enum": holder.get("enum"),
            "options": {key: value for key, value in options.items() if key not in HASHED_OTHERWISE},
            "quality": list(_refusing([each for each in qualities if each.column is column], closed)),
            "relationships": [_without_prose(each) for each in holder.get("relationships", [])],
        }
    found["keys"] = {"columns": primary_key}
    empty = hash_of({})
    return {name: hashed for name, facts in found.items() if (hashed := hash_of(facts)) != empty}


def _refusing(qualities: list[Quality], closed: Closed) -> Iterator[dict[str, Any]]:
    """The rules that refuse rows or withhold days; of those that know closed days, with these."""
    for quality in qualities:
        if quality.severity("warning" if quality.kind == "custom" else "error") != "error":
            continue
        facts = _without_prose(quality.data)
        if "query" in facts:
            filled = PLACEHOLDER.sub(
                lambda found: sql.quote(found[0].strip("${}")), str(facts["query"]).strip().rstrip(";")
            )
            facts["query"] = syntax(filled)
        if (quality.kind == "custom" or quality.metric == "rowCount") and closed != Closed():
            facts["closed"] = {name: sorted(days) for name, days in asdict(closed).items()}
        yield facts


def _without_prose(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in PROSE}


def _but_first(version: int) -> int | None:
    """A version, unless it is the first, which is the default."""
    return version if version > 1 else None
