"""What changes from one list of quality entries to another."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil, floor
from typing import Any

from ml_assets.contracts.compare.changes import Change
from ml_assets.contracts.contract import OPERATORS, Limit

# Arguments of which more means fewer rows are taken, and those of which fewer does.
STRICTER_WITH_MORE = ("missingValues",)
STRICTER_WITH_LESS = ("validValues", "properties")
TAKEN_NO_MORE = "breaks producers: what was fine breaks the rule"


def quality_changes(where: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    """The changes of ``quality`` of a property or of the schema; entries are known by their name, else by their kind.

    Narrower rules of severity error are breaking; a warning refuses nothing.
    """
    was, now = _by_name(old.get("quality", [])), _by_name(new.get("quality", []))
    for name in [*was, *(name for name in now if name not in was)]:
        place = f"{where}.quality.{name}".removeprefix(".")
        if name not in now:
            yield Change("safe", place, "the rule is gone")
        elif name not in was:
            yield _added(place, now[name])
        else:
            yield from _of_entry(place, was[name], now[name])


def _by_name(entries: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        implementation = entry.get("implementation")
        trend = implementation.get("trend") if isinstance(implementation, dict) else None
        name = base = str(entry.get("name") or entry.get("metric") or trend or entry.get("type", "rule"))
        number = 1
        while name in found:
            number += 1
            name = f"{base}_{number}"
        found[name] = entry
    return found


def _severe(entry: dict[str, Any]) -> bool:
    return bool(entry.get("severity", "warning" if entry.get("type") == "custom" else "error") == "error")


def _added(place: str, entry: dict[str, Any]) -> Change:
    if not _severe(entry):
        return Change("safe", place, "the rule is new, and warns only")
    return Change(
        "breaking", place, "the rule is new; breaks producers: rows or days that break it are refused"
    )


def _of_entry(place: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    if _severe(old) != _severe(new):
        words = "warning -> error" if _severe(new) else "error -> warning"
        why = f"; {TAKEN_NO_MORE}, and that is more than a warning now" if _severe(new) else ""
        yield Change("breaking" if _severe(new) else "safe", f"{place}.severity", f"{words}{why}")
    yield from _of_limit(place, old, new)
    was, now = old.get("arguments", {}), new.get("arguments", {})
    for key in sorted(was.keys() | now.keys()):
        yield from _of_argument(f"{place}.arguments.{key}", key, was.get(key), now.get(key), _severe(new))
    for key in ("metric", "type", "query", "engine", "implementation"):
        if _same(old.get(key)) != _same(new.get(key)):
            yield _judged(_severe(new), f"{place}.{key}", f"{_shown(old.get(key))} -> {_shown(new.get(key))}")
    compared = {
        "severity",
        "unit",
        "arguments",
        "metric",
        "type",
        "query",
        "engine",
        "implementation",
        *OPERATORS,
    }
    for key in sorted((old.keys() | new.keys()) - compared):
        if old.get(key) != new.get(key):
            yield Change("safe", f"{place}.{key}", f"{_shown(old.get(key))} -> {_shown(new.get(key))}")


def _same(value: Any) -> Any:
    return " ".join(value.split()) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    shown = "none" if value is None else " ".join(str(value).split())
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _judged(narrower: bool, place: str, what: str) -> Change:
    return Change("breaking", place, f"{what}; {TAKEN_NO_MORE}") if narrower else Change("safe", place, what)


def _of_limit(place: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    operators = [next((key for key in OPERATORS if key in entry), None) for entry in (old, new)]
    if operators[0] is None or operators[1] is None:
        return
    units = [str(entry.get("unit", "rows")) for entry in (old, new)]
    was, now = old[operators[0]], new[operators[1]]
    if (operators[0], was, units[0]) == (operators[1], now, units[1]):
        return
    counts = new.get("type", "library") == "library"
    narrower = units[0] != units[1] or not _within(
        (operators[0], was), (operators[1], now), counts, counts and units[1] == "rows"
    )
    percent = [" percent" if unit == "percent" else "" for unit in units]
    what = f"{operators[0]} {_shown(was)}{percent[0]} -> {operators[1]} {_shown(now)}{percent[1]}"
    yield _judged(narrower and _severe(new), f"{place}.{operators[1]}", what)


def _within(old: tuple[str, Any], new: tuple[str, Any], counts: bool, whole: bool) -> bool:
    """Whether every number that one limit allows is allowed by the other.

    Asked at, between and beyond their bounds; ``counts`` are 0 or more, ``whole`` ones are integers.
    """
    limits = [
        Limit(operator, tuple(bound) if isinstance(bound, list) else bound) for operator, bound in (old, new)
    ]
    bounds = sorted(
        {
            part
            for limit in limits
            for part in (limit.bound if isinstance(limit.bound, tuple) else (limit.bound,))
        }
    )
    between = [(low + high) / 2 for low, high in pairwise(bounds)]
    asked = [bounds[0] - 1, *bounds, *between, bounds[-1] + 1]
    if whole:
        asked = [
            edge + step for number in asked for edge in (floor(number), ceil(number)) for step in (-1, 0, 1)
        ]
    return all(
        limits[1].keeps(number) for number in asked if (number >= 0 or not counts) and limits[0].keeps(number)
    )


def _of_argument(place: str, key: str, old: Any, new: Any, severe: bool) -> Iterator[Change]:
    if old == new:
        return
    if not (isinstance(old, list) and isinstance(new, list)):
        yield _judged(severe and new is not None, place, f"{_shown(old)} -> {_shown(new)}")
        return
    gone, added = [v for v in old if v not in new], [v for v in new if v not in old]
    for values, word, stricter in (
        (gone, "without", STRICTER_WITH_LESS),
        (added, "with", STRICTER_WITH_MORE),
    ):
        if values:
            what = f"{word} {', '.join(repr(str(value)) for value in values)} now"
            yield _judged(severe and key in stricter, place, what)
    if not gone and not added:
        yield Change("safe", place, "in another order")
