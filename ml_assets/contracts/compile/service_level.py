"""What ``slaProperties`` promise: latency, retention, freshness and frequency."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, cast

from ml_assets.contracts.compile.document import Document, Where
from ml_assets.contracts.compile.quality import SEVERITIES
from ml_assets.contracts.contract import ServiceRule, Severity
from ml_assets.contracts.errors import nearest

UNIT_SECONDS = {
    **dict.fromkeys(("s", "second", "seconds"), 1),
    **dict.fromkeys(("min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 604800),
    **dict.fromkeys(("y", "yr", "year", "years"), 365 * 86400),
}
ONE_DAY = timedelta(days=1)
LONGEST = timedelta(days=3650)
LONGEST_RETENTION = timedelta(days=36500)
PROPERTIES = ("latency", "freshness", "frequency", "retention")
SYNONYMS = {"ly": "latency", "fy": "frequency", "re": "retention"}


@dataclass(frozen=True)
class ServiceLevel:
    """The promises of ``slaProperties``; no retention keeps the days for ever."""

    latency: timedelta = timedelta(0)
    retention: timedelta | None = None
    retention_at: Where = ()
    rules: dict[Where, ServiceRule] = field(default_factory=dict)


def service_level(document: Document) -> ServiceLevel:
    """Read ``slaProperties``; ContractError for a promise that nothing keeps."""
    found: dict[str, timedelta] = {}
    places: dict[str, Where] = {}
    rules: dict[Where, ServiceRule] = {}
    for at, entry in enumerate(document.data.get("slaProperties", [])):
        where: Where = ("slaProperties", at)
        name = entry["property"].lower()
        name = SYNONYMS.get(name, name)
        if name not in PROPERTIES:
            message = f"{entry['property']!r} is not enforced by ml_assets{nearest(name, PROPERTIES)}"
            raise document.error((*where, "property"), message)
        if name in found:
            raise document.error(where, f"{name} is declared a second time; keep one")
        _check_element(document, where, entry, name)
        found[name] = _span(document, where, entry, name)
        places[name] = where
        severity = _severity(document, where, entry, name)
        if name in ("freshness", "frequency"):
            rules[where] = _rule(name, found[name], entry, severity)
    return ServiceLevel(
        latency=found.get("latency", timedelta(0)),
        retention=found.get("retention"),
        retention_at=places.get("retention", ()),
        rules=rules,
    )


def _check_element(document: Document, where: Where, entry: dict[str, Any], name: str) -> None:
    schema = document.data["schema"][0]
    if name == "latency" and any(prop["name"] == "available_at" for prop in schema["properties"]):
        message = "latency has no effect beside the property 'available_at'; remove one of them"
        raise document.error(where, message)
    known = ["occurred_at", f"{schema['name']}.occurred_at"]
    if name != "latency":
        known.append(schema["name"])
    if entry.get("element", "occurred_at") not in known:
        message = f"element is {entry['element']!r}; {name} counts from occurred_at: write 'occurred_at'"
        raise document.error((*where, "element"), message)


def _span(document: Document, where: Where, entry: dict[str, Any], name: str) -> timedelta:
    """The length of time that an entry names; whole days, one at least, but for latency."""
    unit, value = entry.get("unit", "none"), entry["value"]
    if unit not in UNIT_SECONDS:
        raise document.error((*where, "unit"), f"unit is {unit!r}{nearest(unit, UNIT_SECONDS)}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise document.error((*where, "value"), f"value is {value!r}; a number of 0 or more is expected")
    seconds = value * UNIT_SECONDS[unit]
    longest = LONGEST_RETENTION if name == "retention" else LONGEST
    if not seconds <= longest.total_seconds():
        message = f"a {name} of {value} {unit} is more than {longest.days // 365} years; check the unit"
        raise document.error((*where, "value"), message)
    span = timedelta(seconds=seconds)
    if name != "latency" and (span < ONE_DAY or span % ONE_DAY):
        message = f"a {name} of {value} {unit} isn't kept to the hour: files land per day"
        raise document.error((*where, "value"), f"{message}; write whole days, 1 or more")
    return span


def _severity(document: Document, where: Where, entry: dict[str, Any], name: str) -> Severity:
    """The severity in the entry's customProperties: the standard has no place of its own for it."""
    severity = "error"
    for at, custom in enumerate(entry.get("customProperties", [])):
        place: Where = (*where, "customProperties", at)
        if custom["property"] != "severity":
            message = f"{custom['property']!r} is not enforced by ml_assets; remove it, or write 'severity'"
            raise document.error((*place, "property"), message)
        if name not in ("freshness", "frequency"):
            message = f"severity has no effect on {name}: no check fails by it; remove it"
            raise document.error(place, message)
        if custom["value"] not in SEVERITIES:
            message = f"severity is {custom['value']!r}{nearest(custom['value'], SEVERITIES)}"
            raise document.error((*place, "value"), message)
        severity = custom["value"]
    return cast("Severity", severity)


def _rule(name: str, limit: timedelta, entry: dict[str, Any], severity: Severity) -> ServiceRule:
    days = f"{limit.days} day{'s' if limit.days > 1 else ''}"
    default = {
        "freshness": f"The newest landing file is at most {days} old.",
        "frequency": f"A landing file comes at least every {days}, closed days apart.",
    }[name]
    return ServiceRule(
        name=name,
        kind=cast("Literal['freshness', 'frequency']", name),
        limit=limit,
        severity=severity,
        description=str(entry.get("description") or default).strip(),
    )
