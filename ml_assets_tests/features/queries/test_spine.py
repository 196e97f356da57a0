"""The features of a spine with arbitrary moments, held against the oracle on hostile histories."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.features.queries.spine import ROW, spine_query
from ml_assets.features.queries.tiles import tiles_query
from ml_assets.features.sql import transpile
from ml_assets.lake import connect
from ml_assets_tests.features.oracle import ALL, Event, features_of, load, midnight
from ml_assets_tests.features.queries.test_snapshots import (
    DAY,
    MICROSECOND,
    START,
    event,
    histories,
    same,
    snapshots,
)
from ml_assets_tests.profiles import examples

TILES, SPINE = tiles_query(ALL), spine_query(ALL)
Row = tuple[int | None, datetime]
SPINE_SCHEMA = pa.schema(
    [(ROW, pa.int64()), ("household_id", pa.int64()), ("as_of", pa.timestamp("us", tz="UTC"))]
)


def at(con: duckdb.DuckDBPyConnection, events: Sequence[Event], spine: Sequence[Row]) -> list[dict[str, Any]]:
    """The features of every row of the spine, in its order."""
    load(con, events)
    con.execute(f"CREATE OR REPLACE TABLE tiles AS {TILES}")
    rows = [{ROW: n, "household_id": entity, "as_of": as_of} for n, (entity, as_of) in enumerate(spine)]
    con.register("given_spine", pa.Table.from_pylist(rows, schema=SPINE_SCHEMA))
    con.execute("CREATE OR REPLACE TABLE spine AS SELECT * FROM given_spine")
    found = con.sql(f"SELECT * FROM ({SPINE}) ORDER BY {ROW}")
    assert found.columns == [ROW, *ALL.columns]
    return [dict(zip(ALL.columns, values, strict=True)) for _, *values in found.fetchall()]


@st.composite
def spines(draw: st.DrawFn, events: list[Event]) -> list[Row]:
    """Moments on, just before and just after whatever decides whether an event counts."""
    edges = [midnight(START), midnight(START) + 8 * DAY]
    for each in events:
        edges += [each.occurred_at, each.available_at]
    moments = st.builds(
        lambda edge, days, nudge: edge + days * DAY + nudge,
        st.sampled_from(edges),
        st.sampled_from([0, 0, 1, 2, 5]),
        st.sampled_from([timedelta(0), MICROSECOND, -MICROSECOND, DAY / 3]),
    )
    return draw(st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, 3, None]), moments), max_size=12))


@examples(60)
@given(st.data())
def test_every_row_is_what_the_definition_says(data: st.DataObject) -> None:
    events = data.draw(histories())
    spine = data.draw(spines(events))
    with connect() as con:
        found = at(con, events, spine)
    assert len(found) == len(spine)
    for (entity, as_of), values in zip(spine, found, strict=True):
        for column, value in features_of(entity, events, as_of).items():
            assert same(values[column], value), (entity, as_of, column)


NOW = midnight(START) + 6 * DAY + DAY / 3
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("edge", "counted"),
    [
        (event(NOW - 5 * DAY), 1),
        (event(NOW - 5 * DAY - MICROSECOND), 0),
        (event(NOW - MICROSECOND), 1),
        (event(NOW), 0),
        (event(NOW - HOUR, delay=HOUR), 1),
        (event(NOW - HOUR, delay=HOUR + MICROSECOND), 0),
        (event(NOW - 2 * DAY, delay=2 * DAY), 1),
        (event(NOW - 2 * DAY, delay=2 * DAY + MICROSECOND), 0),
        (event(NOW - 5 * DAY, delay=5 * DAY), 1),
        (event(midnight(START) + 6 * DAY), 1),
        (event(midnight(START) + DAY + DAY / 3, delay=4 * DAY + 2 * DAY / 3), 1),
    ],
    ids=[
        "at as_of - window",
        "just before as_of - window",
        "just before as_of",
        "at as_of",
        "known at as_of",
        "known just after as_of",
        "late, known at as_of",
        "late, known just after as_of",
        "at as_of - window, known at as_of",
        "at the midnight before as_of",
        "at as_of - window, known at the midnight before as_of",
    ],
)
def test_the_edges_of_a_window(con: duckdb.DuckDBPyConnection, edge: Event, counted: int) -> None:
    (row,) = at(con, [event(NOW - 6 * DAY), edge], [(1, NOW)])
    assert (row["items_5d"], row["spend_5d"], row["trips_5d"]) == (counted, counted, counted)
    assert row["favourite_5d"] == ("a" if counted else None)


def test_a_row_without_events_counts_nothing() -> None:
    with connect() as con:
        (row,) = at(con, [event(midnight(START))], [(7, midnight(START) + DAY)])
    assert [row[c] for c in ("items_5d", "trips_5d", "spend_5d")] == [0, 0, 0]
    assert [row[c] for c in ("mean_price", "favourite_5d", "last_department", "recency")] == [None] * 4


def test_at_midnight_it_is_the_snapshot(con: duckdb.DuckDBPyConnection) -> None:
    events = [
        event(midnight(START) + n * DAY / 3, delay=(n % 4) * DAY / 2, household_id=n % 3, basket_id=n)
        for n in range(20)
    ]
    as_ofs = [START + timedelta(days=n) for n in range(10)]
    found = at(con, events, [(entity, midnight(as_of)) for as_of in as_ofs for entity in range(3)])
    snapshot = snapshots(con, events, as_ofs[0], as_ofs[-1])
    rows = snapshot.order("as_of, household_id").fetchall()
    known = {(as_of, entity) for entity, as_of, *_ in rows}
    mine = [
        (entity, as_of, *row.values())
        for (as_of, entity), row in zip(((a, e) for a in as_ofs for e in range(3)), found, strict=True)
        if (as_of, entity) in known
    ]
    assert mine == rows
    assert len(rows) > 20


def test_it_can_be_written_for_spark() -> None:
    from sqlglot import exp, parse_one

    written = parse_one(transpile(SPINE, "spark"), dialect="spark")
    assert {function.name for function in written.find_all(exp.Anonymous)} == set()
    assert "ASOF" not in SPINE
