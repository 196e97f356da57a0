"""The incidents: each is a function of a day's rows, the same rows for the same seed.

To rehearse them on a source of one's own, its ``defs.yaml`` says which columns they are about (``Roles``):

    type: ml_assets.components.EventSource
    attributes:
      ...
      drills: {amount: total, store: branch, category: product_group}

An incident needs only the columns it changes, and says which is missing. The entity is that of the model's
features.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ml_assets.monitoring.rehearse.drills.reaction import Reaction
from ml_assets.monitoring.rehearse.drills.rows import Rows

WEEK = 7
NINES = str.maketrans("0123456789", "9876543210")


@dataclass(frozen=True)
class DayOfRows:
    """A day of an incident: ``number`` from 0, ``before`` the rows of the last day without it.

    ``columns`` is role -> landing column.
    """

    rows: Rows
    number: int
    before: Rows
    columns: Mapping[str, str]
    seed: int

    def changed(self, role: str, change: Callable[[Any], Any]) -> Rows:
        """The rows with another value in the column of a role; empty values stay."""
        column = self.columns[role]
        return [
            row if row[column] in (None, "") else row | {column: change(row[column])} for row in self.rows
        ]

    def usual(self, role: str) -> Any:
        """The most frequent value of a role on the day before; the first of them in order, if several are."""
        found = Counter(row[self.columns[role]] for row in self.before)
        found.pop(None, None)
        found.pop("", None)
        most = max(found.values(), default=0)
        return min((value for value, n in found.items() if n == most), key=str, default=None)

    def drawn(self, share: float, *who: Any) -> bool:
        """Whether ``who`` is among a share (0 to 1) of all, the same ones every day."""
        digest = hashlib.sha256(f"{self.seed} {who}".encode()).digest()
        return int.from_bytes(digest[:8]) < share * 2**64


@dataclass(frozen=True)
class Incident:
    """Something that happens to a source's files.

    ``change`` gives a day's rows as they land. The first day's file comes ``late`` days late. ``days`` are
    rehearsed, and if ``matures`` the label's horizon before them; ``stride`` days land at a time. One of
    ``expected`` is what the project should do.
    """

    name: str
    means: str
    needs: tuple[str, ...]
    change: Callable[[DayOfRows], Rows]
    expected: tuple[Reaction, ...]
    days: int = 3
    matures: bool = False
    late: int = 0
    stride: int = 1

    def arriving(self, number: int) -> list[int]:
        """The numbers of the days whose files come on a day."""
        due = {0: self.late} if self.late else {}
        return [own for own in sorted({0, number}) if due.get(own, own) == number]

    def batches(self, horizon: int) -> list[range]:
        """The days' numbers, those that land at a time together; ``horizon`` is in days."""
        end = self.days + (horizon if self.matures else 0)
        return [range(n, min(n + self.stride, end)) for n in range(0, end, self.stride)]


def times(value: Any, factor: Decimal) -> Any:
    """A number times a factor, of the same type and with as many decimals, texts too."""
    if isinstance(value, str):
        number = Decimal(value)
        return str((number * factor).quantize(number))
    if isinstance(value, Decimal):
        return (value * factor).quantize(value)
    return int(value * factor) if isinstance(value, int) else type(value)(float(value) * float(factor))


def another(value: Any) -> Any:
    """The name of something else, one for each: 71 becomes 900000071, A12 becomes A87, and web becomes web 2.

    Of a text it turns the first digits into what they lack of nines, so that it stays what patterns expect.
    """
    if isinstance(value, int):
        return int(f"9{value:0{8 if value < 10**8 else 15}d}")
    digits = re.search("[0-9]+", str(value))
    if digits is None:
        return f"{value} 2"
    return f"{value[: digits.start()]}{digits[0].translate(NINES)}{value[digits.end() :]}"


def _as_it_is(day: DayOfRows) -> Rows:
    return day.rows


def _price_inflation(day: DayOfRows) -> Rows:
    factor = 1 + Decimal("0.05") * min(day.number + 1, 12)
    return day.changed("amount", lambda amount: times(amount, factor))


def _unit_change(day: DayOfRows) -> Rows:
    return day.changed("amount", lambda amount: times(amount, Decimal(100)))


def _store_closing(day: DayOfRows) -> Rows:
    closed = day.usual("store")
    return [row for row in day.rows if row[day.columns["store"]] != closed]


def _double_logging(day: DayOfRows) -> Rows:
    return [
        again
        for at, row in enumerate(day.rows)
        for again in ([row, row] if day.drawn(0.03, day.number, at) else [row])
    ]


def _null_column(day: DayOfRows) -> Rows:
    return day.changed("amount", lambda _: None)


def _new_category(day: DayOfRows) -> Rows:
    renamed = day.usual("category")
    return day.changed("category", lambda value: f"NEW {value}" if value == renamed else value)


def _population_shift(day: DayOfRows) -> Rows:
    """Newcomers: twins of two in three of the old ones, who make a third of their visits."""
    return day.rows + _twins(day, lambda who, visit: day.drawn(0.65, who) and day.drawn(0.3, visit))


def _label_shift(day: DayOfRows) -> Rows:
    entity = day.columns["entity"]
    return [row for row in day.rows if not day.drawn(0.3, row[entity])]


def _seasonal_peak(day: DayOfRows) -> Rows:
    """Half as many visits again for a week: each of the extra ones is like one that took place."""
    if day.number >= WEEK:
        return day.rows
    visit = day.columns["visit"]
    more = [row | {visit: another(row[visit])} for row in day.rows if day.drawn(0.5, row[visit])]
    return day.rows + more


def _twins(day: DayOfRows, comes: Callable[[Any, Any], bool]) -> Rows:
    entity, visit = day.columns["entity"], day.columns["visit"]
    return [
        row | {entity: another(row[entity]), visit: another(row[visit])}
        for row in day.rows
        if row[entity] not in (None, "") and comes(row[entity], row[visit])
    ]


_BLOCKED_AT_ONCE = (Reaction("block", 1),)
_NOTHING = (Reaction("nothing"),)
_RETRAIN = Reaction("retrain", by=("drift", "performance"))
_LEARNT_IF_IT_COSTS = (_RETRAIN, *_NOTHING)
"""A model that loses by it learns it, another one stays as it is."""
_DRIFT = (Reaction("record", by=("drift",)), _RETRAIN)
"""Recorded, and learnt by a model that loses by it."""


INCIDENTS: Mapping[str, Incident] = {
    incident.name: incident
    for incident in (
        Incident(
            "price_inflation",
            "Prices rise by 5% of the old ones a day, to 60% more after twelve days.",
            ("amount",),
            _price_inflation,
            _LEARNT_IF_IT_COSTS,
            days=21,
            stride=7,
        ),
        Incident(
            "unit_change",
            "Amounts come in cents, a hundred times what they were.",
            ("amount",),
            _unit_change,
            (Reaction("block", 2),),
        ),
        Incident(
            "store_closing",
            "The busiest store closes.",
            ("store",),
            _store_closing,
            _NOTHING,
        ),
        Incident(
            "double_logging",
            "Three rows in a hundred are logged twice.",
            (),
            _double_logging,
            _NOTHING,
        ),
        Incident(
            "null_column",
            "Amounts are empty.",
            ("amount",),
            _null_column,
            _BLOCKED_AT_ONCE,
            days=2,
        ),
        Incident(
            "late_day",
            "The file of the first day comes three days late.",
            (),
            _as_it_is,
            _NOTHING,
            days=5,
            late=3,
        ),
        Incident(
            "new_category",
            "The most frequent category is renamed.",
            ("category",),
            _new_category,
            (Reaction("block"), Reaction("record")),
            days=21,
            stride=7,
        ),
        Incident(
            "population_shift",
            "Newcomers who come seldom join, two for three old ones.",
            ("entity", "visit"),
            _population_shift,
            _DRIFT,
            days=21,
            stride=7,
        ),
        Incident(
            "label_shift",
            "Three in ten stay away from now on, whatever they were like.",
            ("entity",),
            _label_shift,
            (_RETRAIN,),
            days=14,
            matures=True,
            stride=7,
        ),
        Incident(
            "seasonal_peak",
            "Half as many visits again, for a week.",
            ("visit",),
            _seasonal_peak,
            (Reaction("record"), Reaction("nothing")),
            days=14,
            stride=7,
        ),
    )
}
