"""The days on which a source expects nothing: the custom property ``closedDays``."""

import difflib
import re
from datetime import date
from typing import Any

from ml_assets.contracts.compile.document import Document, Where
from ml_assets.contracts.contract import Closed
from ml_assets.contracts.errors import nearest

PROPERTY = "closedDays"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FORMS = "expected a weekday (sunday), a day of every year (12-25) or a date (2017-11-23)"


def closed_days(document: Document) -> Closed:
    """The contract's closed days; ContractError for one that can't be read, or a misspelt property."""
    _refuse_elsewhere(document)
    found: Closed | None = None
    for at, entry in enumerate(document.data.get("customProperties", [])):
        where: Where = ("customProperties", at)
        name = entry["property"]
        if name != PROPERTY:
            if _resembles(name):
                message = f"the custom property is {name!r}; did you mean {PROPERTY!r}?"
                raise document.error((*where, "property"), message)
            continue
        if found is not None:
            raise document.error(where, f"{PROPERTY} is there a second time; keep one")
        found = _read(document, (*where, "value"), entry["value"])
    return found or Closed()


def _resembles(name: str) -> bool:
    folded = re.sub(r"[^a-z]", "", name.lower())
    return bool(difflib.get_close_matches(folded, [PROPERTY.lower()], cutoff=0.8))


def _refuse_elsewhere(document: Document) -> None:
    schema = document.data["schema"][0]
    holders: list[tuple[Where, dict[str, Any]]] = [(("schema", 0), schema)]
    holders += [
        (("schema", 0, "properties", at), prop) for at, prop in enumerate(schema.get("properties", []))
    ]
    for where, holder in holders:
        for at, entry in enumerate(holder.get("customProperties", [])):
            if _resembles(entry["property"]):
                message = (
                    f"{entry['property']!r} has no effect here; write {PROPERTY} in the customProperties"
                )
                raise document.error(
                    (*where, "customProperties", at), f"{message} at the top level of the contract"
                )


def _read(document: Document, where: Where, value: Any) -> Closed:
    if not isinstance(value, list) or not value:
        raise document.error(where, f"{PROPERTY} is {value!r}; a list is expected; of its entries, {FORMS}")
    weekdays: set[int] = set()
    yearly: set[tuple[int, int]] = set()
    dates: set[date] = set()
    for at, item in enumerate(value):
        written = str(item).strip().lower()
        if written in WEEKDAYS:
            weekdays.add(WEEKDAYS.index(written))
        elif re.fullmatch(r"\d{2}-\d{2}", written):
            in_a_leap_year = _date(document, (*where, at), item, f"2000-{written}")
            yearly.add((in_a_leap_year.month, in_a_leap_year.day))
        elif re.fullmatch(r"\d{4}-\d{2}-\d{2}", written):
            dates.add(_date(document, (*where, at), item, written))
        else:
            near = difflib.get_close_matches(written, WEEKDAYS, n=1)
            hint = nearest(written, WEEKDAYS) if near else f"; {FORMS}"
            raise document.error((*where, at), f"the closed day is {item!r}{hint}")
    if len(weekdays) == len(WEEKDAYS):
        raise document.error(where, "all seven weekdays are closed, so that no day would be judged; open one")
    return Closed(frozenset(weekdays), frozenset(yearly), frozenset(dates))


def _date(document: Document, where: Where, item: Any, written: str) -> date:
    try:
        return date.fromisoformat(written)
    except ValueError as error:
        raise document.error(where, f"the closed day {item!r} is in no calendar; {FORMS}") from error
