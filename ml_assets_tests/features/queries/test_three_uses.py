"""Snapshot, spine and request of entities with two columns over two sources, held against the oracle.

Keys such as (1, 23) and (12, 3) read alike once they are written one after the other; moments come in a zone whose
clocks change within the range, which holds a leap day too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.features import Entity, Feature, FeatureError, FeatureSet
from ml_assets.features.queries.at import features_at
from ml_assets.features.queries.request import Requests
from ml_assets.features.store import write_snapshots, write_tiles
from ml_assets.lake import Lake, Provenance, Table, connect
from ml_assets_tests.features.oracle import (
    ARROW,
    CARRIED,
    LIMITED,
    SOURCE,
    Event,
    features_of,
    in_force,
    midnight,
)
from ml_assets_tests.features.queries.test_snapshots import (
    DAY,
    MICROSECOND,
    START,
    delays,
    moments,
    one_event,
    same,
)
from ml_assets_tests.profiles import examples

NEW_YORK = ZoneInfo("America/New_York")
REACH, LAST = 5, START + timedelta(days=16)
VISITS = {
    "household_id": "BIGINT",
    "store": "VARCHAR",
    "minutes": "INTEGER",
    "occurred_at": "TIMESTAMP WITH TIME ZONE",
    "available_at": "TIMESTAMP WITH TIME ZONE",
    "event_date": "DATE",
}
VISITS_ARROW = pa.schema(
    [
        ("household_id", pa.int64()),
        ("store", pa.string()),
        ("minutes", pa.int32()),
        ("occurred_at", pa.timestamp("us", tz="UTC")),
        ("available_at", pa.timestamp("us", tz="UTC")),
        ("event_date", pa.date32()),
    ]
)
Key = tuple[int | None, str | None]
KEYS: list[Key] = [(1, "23"), (12, "3"), (1, "3"), (None, "3"), (1, None)]
BOTH = FeatureSet(
    Entity("household_id", "store"),
    (
        *LIMITED,
        *CARRIED,
        Feature(name="visits", count="*", source="visits", windows=("2d", "5d")),
        Feature(name="longest", max="minutes", source="visits", windows=("5d",)),
        Feature(name="minutes_now", attribute="minutes", source="visits"),
        Feature(name="items_a_visit", sql="items_5d / nullif(visits_5d, 0)"),
    ),
    {"shop": SOURCE | {"store": "VARCHAR"}, "visits": VISITS},
)


@dataclass(frozen=True)
class Visit:
    """One row of the second source."""

    minutes: int | None
    occurred_at: datetime
    available_at: datetime

    @property
    def event_date(self) -> date:
        return self.occurred_at.astimezone(UTC).date()


@dataclass(frozen=True)
class History:
    """What happened, each with the key it happened to."""

    bought: Sequence[tuple[Key, Event]]
    visited: Sequence[tuple[Key, Visit]]

    def expected(self, key: Key, now: datetime) -> dict[str, Any]:
        """Column -> value, by definition. Of UTC, as Python goes back by the clock on the wall within a zone."""
        now = now.astimezone(UTC)
        named = key if None not in key else ()
        bought = [replace(event, household_id=1) for other, event in self.bought if other == named]
        known = [
            v for other, v in self.visited if other == named and v.occurred_at < now and v.available_at <= now
        ]
        five, two = ([v for v in known if v.occurred_at >= now - days * DAY] for days in (5, 2))
        values = features_of(1, bought, now)
        items = values["items_5d"]
        return values | {
            "visits_2d": len(two),
            "visits_5d": len(five),
            "longest": max((v.minutes for v in five if v.minutes is not None), default=None),
            "minutes_now": in_force([(v.occurred_at, v.minutes) for v in known]),
            "items_a_visit": items / len(five) if five else None,
        }

    def known(self, now: datetime) -> set[Key]:
        """Who has an event that counts."""
        return {
            key
            for key, each in [*self.bought, *self.visited]
            if None not in key and each.occurred_at < now and each.available_at <= now
        }


class Tables:
    """The tables of a group over both sources, filled."""

    def __init__(self, con: duckdb.DuckDBPyConnection, root: Path, history: History) -> None:
        lake = Lake(str(root))
        self.con = con
        self.events: dict[str, Table] = {
            source: lake.table(f"{source}/events", "event_date") for source in BOTH.sources
        }
        self.tiles, self.snapshot = (
            lake.table("g/tiles", "available_date"),
            lake.table("g/snapshot", "as_of"),
        )
        between = (START, LAST)
        bought = [
            {c: getattr(event, c) for c in SOURCE} | {"household_id": who, "store": store}
            for (who, store), event in history.bought
        ]
        visited = [
            {c: getattr(visit, c) for c in ("minutes", "occurred_at", "available_at", "event_date")}
            | {"household_id": who, "store": store}
            for (who, store), visit in history.visited
        ]
        shop = ARROW.append(pa.field("store", pa.string()))
        for source, rows, schema in (("shop", bought, shop), ("visits", visited, VISITS_ARROW)):
            given = con.from_arrow(pa.Table.from_pylist(rows, schema=schema))
            self.events[source].replace(given, between=between, provenance=Provenance())
        write_tiles(con, BOTH, self.events, self.tiles, between, self.reach, Provenance())

    @property
    def reach(self) -> dict[str, int]:
        return dict.fromkeys(BOTH.sources, REACH)

    def snapshots(self, first: date, last: date) -> dict[date, dict[Key, dict[str, Any]]]:
        write_snapshots(self.con, BOTH, self.tiles, self.snapshot, (first, last), (-36_500, -1), Provenance())
        rows = self.snapshot.read(self.con, between=(first, last))
        found: dict[date, dict[Key, dict[str, Any]]] = {}
        for who, store, as_of, *values in rows.select(
            ", ".join(["household_id", "store", "as_of", *BOTH.columns])
        ).fetchall():
            found.setdefault(as_of, {})[who, store] = dict(zip(BOTH.columns, values, strict=True))
        return found

    def spine(self, asked: Sequence[tuple[Key, datetime]]) -> list[dict[str, Any]]:
        """Through an Arrow column in New York's time; made of UTC, as pyarrow misreads zones once pandera is imported."""
        spine = pa.table(
            {
                "household_id": pa.array([who for (who, _), _ in asked], pa.int64()),
                "store": pa.array([store for (_, store), _ in asked], pa.string()),
                "as_of": pa.array(
                    [at.astimezone(UTC) for _, at in asked], pa.timestamp("us", tz="America/New_York")
                ),
            }
        )
        given = self.con.from_arrow(spine)
        found = features_at(
            self.con, BOTH, given, events=self.events, tiles=self.tiles, reach=self.reach
        ).select(", ".join(BOTH.columns))
        return [dict(zip(BOTH.columns, values, strict=True)) for values in found.fetchall()]

    def requests(self, con: duckdb.DuckDBPyConnection, since: date) -> Requests:
        return Requests(con, BOTH, events=self.events, tiles=self.tiles, reach=self.reach, since=since)


def check(found: dict[str, Any], wanted: dict[str, Any], *at: object) -> None:
    assert found.keys() == wanted.keys()
    for column, value in wanted.items():
        assert same(found[column], value), (column, found[column], value, *at)


@st.composite
def histories(draw: st.DrawFn) -> History:
    keys = st.sampled_from(KEYS)
    visits = st.builds(
        lambda at, delay, minutes: Visit(minutes, at, at + delay),
        moments,
        delays,
        st.sampled_from([1, 5, 90, None]),
    )
    bought = draw(st.lists(st.tuples(keys, one_event()), max_size=10))
    repeated = draw(st.lists(st.sampled_from(bought), max_size=2)) if bought else []
    return History([*bought, *repeated], draw(st.lists(st.tuples(keys, visits), max_size=6)))


@examples(8)
@given(st.data())
def test_all_three_uses_are_what_the_definition_says(data: st.DataObject) -> None:
    history = data.draw(histories())
    edges = [midnight(START) + DAY, midnight(START) + 11 * DAY]
    edges += [
        moment for _, e in [*history.bought, *history.visited] for moment in (e.occurred_at, e.available_at)
    ]
    moment = st.builds(
        lambda edge, days, nudge: (edge + days * DAY + nudge).astimezone(NEW_YORK),
        st.sampled_from(edges),
        st.sampled_from([0, 0, 2, 5]),
        st.sampled_from([timedelta(0), MICROSECOND, -MICROSECOND]),
    ).filter(lambda at: midnight(START) <= at < midnight(LAST))
    asked = data.draw(st.lists(st.tuples(st.sampled_from([*KEYS, (7, "7")]), moment), min_size=1, max_size=8))
    since = min(at for _, at in asked).astimezone(UTC).date()
    with connect() as con, connect() as apart, TemporaryDirectory() as folder:
        tables = Tables(con, Path(folder), history)
        spine = tables.spine(asked)
        requests = tables.requests(apart, since)
        for (key, at), row in zip(asked, spine, strict=True):
            wanted = history.expected(key, at)
            check(row, wanted, "spine", key, at)
            who = dict(zip(BOTH.entity, key, strict=True))
            check(requests.of(who, at), wanted, "request", key, at)
        snapshots = tables.snapshots(since, since + timedelta(days=6))
    for as_of, rows in snapshots.items():
        assert rows.keys() == history.known(midnight(as_of))
        for key, values in rows.items():
            check(values, history.expected(key, midnight(as_of)), "snapshot", key, as_of)


def busy(events: int = 4_000) -> History:
    """One key with nearly everything that happens, and two with little."""
    random = Random(3)
    bought: list[tuple[Key, Event]] = []
    for n in range(events):
        at = midnight(START) + timedelta(seconds=random.randrange(11 * 86_400))
        late = timedelta(hours=random.choice([0, 0, 0, 30, 90]))
        amount = random.choice([None, Decimal(random.randrange(-500, 5_000)) / 100])
        key = KEYS[0] if n % 100 else KEYS[random.choice([1, 2])]
        bought.append((key, Event(1, random.randrange(900), amount, random.choice("abc"), at, at + late)))
    visited = [
        (KEYS[0], Visit(n, event.occurred_at, event.available_at)) for n, (_, event) in enumerate(bought[::9])
    ]
    return History(bought, visited)


@pytest.fixture
def tables(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> tuple[Tables, History]:
    history = busy()
    return Tables(con, tmp_path, history), history


def test_a_hot_key(tables: tuple[Tables, History]) -> None:
    made, history = tables
    change = datetime(2020, 3, 8, 1, 59, 59, 999_999, tzinfo=NEW_YORK)
    leap = midnight(date(2020, 2, 29)) + DAY / 3
    asked = [(key, at) for key in KEYS[:3] for at in (change, change + MICROSECOND, leap, leap + DAY)]
    spine = made.spine(asked)
    with connect() as apart:
        requests = made.requests(apart, date(2020, 2, 29))
        for (key, at), row in zip(asked, spine, strict=True):
            wanted = history.expected(key, at)
            check(row, wanted, key, at)
            check(requests.of(dict(zip(BOTH.entity, key, strict=True)), at), wanted, key, at)
    for as_of, rows in made.snapshots(date(2020, 3, 1), date(2020, 3, 1)).items():
        for key, values in rows.items():
            check(values, history.expected(key, midnight(as_of)), key, as_of)


@pytest.mark.parametrize(
    ("who", "at", "said"),
    [
        ({"household_id": 1}, midnight(LAST), "the request has no column store; there are household_id"),
        (
            {"household_id": "one", "store": "3"},
            midnight(LAST),
            "household_id is 'one', which is not exactly a BIGINT; give a whole number",
        ),
        (
            {"household_id": 2**63, "store": "3"},
            midnight(LAST),
            "the entity {'household_id': 9223372036854775808, 'store': '3'} is not of the types household_id BIGINT",
        ),
        *(
            ({"household_id": who, "store": "3"}, midnight(LAST), "which is not exactly a BIGINT")
            for who in (1.5, "01", "1.0", True, float("nan"), float("inf"))
        ),
        (
            {"household_id": 1, "store": 3.0},
            midnight(LAST),
            "store is 3.0, and the entity is a text; give the text",
        ),
        (
            {"household_id": 1, "store": "3"},
            datetime(2020, 3, 5),
            "as_of 2020-03-05 00:00:00 has no time zone, so it names no moment; for UTC add tzinfo=UTC",
        ),
        (
            {"household_id": 1, "store": "3"},
            midnight(date(2020, 3, 4)),
            "as_of 2020-03-04 00:00:00+00:00 lies before 2020-03-05, from which on requests are answered",
        ),
        (
            {"household_id": 1, "store": "3"},
            midnight(LAST) + 3 * DAY,
            "shop/events lacks 2 days, the first of them 2020-03-14. Materialize these days of shop/events first",
        ),
    ],
)
def test_a_request_that_cant_be_answered(
    tables: tuple[Tables, History], who: dict[str, Any], at: datetime, said: str
) -> None:
    with connect() as apart:
        requests = tables[0].requests(apart, date(2020, 3, 5))
        with pytest.raises(FeatureError) as refused:
            requests.of(who, at)
    assert said in str(refused.value)


def test_a_request_sees_the_tables_as_they_were(tables: tuple[Tables, History]) -> None:
    made, history = tables
    at = midnight(date(2020, 3, 5)) + DAY / 2
    who = dict(zip(BOTH.entity, KEYS[0], strict=True))
    with connect() as apart, connect() as later:
        before = made.requests(apart, date(2020, 3, 5))
        Tables(made.con, Path(made.tiles.uri).parents[1], History(history.bought[:10], []))
        check(before.of(who, at), history.expected(KEYS[0], at))
        after = made.requests(later, date(2020, 3, 5))
        check(after.of(who, at), History(history.bought[:10], []).expected(KEYS[0], at))
    assert {name: version + 1 for name, version in before.versions.items()} == after.versions


def test_a_composite_entity_in_a_pandas_spine(tables: tuple[Tables, History]) -> None:
    made, history = tables
    at = midnight(date(2020, 3, 5)) + DAY / 2
    spine = pd.DataFrame({"store": ["3", "23"], "household_id": [12, 1], "as_of": [at, at]})
    found = features_at(
        made.con, BOTH, made.con.from_df(spine), events=made.events, tiles=made.tiles, reach=made.reach
    )
    assert found.columns[:3] == ["store", "household_id", "as_of"]
    assert [row[0] for row in found.select("items_5d").fetchall()] == [
        history.expected(key, at)["items_5d"] for key in ((12, "3"), (1, "23"))
    ]
