"""The features of an entity computed the slow and obvious way, straight from the definition.

An event counts at ``as_of`` over a window if as_of - window <= occurred_at < as_of and available_at <= as_of.
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pyarrow as pa

from ml_assets.features import Entity, Feature, FeatureSet

SOURCE = {
    "household_id": "BIGINT",
    "basket_id": "BIGINT",
    "amount": "DECIMAL(9,2)",
    "department": "VARCHAR",
    "occurred_at": "TIMESTAMP WITH TIME ZONE",
    "available_at": "TIMESTAMP WITH TIME ZONE",
    "event_date": "DATE",
}
ARROW = pa.schema(
    [
        ("household_id", pa.int64()),
        ("basket_id", pa.int64()),
        ("amount", pa.decimal128(9, 2)),
        ("department", pa.string()),
        ("occurred_at", pa.timestamp("us", tz="UTC")),
        ("available_at", pa.timestamp("us", tz="UTC")),
        ("event_date", pa.date32()),
    ]
)
LIMITED = (
    Feature(name="items", count="*", windows=("2d", "5d")),
    Feature(name="priced", count="amount", windows=("5d",)),
    Feature(name="from_a", count="*", where="department = 'a'", windows=("2d",)),
    Feature(name="not_a", count="amount", where="department <> 'a'", windows=("5d",)),
    Feature(name="trips", count_distinct="basket_id", windows=("2d", "5d")),
    Feature(name="trips_to_a", count_distinct="basket_id", where="department = 'a'", windows=("5d",)),
    Feature(name="spend", sum="amount", windows=("2d", "5d")),
    Feature(name="doubled", sum="amount * 2", where="amount > 0 or department = 'a'", windows=("5d",)),
    Feature(name="mean_price", mean="amount", windows=("5d",)),
    Feature(name="spread", stddev="amount", windows=("2d", "5d")),
    Feature(name="cheapest", min="amount", windows=("2d",)),
    Feature(name="dearest", max="amount", where="department = 'a'", windows=("5d",)),
    Feature(name="first_letter", min="department", windows=("5d",)),
    Feature(name="favourite", mode="department", windows=("2d", "5d")),
    Feature(name="paid_favourite", mode="department", where="amount > 0", windows=("5d",)),
    Feature(name="middle_price", quantile="amount", windows=("2d", "5d")),
    Feature(name="high_price", quantile="amount", q=0.9, where="department <> 'b'", windows=("5d",)),
    Feature(name="early_day", quantile="event_date", q=0.25, windows=("5d",)),
    Feature(name="twice_share", sql="share * 2"),
    Feature(name="share", sql="spend_2d / nullif(spend_5d, 0)"),
    Feature(name="has_favourite", sql="favourite_5d is not null"),
)
CARRIED = (
    Feature(name="first_department", first="department"),
    Feature(name="first_paid", first="amount", where="amount > 0"),
    Feature(name="last_department", last="department"),
    Feature(name="last_paid", last="amount", where="amount > 0"),
    Feature(name="department_now", attribute="department"),
    Feature(name="amount_of_a_now", attribute="amount", where="department = 'a'"),
    Feature(name="recency", time_since_last="day"),
    Feature(name="recency_of_a", time_since_last="day", where="department = 'a'"),
    Feature(name="age", time_since_first="day"),
)
ALL = FeatureSet(Entity("household_id"), (*LIMITED, *CARRIED), {"shop": SOURCE})


@dataclass(frozen=True)
class Event:
    """One row of the table ``events``."""

    household_id: int | None
    basket_id: int | None
    amount: Decimal | None
    department: str | None
    occurred_at: datetime
    available_at: datetime

    @property
    def event_date(self) -> date:
        """The UTC day it happened."""
        return self.occurred_at.astimezone(UTC).date()


def load(con: duckdb.DuckDBPyConnection, events: Iterable[Event], name: str = "shop_events") -> None:
    """Put the events into a table."""
    rows = [{column: getattr(event, column) for column in SOURCE} for event in events]
    con.register("given_events", pa.Table.from_pylist(rows, schema=ARROW))
    con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM given_events")
    con.unregister("given_events")


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def expected(events: Sequence[Event], as_of: datetime) -> dict[int, dict[str, Any]]:
    """Entity -> column -> value, for every entity with an event that counts at as_of."""
    entities = {e.household_id for e in _known(events, as_of) if e.household_id is not None}
    return {entity: features_of(entity, events, as_of) for entity in entities}


def _known(events: Sequence[Event], as_of: datetime) -> list[Event]:
    return [e for e in events if e.occurred_at < as_of and e.available_at <= as_of]


def features_of(entity: int | None, events: Sequence[Event], now: datetime) -> dict[str, Any]:
    """Column -> value of one entity, which need not have any event."""
    known = [e for e in _known(events, now) if entity is not None and e.household_id == entity]

    def within(days: int, where: Callable[[Event], bool] = lambda e: True) -> list[Event]:
        return [e for e in known if now - timedelta(days=days) <= e.occurred_at < now and where(e)]

    def days_since(moment: datetime) -> float:
        return (now - moment) / timedelta(days=1)

    def is_a(e: Event) -> bool:
        return e.department == "a"

    def is_paid(e: Event) -> bool:
        return e.amount is not None and e.amount > 0

    two, five, amounts = within(2), within(5), [e.amount for e in within(5) if e.amount is not None]
    spend_2d, spend_5d = total(two), total(five)
    share = float(spend_2d) / float(spend_5d) if spend_5d else None
    lasting = [(e.occurred_at, e.department) for e in known if e.department is not None]
    paid = [(e.occurred_at, e.amount) for e in known if e.amount is not None and e.amount > 0]
    in_a = [e.occurred_at for e in known if is_a(e)]
    return {
        "items_2d": len(two),
        "items_5d": len(five),
        "priced": len(amounts),
        "from_a": len(within(2, is_a)),
        "not_a": len([e for e in five if e.department not in ("a", None) and e.amount is not None]),
        "trips_2d": len({e.basket_id for e in two} - {None}),
        "trips_5d": len({e.basket_id for e in five} - {None}),
        "trips_to_a": len({e.basket_id for e in within(5, is_a)} - {None}),
        "spend_2d": spend_2d,
        "spend_5d": spend_5d,
        "doubled": 2 * total(within(5, lambda e: is_paid(e) or is_a(e))),
        "mean_price": float(sum(amounts)) / len(amounts) if amounts else None,
        "spread_2d": spread(two),
        "spread_5d": spread(five),
        "cheapest": min((e.amount for e in two if e.amount is not None), default=None),
        "dearest": max((e.amount for e in within(5, is_a) if e.amount is not None), default=None),
        "first_letter": min((e.department for e in five if e.department is not None), default=None),
        "favourite_2d": most_frequent(two),
        "favourite_5d": most_frequent(five),
        "paid_favourite": most_frequent(within(5, is_paid)),
        "middle_price_2d": quantile([e.amount for e in two], Fraction(1, 2)),
        "middle_price_5d": quantile([e.amount for e in five], Fraction(1, 2)),
        "high_price": quantile([e.amount for e in five if e.department not in ("b", None)], Fraction(9, 10)),
        "early_day": quantile([e.event_date for e in five], Fraction(1, 4)),
        "twice_share": None if share is None else 2 * share,
        "share": share,
        "has_favourite": most_frequent(five) is not None,
        "first_department": earliest(lasting),
        "first_paid": earliest(paid),
        "last_department": max(lasting)[1] if lasting else None,
        "last_paid": max(paid)[1] if paid else None,
        "department_now": in_force([(e.occurred_at, e.department) for e in known]),
        "amount_of_a_now": in_force([(e.occurred_at, e.amount) for e in known if is_a(e)]),
        "recency": days_since(max(e.occurred_at for e in known)) if known else None,
        "recency_of_a": days_since(max(in_a)) if in_a else None,
        "age": days_since(min(e.occurred_at for e in known)) if known else None,
    }


def total(events: Sequence[Event]) -> Decimal:
    return sum((e.amount for e in events if e.amount is not None), Decimal(0))


def most_frequent(events: Sequence[Event]) -> str | None:
    """The most frequent department; the first in the alphabet among equals."""
    counts = Counter(e.department for e in events if e.department is not None)
    return min(counts, key=lambda value: (-counts[value], value), default=None)


def quantile(values: Iterable[Any], share: Fraction) -> Any:
    """The smallest value that at least this share of all don't exceed."""
    given = sorted(value for value in values if value is not None)
    return given[math.ceil(share * len(given)) - 1] if given else None


def earliest(values: Sequence[tuple[datetime, Any]]) -> Any:
    """The value of the first moment: the greatest of several."""
    first = min((at for at, _ in values), default=None)
    return max((value for at, value in values if at == first), default=None)


def spread(events: Sequence[Event]) -> float | None:
    """The sample standard deviation of the amounts."""
    amounts = [e.amount for e in events if e.amount is not None]
    return statistics.stdev(map(Fraction, amounts)) if len(amounts) > 1 else None


def in_force(values: Sequence[tuple[datetime, Any]]) -> Any:
    """The value of the last moment: the greatest of several, none only where none is given."""
    last = [value for at, value in values if at == max(at for at, _ in values)]
    return max((value for value in last if value is not None), default=None)
