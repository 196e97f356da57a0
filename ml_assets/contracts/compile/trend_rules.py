"""Rules that compare a day with the days before it: quality entries of type ``custom``, engine ``ml_assets``."""

import math
from collections.abc import Iterator
from typing import Any, Literal, cast

from ml_assets.contracts.compile.document import Where
from ml_assets.contracts.compile.quality import Quality
from ml_assets.contracts.contract import TrendRule
from ml_assets.contracts.errors import nearest

TRENDS: dict[str, dict[str, int | float]] = {
    "volume": {"weeks": 8, "low": 0.6, "high": 1.7},
    "nulls": {"weeks": 4, "high": 0.05},
    "categories": {"weeks": 4, "high": 0.01},
    "repeats": {"weeks": 4},
}
OF_A_PROPERTY = ("nulls", "categories")
MOST_WEEKS = 104
DIMENSIONS = {
    "volume": "completeness",
    "nulls": "completeness",
    "categories": "consistency",
    "repeats": "uniqueness",
}

Placed = tuple[Where, TrendRule]


def trend_rules(qualities: list[Quality], primary_key: tuple[str, ...]) -> Iterator[Placed]:
    """The trend rules in the order they are written."""
    for quality in qualities:
        if quality.kind == "custom":
            yield quality.where, _rule(quality, primary_key)


def _rule(quality: Quality, primary_key: tuple[str, ...]) -> TrendRule:
    given = quality.data["implementation"]
    kind = _kind(quality, given)
    if kind == "repeats" and not primary_key:
        raise quality.error("repeats needs a primary key to know an event by; give the contract one")
    options = {**TRENDS[kind], **{key: value for key, value in given.items() if key != "trend"}}
    for key, value in options.items():
        _check_option(quality, kind, key, value)
    low, high = options.get("low", 0), options.get("high", 0)
    if kind == "volume" and not low < high:
        raise quality.error(f"low {low} isn't below high {high}; correct one of them", "implementation")
    column = quality.column.name if quality.column else None
    weeks = int(options["weeks"])
    return TrendRule(
        name=quality.name(f"{column}_{kind}_trend" if column else f"{kind}_trend"),
        kind=cast("Literal['volume', 'nulls', 'categories', 'repeats']", kind),
        column=column,
        keys=primary_key if kind == "repeats" else (),
        weeks=weeks,
        low=float(low),
        high=float(high),
        severity=quality.severity("warning"),
        description=quality.text("description", _description(kind, column, weeks, low, high)),
        dimension=quality.text("dimension", DIMENSIONS[kind]),
    )


def _kind(quality: Quality, given: Any) -> str:
    """Which trend it is, and that it stands where it belongs and has no other keys."""
    if not isinstance(given, dict) or "trend" not in given:
        message = "implementation is a mapping with the key 'trend', for example {trend: volume}"
        raise quality.error(f"{message}; trends are {', '.join(TRENDS)}", "implementation")
    kind = str(given["trend"])
    if kind not in TRENDS:
        raise quality.error(f"trend is {kind!r}{nearest(kind, TRENDS)}", "implementation", "trend")
    if (kind in OF_A_PROPERTY) != (quality.column is not None):
        place = "a property" if kind in OF_A_PROPERTY else "the schema entry"
        message = f"the trend {kind!r} belongs into the quality of {place}; move it there"
        raise quality.error(message, "implementation", "trend")
    for key in given:
        if key != "trend" and key not in TRENDS[kind]:
            hint = nearest(key, ["trend", *TRENDS[kind]])
            raise quality.error(f"the trend {kind!r} has no {key!r}{hint}", "implementation", key)
    return kind


def _check_option(quality: Quality, kind: str, key: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if key == "weeks":
        fits = number and isinstance(value, int) and 1 <= value <= MOST_WEEKS
        wanted = f"whole weeks from 1 to {MOST_WEEKS}"
    elif kind != "volume":
        fits, wanted = number and 0 <= value < 1, "a share from 0 to less than 1"
    elif key == "low":
        fits, wanted = number and 0 <= value < 1, "a multiple of the usual from 0 to less than 1"
    else:
        fits, wanted = number and value > 1, "a multiple of the usual of more than 1"
    if not fits:
        raise quality.error(f"{key} is {value!r}; {wanted} is expected", "implementation", key)


def _description(kind: str, column: str | None, weeks: int, low: float, high: float) -> str:
    before = f"the {weeks} weeks before" if weeks > 1 else "the week before"
    return {
        "volume": f"A day has {low:g} to {high:g} times the events usual for its weekday in {before}.",
        "nulls": f"{column} is empty in a share of events at most {high:g} above that of {before}.",
        "categories": f"No value of {column} with more than {100 * high:g} percent of the events appears that "
        f"wasn't there in {before}, and none goes.",
        "repeats": f"No event of a day is one of {before} again.",
    }[kind]
