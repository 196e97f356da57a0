from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import duckdb
import pytest

from ml_assets.features import Entity
from ml_assets.lake.schema import StoredColumn, types_of
from ml_assets.training import Label
from ml_assets.training.labels import build_labels, maturity
from ml_assets.training.tables import label_column, labels_schema

AS_OF = date(2020, 2, 26)
NOW = datetime.combine(AS_OF, time(), tzinfo=UTC)
DAY, MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
ABSENT, OCCURS = Label(absent="amount > 0", within="7d"), Label(occurs="amount > 0", within="7d")
HOUSEHOLD = StoredColumn("household_id", "BIGINT", "The household.")
Labelled = list[tuple[int, date, float, date]]


def labelled(
    con: duckdb.DuckDBPyConnection,
    events: Sequence[tuple[int | None, datetime, int | None]],
    label: Label,
    *,
    members: Sequence[tuple[int, date, int]] = ((1, AS_OF, 5),),
    as_ofs: Sequence[date] = (AS_OF,),
) -> Labelled:
    con.execute("CREATE OR REPLACE TABLE s (household_id BIGINT, as_of DATE, trips BIGINT)")
    con.execute("CREATE OR REPLACE TABLE e (household_id BIGINT, occurred_at TIMESTAMPTZ, amount BIGINT)")
    if members:
        con.executemany("INSERT INTO s VALUES (?, ?, ?)", members)
    if events:
        con.executemany("INSERT INTO e VALUES (?, ?, ?)", events)
    found = build_labels(
        con,
        con.table("s"),
        con.table("e"),
        as_ofs,
        entity=Entity("household_id"),
        population="trips > 0",
        label=label,
    )
    assert types_of(found) == labels_schema([HOUSEHOLD], label_column(label, "what came")).types
    return found.order("household_id, as_of").fetchall()


@pytest.mark.parametrize(
    ("at", "happened"),
    [
        (NOW - MICROSECOND, 0),
        (NOW, 1),
        (NOW + 3 * DAY, 1),
        (NOW + 7 * DAY - MICROSECOND, 1),
        (NOW + 7 * DAY, 0),
        (NOW + 8 * DAY, 0),
    ],
    ids=["just before as_of", "at as_of", "inside", "just before the end", "at the end", "after"],
)
def test_the_horizon_is_closed_at_as_of_and_open_at_its_end(
    con: duckdb.DuckDBPyConnection, at: datetime, happened: int
) -> None:
    matures = AS_OF + 7 * DAY
    assert labelled(con, [(1, at, 3)], OCCURS) == [(1, AS_OF, happened, matures)]
    assert labelled(con, [(1, at, 3)], ABSENT) == [(1, AS_OF, 1 - happened, matures)]


@pytest.mark.parametrize("amount", [0, -1, None])
def test_an_event_that_does_not_meet_the_condition_does_not_count(
    con: duckdb.DuckDBPyConnection, amount: int | None
) -> None:
    assert labelled(con, [(1, NOW, amount)], OCCURS)[0][2] == 0
    assert labelled(con, [(1, NOW, amount)], ABSENT)[0][2] == 1


def test_events_of_others_do_not_count(con: duckdb.DuckDBPyConnection) -> None:
    assert labelled(con, [(2, NOW, 3), (None, NOW, 3)], OCCURS)[0][2] == 0


def test_only_the_population_of_the_wanted_as_ofs_is_labelled(con: duckdb.DuckDBPyConnection) -> None:
    later = AS_OF + 7 * DAY
    members = [(1, AS_OF, 5), (2, AS_OF, 0), (3, AS_OF, 1), (1, later, 1), (1, AS_OF + DAY, 9)]
    events = [(1, NOW + DAY, 3), (1, NOW + DAY, 3), (1, NOW + 2 * DAY, 3), (2, NOW, 3)]
    assert labelled(con, events, OCCURS, members=members, as_ofs=[AS_OF, later]) == [
        (1, AS_OF, 1, later),
        (1, later, 0, later + 7 * DAY),
        (3, AS_OF, 0, later),
    ]


TIME_TO = Label(time_to="amount > 0", classes=("1d", "3d"), within="7d")


@pytest.mark.parametrize(
    ("label", "events", "value"),
    [
        (Label(count="*", within="7d"), [(NOW, 3), (NOW + 6 * DAY, None), (NOW + 7 * DAY, 1)], 2.0),
        (Label(count="amount > 0", within="7d"), [(NOW, 3), (NOW, 3), (NOW + DAY, None)], 2.0),
        (Label(count="*", within="7d"), [], 0.0),
        (Label(sum="amount", within="7d"), [(NOW, 3), (NOW, -1), (NOW + DAY, None), (NOW - DAY, 50)], 2.0),
        (Label(sum="amount / 4", where="amount > 0", within="7d"), [(NOW, 3), (NOW, -1)], 0.75),
        (Label(sum="amount", within="7d"), [(NOW, None)], 0.0),
        (Label(sum="amount", within="7d"), [], 0.0),
        (TIME_TO, [(NOW, 3), (NOW + 2 * DAY, 3)], 0),
        (TIME_TO, [(NOW, 0), (NOW + DAY, 3)], 1),
        (TIME_TO, [(NOW - DAY, 3), (NOW + 3 * DAY, 3)], 2),
        (TIME_TO, [(NOW + 7 * DAY, 3)], 3),
        (TIME_TO, [], 3),
    ],
    ids=str,
)
def test_labels_that_count_sum_and_wait(
    con: duckdb.DuckDBPyConnection, label: Label, events: list[tuple[datetime, int | None]], value: float
) -> None:
    assert labelled(con, [(1, *event) for event in events], label)[0][2] == value


def test_no_as_of_and_no_event(con: duckdb.DuckDBPyConnection) -> None:
    assert labelled(con, [(1, NOW, 3)], OCCURS, as_ofs=[]) == []
    assert labelled(con, [], ABSENT) == [(1, AS_OF, 1, AS_OF + 7 * DAY)]


def test_names_that_queries_use_inside_are_names_like_any_other(con: duckdb.DuckDBPyConnection) -> None:
    con.sql(f"SELECT 1 AS member, DATE '{AS_OF}' AS as_of, 0 AS label, 5 AS matures").create("s")
    con.sql(
        f"SELECT 1 AS member, TIMESTAMPTZ '{NOW}' AS occurred_at, 2 AS amount_of_label, 7 AS matures"
    ).create("e")
    found = build_labels(
        con,
        con.table("s"),
        con.table("e"),
        [AS_OF],
        entity=Entity("member"),
        population="label = 0 AND matures = 5",
        label=Label(sum="amount_of_label", where="matures = 7", within="7d"),
    )
    assert found.fetchall() == [(1, AS_OF, 2.0, AS_OF + 7 * DAY)]


# maturity


def test_a_label_is_mature_once_the_last_day_of_its_horizon_has_landed() -> None:
    last = AS_OF + 6 * DAY
    assert maturity([AS_OF], ABSENT, last).mature == (AS_OF,)
    assert maturity([AS_OF], ABSENT, last - DAY).waiting == (AS_OF,)


def test_nothing_is_said_when_nothing_waits() -> None:
    assert maturity([AS_OF], ABSENT, AS_OF + 30 * DAY).message == ""
    assert maturity([], ABSENT, None).message == ""


def test_what_waits_is_said_in_a_sentence() -> None:
    as_ofs = [AS_OF + n * DAY for n in (0, 7, 14)]
    found = maturity(as_ofs, ABSENT, AS_OF + 8 * DAY)
    assert (found.mature, found.waiting) == ((AS_OF,), tuple(as_ofs[1:]))
    assert found.message == (
        "Labels of 2020-03-04 to 2020-03-11 (2 cutoffs) are not mature: events have landed through 2020-03-05, "
        "and the label looks 7 days ahead. The first of them matures once 2020-03-10 has landed."
    )


def test_before_anything_has_landed() -> None:
    assert maturity([AS_OF], OCCURS, None).message == (
        "Labels of 2020-02-26 are not mature: no event has landed, and the label looks 7 days ahead. "
        "The first of them matures once 2020-03-03 has landed."
    )
