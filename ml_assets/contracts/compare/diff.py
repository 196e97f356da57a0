"""What changes from one contract to another, and who has to change with it.

A change is breaking if files that kept the old contract may not keep the new one (it breaks producers), or if
events under the new contract may surprise who relied on the old one (it breaks readers).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from ml_assets.contracts.compare.changes import Change, column_added, column_removed, type_changed
from ml_assets.contracts.compare.diff_rules import quality_changes
from ml_assets.contracts.compile.document import Document, parse
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.contract import Column, Contract, DayRule

# Keys of a property that are compared by what they mean.
MEANING = {
    *("name", "logicalType", "physicalType", "physicalName", "transformLogic", "required", "unique"),
    *(
        "primaryKey",
        "primaryKeyPosition",
        "enum",
        "logicalTypeOptions",
        "quality",
        "relationships",
        "classification",
    ),
}
WHOLE_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
LOWER = ("minimum", "exclusiveMinimum", "minLength")
UPPER = ("maximum", "exclusiveMaximum", "maxLength")
REFUSED = "rows that were fine are refused"


@dataclass(frozen=True)
class Side:
    """One of the two contracts: what it means, and how it is written."""

    contract: Contract
    document: Document

    @classmethod
    def load(cls, path: Path) -> "Side":
        """Read a contract; ContractError if it isn't one."""
        return cls(load_contract(path), parse(path, path.read_bytes()))

    @property
    def schema(self) -> dict[str, Any]:
        """The one entry of ``schema``."""
        found: dict[str, Any] = self.document.data["schema"][0]
        return found

    @property
    def properties(self) -> dict[str, dict[str, Any]]:
        """The properties as they are written, by name."""
        return {prop["name"]: prop for prop in self.schema["properties"]}


def diff(old: Path, new: Path) -> list[Change]:
    """Every change from the contract ``old`` to the contract ``new``, the breaking ones first.

    A text says what was and is written, and whom it breaks and why. Breaking changes under an old major version
    are a breaking change of their own, at ``version``. Raises ContractError if one of the two is no contract.
    """
    before, after = Side.load(Path(old)), Side.load(Path(new))
    changes = [*_of_columns(before, after), *_of_rules(before, after), *_of_service(before, after)]
    changes += _of_the_rest(before, after)
    changes += _of_version(before, after, sum(change.kind == "breaking" for change in changes))
    return sorted(changes, key=lambda change: change.kind != "breaking")


def breaks(where: str, what: str, whom: str, why: str) -> Change:
    """A breaking change: ``false -> true; breaks producers: rows without a value are refused``."""
    return Change("breaking", where, f"{what}; breaks {whom}: {why}")


def said(value: Any) -> str:
    """A value of a YAML file, for a text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    shown = " ".join(str(value).split())
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def arrow(old: Any, new: Any) -> str:
    """``old -> new``."""
    return f"{said(old)} -> {said(new)}"


def _of_columns(before: Side, after: Side) -> Iterator[Change]:
    old = {column.name: column for column in before.contract.columns}
    new = {column.name: column for column in after.contract.columns}
    for name, column in old.items():
        if name in new:
            yield from _of_column(before, after, column, new[name])
        else:
            yield _removed(column, after.contract)
    gone = [name for name in old if name not in new]
    for name, column in new.items():
        if name not in old:
            yield _added(column, before.contract, after.contract, gone)
    if before.contract.primary_key != after.contract.primary_key:
        keys = [", ".join(side.contract.primary_key) or None for side in (before, after)]
        why = "another set of columns identifies an event, and other rows count as repeats"
        yield breaks("primaryKey", arrow(*keys), "producers and readers", why)
    common = [name for name in old if name in new]
    if common != [name for name in new if name in old]:
        yield Change("safe", "properties", "the columns come in another order; they are known by name")


def _removed(column: Column, contract: Contract) -> Change:
    change = column_removed(column.name)
    unread = [source for source in column.sources if source not in contract.source_columns]
    if not unread:
        return replace(change, text=f"{change.text}; breaks readers: they find it no more")
    files = f"files that have the landing column {_listed(unread)} are refused"
    return replace(change, text=f"{change.text}; breaks readers, who find it no more, and producers: {files}")


def _added(column: Column, old: Contract, new: Contract, gone: list[str]) -> Change:
    change = column_added(column.name, gone)
    unread = [source for source in column.sources if source not in old.source_columns]
    if unread:
        why = f"files without the landing column {_listed(unread)} are refused"
        return replace(change, text=f"{change.text}; breaks producers: {why}")
    refusing = [
        rule.name for rule in new.row_rules if rule.column == column.name and rule.severity == "error"
    ]
    refusing = [name for name in refusing if name != f"{column.name}_type"]
    if refusing:
        why = f"rows that break {_listed(refusing)} are refused"
        return replace(change, text=f"{change.text}; breaks producers: {why}")
    return replace(change, kind="safe", text=f"{change.text}, and made of what is landed already")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _of_column(before: Side, after: Side, old: Column, new: Column) -> Iterator[Change]:
    """What changes for a column that stays."""
    where = f"properties.{new.name}"
    was, now = before.properties[old.name], after.properties[new.name]
    yield from _of_type(old, new)
    yield from _of_origin(where, old, new)
    if old.required != new.required and old.primary_key == new.primary_key:
        what = arrow(old.required, new.required)
        if new.required:
            yield breaks(f"{where}.required", what, "producers", "rows without a value are refused")
        else:
            yield breaks(f"{where}.required", what, "readers", "events without a value appear")
    if old.unique != new.unique:
        what = arrow(old.unique, new.unique)
        if new.unique:
            yield breaks(f"{where}.unique", what, "producers", "rows that repeat a value are refused")
        else:
            yield breaks(f"{where}.unique", what, "readers", "values that repeat appear")
    yield from _of_classification(where, old, new, was, now)
    yield from _of_options(where, was.get("logicalTypeOptions", {}), now.get("logicalTypeOptions", {}))
    values = [[entry["value"] for entry in prop["enum"]] if "enum" in prop else None for prop in (was, now)]
    yield from _of_enum(f"{where}.enum", *values)
    for key in sorted((was.keys() | now.keys()) - MEANING):
        if was.get(key) != now.get(key):
            yield Change("safe", f"{where}.{key}", arrow(was.get(key), now.get(key)))


def _of_type(old: Column, new: Column) -> Iterator[Change]:
    if old.sql_type == new.sql_type:
        return
    change = type_changed(new.name, old.sql_type, new.sql_type)
    if _widens(old.sql_type, new.sql_type):
        yield replace(change, kind="safe", text=f"{change.text}, which holds every value of before")
        return
    whom = "producers and readers: values of another type are expected, and found"
    yield replace(change, text=f"{change.text}; breaks {whom}")


def _widens(old: str, new: str) -> bool:
    """Whether a type holds every value of another one of its kind."""
    if old in WHOLE_NUMBERS and new in WHOLE_NUMBERS:
        return WHOLE_NUMBERS.index(old) < WHOLE_NUMBERS.index(new)
    if (old, new) == ("FLOAT", "DOUBLE"):
        return True
    pairs = [re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind) for kind in (old, new)]
    sizes = [(int(pair[1]) - int(pair[2]), int(pair[2])) for pair in pairs if pair is not None]
    return len(sizes) == 2 and sizes[0][0] <= sizes[1][0] and sizes[0][1] <= sizes[1][1]


def _of_origin(where: str, old: Column, new: Column) -> Iterator[Change]:
    """Where the value comes from, and how it is read."""
    if old.logic is None and new.logic is None and old.sources != new.sources:
        [was], [now] = old.sources, new.sources
        why = f"files must have the landing column {now!r} instead"
        yield breaks(f"{where}.physicalName", arrow(was, now), "producers", why)
    elif _normal(old.logic) != _normal(new.logic):
        read = [source for source in new.sources if source not in old.sources]
        also = f", from the landing column {_listed(read)} too" if read else ""
        why = f"values are worked out in another way{also}"
        yield breaks(f"{where}.transformLogic", arrow(old.logic, new.logic), "producers and readers", why)
    options = f"{where}.logicalTypeOptions"
    if old.time_format != new.time_format:
        what = arrow(old.time_format, new.time_format)
        yield breaks(f"{options}.format", what, "producers", "times written as before are refused")
    if old.offset_required != new.offset_required:
        what = arrow(old.offset_required, new.offset_required)
        if new.offset_required:
            yield breaks(f"{options}.timezone", what, "producers", "times without an offset are refused")
        else:
            yield Change("safe", f"{options}.timezone", f"{what}; times without an offset are taken too")
    if old.ambiguous != new.ambiguous:
        why = "local times that occur twice or never become other moments, or are refused"
        what = arrow(old.ambiguous, new.ambiguous)
        yield breaks(f"{where}.customProperties.ambiguous", what, "producers and readers", why)
    if old.timezone != new.timezone:
        why = "times without an offset become other moments"
        yield breaks(
            f"{options}.defaultTimezone", arrow(old.timezone, new.timezone), "producers and readers", why
        )


def _normal(logic: str | None) -> str | None:
    return None if logic is None else " ".join(logic.split())


def _of_classification(
    where: str, old: Column, new: Column, was: dict[str, Any], now: dict[str, Any]
) -> Iterator[Change]:
    what = arrow(was.get("classification"), now.get("classification"))
    if old.personal != new.personal:
        why = (
            "they find hashes instead of values"
            if new.personal
            else "they find plain values instead of hashes"
        )
        yield breaks(f"{where}.classification", what, "readers", why)
    elif was.get("classification") != now.get("classification"):
        yield Change("safe", f"{where}.classification", what)


def _of_options(where: str, was: dict[str, Any], now: dict[str, Any]) -> Iterator[Change]:
    """Limits and patterns; narrower ones break producers."""
    for key in (*LOWER, *UPPER, "pattern"):
        old, new = was.get(key), now.get(key)
        if old == new:
            continue
        place = f"{where}.logicalTypeOptions.{key}"
        if _narrower(key, old, new):
            yield breaks(place, arrow(old, new), "producers", REFUSED)
        else:
            yield Change("safe", place, f"{arrow(old, new)}; more is taken than before")


def _narrower(key: str, old: Any, new: Any) -> bool:
    if old is None or new is None:
        return new is not None
    if key == "pattern" or isinstance(old, str) != isinstance(new, str):
        return True
    moved = _order(old, new)
    return moved > 0 if key in LOWER else moved < 0


def _order(old: Any, new: Any) -> int:
    """-1, 0 or 1: whether a limit, a number or a date as text, has gone down or up."""
    if not isinstance(old, str):
        old, new = Decimal(str(old)), Decimal(str(new))
    return int(new > old) - int(new < old)


def _of_enum(where: str, old: list[Any] | None, new: list[Any] | None) -> Iterator[Change]:
    if old is None or new is None:
        if old is not new:
            what = arrow(old and ", ".join(map(str, old)), new and ", ".join(map(str, new)))
            if new is None:
                yield Change("safe", where, f"{what}; every value is taken")
            else:
                yield breaks(where, what, "producers", "rows with another value are refused")
        return
    gone, added = [v for v in old if v not in new], [v for v in new if v not in old]
    if gone:
        yield breaks(where, f"without {_listed(map(str, gone))} now", "producers", "rows with it are refused")
    if added:
        yield Change("safe", where, f"with {_listed(map(str, added))} now")


def _of_rules(before: Side, after: Side) -> Iterator[Change]:
    """The quality entries and the references, of the properties that stay and of the schema."""
    old, new = before.properties, after.properties
    for name in new:
        if name in old:
            yield from quality_changes(f"properties.{name}", old[name], new[name])
    yield from quality_changes("", before.schema, after.schema)
    was, now = (
        {rule.name: rule for rule in side.contract.day_rules if rule.kind == "reference"}
        for side in (before, after)
    )
    for name in sorted(was.keys() | now.keys()):
        pair = [_reference(rule) if rule else None for rule in (was.get(name), now.get(name))]
        if pair[0] == pair[1]:
            continue
        place = f"relationships.{name}"
        if pair[1] is None:
            yield Change("safe", place, f"{arrow(*pair)}; values needn't occur there any more")
        else:
            rule = now[name]
            outcome = "rows with values that don't occur there are refused"
            if not rule.refuses_rows:
                outcome = "days with more values that don't occur there are withheld"
            yield (
                Change("safe", place, arrow(*pair))
                if rule.severity == "warning"
                else breaks(place, arrow(*pair), "producers", outcome)
            )


def _reference(rule: DayRule) -> str:
    """Where it leads to, and its terms where they are other than usual."""
    to = f"{rule.to}.{', '.join(rule.to_keys)}"
    return to if rule.refuses_rows else f"{to} ({rule.limit} {rule.unit}, {rule.severity})"


def _of_service(before: Side, after: Side) -> Iterator[Change]:
    """``slaProperties``, judged for readers: later, rarer and shorter-lived events break them."""
    old, new = before.contract, after.contract
    promised = [
        {"latency": contract.latency or None, **{rule.kind: rule.limit for rule in contract.service_rules}}
        for contract in (old, new)
    ]
    why = {
        "latency": "features know events later",
        "freshness": "the newest day may be older",
        "frequency": "days may lie further apart",
    }
    for name, reason in why.items():
        was, now = promised[0].get(name), promised[1].get(name)
        if was == now:
            continue
        what, place = arrow(_span(was), _span(now)), f"slaProperties.{name}"
        if name == "latency":
            later = (now or timedelta(0)) > (was or timedelta(0))
        else:
            later = now is None or (was is not None and now > was)
        if later:
            yield breaks(place, what, "readers", reason)
        else:
            yield Change("safe", place, f"{what}; tighter for producers, better for readers")
    if old.retention != new.retention:
        what, place = arrow(_span(old.retention), _span(new.retention)), "slaProperties.retention"
        if new.retention is None or (old.retention is not None and new.retention > old.retention):
            yield Change("safe", place, f"{what}; days are kept longer")
        else:
            yield breaks(place, what, "readers", "days are removed sooner")


def _span(span: timedelta | None) -> str | None:
    """``6 hours``, in the largest unit that makes it a whole number."""
    if span is None:
        return None
    units = {"days": 86_400, "hours": 3_600, "minutes": 60}
    seconds = span.total_seconds()
    for unit, size in units.items():
        if seconds % size == 0:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:g} seconds"


def _of_the_rest(before: Side, after: Side) -> Iterator[Change]:
    """Names and descriptions, and days that are closed."""
    was, now = before.schema, after.schema
    if was["name"] != now["name"]:
        yield breaks(
            "schema.name", arrow(was["name"], now["name"]), "readers", "what refers to it must be changed"
        )
    for key in sorted((was.keys() | now.keys()) - {"name", "properties", "quality", "relationships"}):
        if was.get(key) != now.get(key):
            yield Change("safe", f"schema.{key}", arrow(was.get(key), now.get(key)))
    top, other = before.document.data, after.document.data
    for key in sorted((top.keys() | other.keys()) - {"schema", "slaProperties", "version"}):
        if top.get(key) != other.get(key):
            yield Change("safe", key, arrow(top.get(key), other.get(key)))


def _of_version(before: Side, after: Side, breaking: int) -> Iterator[Change]:
    old, new = before.contract.version, after.contract.version
    majors = [re.match(r"v?(\d+)", version) for version in (old, new)]
    numbers = [int(major[1]) for major in majors if major is not None]
    raised = numbers[1] > numbers[0] if len(numbers) == 2 else old != new
    if breaking and not raised:
        number = f"{numbers[0] + 1}.0.0" if len(numbers) == 2 else "another version"
        changes = "a breaking change needs" if breaking == 1 else f"{breaking} breaking changes need"
        yield Change(
            "breaking", "version", f"{arrow(old, new)}; {changes} a new major version: write {number}"
        )
    elif old != new:
        yield Change("safe", "version", arrow(old, new))
