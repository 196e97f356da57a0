import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.features import Entity, Feature, FeatureError, FeatureSet
from ml_assets.features.queries.schema import snapshot_types
from ml_assets.features.queries.snapshots import snapshot_query
from ml_assets.features.queries.tiles import tiles_query
from ml_assets.features.sql import transpile
from ml_assets.lake import connect, content_hash
from ml_assets_tests.features.oracle import ALL, CARRIED, LIMITED, SOURCE, Event, expected, load, midnight
from ml_assets_tests.profiles import examples

START = date(2020, 2, 26)
"""The first day on which an event can happen; a leap day lies in the range."""
LAST = START + timedelta(days=13)
MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)


def snapshots(
    con: duckdb.DuckDBPyConnection,
    events: Sequence[Event],
    first: date,
    last: date,
    features: FeatureSet = ALL,
) -> duckdb.DuckDBPyRelation:
    load(con, events)
    for create in creating(features.features, first, last):
        con.execute(create)
    return con.table("snapshots")


@lru_cache
def creating(features: tuple[Feature, ...], first: date, last: date) -> tuple[str, str]:
    declared = FeatureSet(Entity("household_id"), features, {"shop": SOURCE})
    return (
        f"CREATE OR REPLACE TABLE tiles AS {tiles_query(declared)}",
        f"CREATE OR REPLACE TABLE snapshots AS {snapshot_query(declared, first, last)}",
    )


def by_entity(rows: duckdb.DuckDBPyRelation) -> dict[date, dict[int, dict[str, Any]]]:
    found: dict[date, dict[int, dict[str, Any]]] = {}
    for entity, as_of, *values in rows.fetchall():
        entities = found.setdefault(as_of, {})
        assert entity not in entities, "an entity has two rows"
        entities[entity] = dict(zip(rows.columns[2:], values, strict=True))
    return found


def same(found: object, wanted: object) -> bool:
    """Equal; floats up to the order of their operations."""
    if isinstance(found, float) and isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=1e-12)
    return found == wanted


def event(at: datetime, *, delay: timedelta = timedelta(0), **given: Any) -> Event:
    good: dict[str, Any] = {
        "household_id": 1,
        "basket_id": 1,
        "amount": Decimal("1.00"),
        "department": "a",
        "occurred_at": at,
        "available_at": at + delay,
    }
    return Event(**(good | given))


moments = st.builds(
    lambda day, offset: midnight(START) + day * DAY + offset,
    st.integers(0, 10),
    st.one_of(
        st.sampled_from([timedelta(0), DAY - MICROSECOND, MICROSECOND, DAY / 2]),
        st.timedeltas(timedelta(0), DAY - MICROSECOND),
    ),
)
delays = st.one_of(
    st.just(timedelta(0)), st.sampled_from([MICROSECOND, DAY, 3 * DAY]), st.timedeltas(timedelta(0), 4 * DAY)
)


@st.composite
def one_event(draw: st.DrawFn) -> Event:
    occurred_at = draw(moments)
    available_at = occurred_at + draw(delays)
    if draw(st.booleans()):
        available_at = max(occurred_at, midnight(available_at.date()))
    return Event(
        draw(st.sampled_from([1, 1, 1, 2, None])),
        draw(st.sampled_from([1, 2, 3, None])),
        draw(st.sampled_from([Decimal(x) for x in ("0.00", "1.10", "-2.35", "99.99")] + [None])),
        draw(st.sampled_from(["a", "b", "c", "", None])),
        occurred_at,
        available_at,
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    events = draw(st.lists(one_event(), max_size=14))
    repeated = draw(st.lists(st.sampled_from(events), max_size=3)) if events else []
    return [*events, *repeated]


@examples(30)
@given(histories())
def test_every_aggregation_is_what_the_definition_says(events: list[Event]) -> None:
    with connect() as con:
        found = by_entity(snapshots(con, events, START, LAST))
    for n in range((LAST - START).days + 1):
        as_of = START + timedelta(days=n)
        wanted = expected(events, midnight(as_of))
        assert found.get(as_of, {}).keys() == wanted.keys(), as_of
        for entity, values in wanted.items():
            for column, value in values.items():
                assert same(found[as_of][entity][column], value), (as_of, entity, column)


@examples(6)
@given(histories())
def test_a_range_of_snapshots_is_the_same_as_day_by_day(events: list[Event]) -> None:
    first, last = START + timedelta(days=4), START + timedelta(days=8)
    with connect() as con:
        together = snapshots(con, events, first, last).order("as_of, household_id").fetchall()
        apart: list[tuple[Any, ...]] = []
        for n in range((last - first).days + 1):
            day = first + timedelta(days=n)
            apart += snapshots(con, events, day, day).order("household_id").fetchall()
    assert together == apart


@st.composite
def pasts_and_futures(draw: st.DrawFn) -> tuple[date, list[Event], list[Event]]:
    """An as_of, events, and more that happened at or after it or were not known before it."""
    as_of = START + timedelta(days=draw(st.integers(1, 11)))
    now = midnight(as_of)
    future = []
    for new in draw(st.lists(one_event(), min_size=1, max_size=8)):
        known_at = now + draw(st.sampled_from([MICROSECOND, DAY, 9 * DAY]))
        future.append(replace(new, available_at=max(new.occurred_at, known_at)))
    return as_of, draw(histories()), future


@examples(15)
@given(pasts_and_futures())
def test_the_future_changes_no_snapshot(drawn: tuple[date, list[Event], list[Event]]) -> None:
    as_of, past, future = drawn
    with connect() as con:
        before = content_hash(snapshots(con, past, START, as_of), ["as_of", "household_id"])
        after = content_hash(snapshots(con, [*past, *future], START, as_of), ["as_of", "household_id"])
    assert before == after


def test_the_past_does_change_a_snapshot(con: duckdb.DuckDBPyConnection) -> None:
    """The counterpart of the test above, which could otherwise pass on an empty table."""
    events = [event(midnight(START))]
    late = event(midnight(START), delay=5 * DAY)
    as_of = START + timedelta(days=5)
    before = content_hash(snapshots(con, events, as_of, as_of), ["household_id"])
    assert content_hash(snapshots(con, [*events, late], as_of, as_of), ["household_id"]) != before


# the edges, one by one

NOON = midnight(START) + DAY / 2
AS_OF = START + timedelta(days=5)
NOW = midnight(AS_OF)


@pytest.mark.parametrize(
    ("edge", "counted"),
    [
        (event(NOW - 5 * DAY), 1),
        (event(NOW - 5 * DAY - MICROSECOND), 0),
        (event(NOW - MICROSECOND), 1),
        (event(NOW), 0),
        (event(NOW + DAY / 2), 0),
        (event(NOW - DAY, delay=DAY - MICROSECOND), 1),
        (event(NOW - DAY, delay=DAY), 1),
        (event(NOW - DAY, delay=DAY + MICROSECOND), 0),
    ],
    ids=[
        "at as_of - window",
        "just before as_of - window",
        "just before as_of",
        "at as_of",
        "after as_of",
        "known just before as_of",
        "known at as_of",
        "known after as_of",
    ],
)
def test_the_edges_of_a_window(con: duckdb.DuckDBPyConnection, edge: Event, counted: int) -> None:
    seen_long_ago = event(NOW - 9 * DAY)
    row = by_entity(snapshots(con, [seen_long_ago, edge], AS_OF, AS_OF))[AS_OF][1]
    assert (row["items_5d"], row["spend_5d"], row["trips_5d"]) == (counted, counted, counted)
    assert row["favourite_5d"] == ("a" if counted else None)


def test_an_event_is_counted_from_the_day_after_it_became_known(con: duckdb.DuckDBPyConnection) -> None:
    found = by_entity(snapshots(con, [event(NOON, delay=2 * DAY)], START, LAST))
    assert min(found) == START + timedelta(days=3)
    assert [found[START + timedelta(days=n)][1]["items_5d"] for n in range(3, 8)] == [1, 1, 1, 0, 0]


def test_an_empty_window_is_zero_where_nothing_was_counted_and_null_otherwise(
    con: duckdb.DuckDBPyConnection,
) -> None:
    row = by_entity(snapshots(con, [event(NOON)], LAST, LAST))[LAST][1]
    assert [row[c] for c in ("items_5d", "trips_5d", "spend_5d", "not_a")] == [0, 0, 0, 0]
    assert [row[c] for c in ("mean_price", "cheapest", "dearest", "favourite_5d", "share")] == [None] * 5
    assert (row["last_department"], row["last_paid"], row["recency"]) == ("a", Decimal("1.00"), 12.5)


def test_ties(con: duckdb.DuckDBPyConnection) -> None:
    events = [
        event(NOON, department=d, amount=Decimal(n)) for n, d in enumerate(["c", "b", "c", "b", "a"], 1)
    ]
    row = by_entity(snapshots(con, events, AS_OF, AS_OF))[AS_OF][1]
    assert row["favourite_5d"] == "b", "the first in the alphabet among equals"
    assert (row["last_department"], row["last_paid"]) == ("c", Decimal(5)), "the greatest at the same moment"


def test_a_value_of_several_days_and_late_copies_counts_once(con: duckdb.DuckDBPyConnection) -> None:
    events = [event(NOON), event(NOON + DAY), event(NOON, delay=3 * DAY), event(NOON + 2 * DAY, basket_id=2)]
    found = by_entity(snapshots(con, events, START, LAST))
    trips = [found[START + timedelta(days=n)][1]["trips_5d"] for n in range(1, 10)]
    assert trips == [1, 1, 2, 2, 2, 2, 1, 0, 0]


def test_events_without_an_entity_make_no_tiles(con: duckdb.DuckDBPyConnection) -> None:
    assert snapshots(con, [event(NOON, household_id=None)], START, LAST).fetchall() == []
    assert con.execute("SELECT count(*) FROM tiles").fetchall() == [(0,)]


def test_no_events_at_all(con: duckdb.DuckDBPyConnection) -> None:
    assert snapshots(con, [], START, LAST).fetchall() == []


# the schema


def test_the_schema_is_what_the_query_gives(con: duckdb.DuckDBPyConnection) -> None:
    rows = snapshots(con, [event(NOON)], AS_OF, AS_OF)
    found = dict(zip(rows.columns, map(str, rows.types), strict=True))
    assert snapshot_types(ALL) == found
    assert list(found) == ["household_id", "as_of", *ALL.columns]
    assert found["spend_5d"] == "DECIMAL(38,6)"
    assert found["favourite_2d"] == "VARCHAR"


@pytest.mark.parametrize("kind", ["sum", "mean"])
@pytest.mark.parametrize("sql_type", ["DOUBLE", "FLOAT"])
def test_sums_of_doubles_are_refused_with_a_way_out(kind: str, sql_type: str) -> None:
    feature = Feature.model_validate({"name": "spend", kind: "amount", "windows": ["7d"]})
    features = FeatureSet(Entity("household_id"), (feature,), {"shop": SOURCE | {"amount": sql_type}})
    with pytest.raises(FeatureError) as refused:
        snapshot_types(features)
    assert str(refused.value) == (
        f"feature spend: amount is a {sql_type}, whose sums differ from run to run. Declare the column as "
        "DECIMAL in the contract, or cast the expression: CAST(amount AS DECIMAL(18, 4))"
    )


@pytest.mark.parametrize("expression", ["CAST(amount AS DECIMAL(18, 4))", "basket_id"])
def test_the_way_out_works(expression: str) -> None:
    feature = Feature(name="spend", sum=expression, windows=("7d",))
    features = FeatureSet(Entity("household_id"), (feature,), {"shop": SOURCE | {"amount": "DOUBLE"}})
    assert snapshot_types(features)["spend"] == "DECIMAL(38,6)"


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        (
            Feature(name="x", sum="nonsense(amount)", windows=("7d",)),
            r"feature x: 'nonsense\(amount\)' uses nonsense\(\)",
        ),
        (Feature(name="x", sum="department", windows=("7d",)), "feature x: DuckDB refuses it"),
        (Feature(name="x", sql="nonsense(items_2d)"), r"feature x: 'nonsense\(items_2d\)' uses nonsense\(\)"),
        (Feature(name="x", count="*", where="amount + 1 || 2 = date", windows=("7d",)), "feature x: "),
    ],
    ids=lambda value: value.name + str(value.kind) if isinstance(value, Feature) else "",
)
def test_what_duckdb_refuses_names_the_feature(feature: Feature, said: str) -> None:
    with pytest.raises(FeatureError, match=said):
        snapshot_types(FeatureSet(Entity("household_id"), (*LIMITED, feature), {"shop": SOURCE}))


# Spark


@pytest.mark.parametrize("feature", [*LIMITED, *CARRIED], ids=lambda feature: feature.name)
def test_every_query_can_be_written_for_spark(feature: Feature) -> None:
    """And without a function sqlglot doesn't know, or ``* REPLACE``, which it would pass on as they are."""
    from sqlglot import exp, parse_one

    needed = (feature,) if feature.kind != "sql" else LIMITED
    features = FeatureSet(Entity("household_id"), needed, {"shop": SOURCE})
    for query in (tiles_query(features), snapshot_query(features, START, LAST)):
        written = parse_one(transpile(query, "spark"), dialect="spark")
        assert {function.name for function in written.find_all(exp.Anonymous)} == set()
        assert [star.sql() for star in written.find_all(exp.Star) if star.args.get("replace")] == []
