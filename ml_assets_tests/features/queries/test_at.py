"""A spine answered from the tables of a lake."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from ml_assets.features import FeatureError
from ml_assets.features.queries import at as at_module
from ml_assets.features.queries.at import features_at
from ml_assets.lake import Provenance
from ml_assets_tests.features.oracle import ALL, features_of, midnight
from ml_assets_tests.features.queries.test_snapshots import same
from ml_assets_tests.features.test_store import FIRST, LAST, REACH, Store, history

END = midnight(LAST)


@pytest.fixture
def store(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Store:
    """Events, and tiles of every day."""
    store = Store(con, tmp_path)
    store.land(history())
    store.events.replace(
        store.events.read(con, between=(LAST, LAST)),
        between=(LAST - timedelta(days=REACH), LAST),
        provenance=Provenance(),
    )
    store.land(history())
    store.make_tiles((FIRST, LAST))
    return store


def ask(store: Store, spine: str, **how: Any) -> duckdb.DuckDBPyRelation:
    return features_at(
        store.con,
        ALL,
        store.con.sql(spine),
        events={"shop": store.events},
        tiles=store.tiles,
        reach={"shop": REACH},
        **how,
    )


def values(moments: Sequence[tuple[int | None, datetime]]) -> str:
    rows = ", ".join(f"({'NULL' if e is None else e}, TIMESTAMPTZ '{at.isoformat()}')" for e, at in moments)
    return f"SELECT * FROM (VALUES {rows}) AS t(household_id, as_of)"


def random_spine(count: int = 60) -> list[tuple[int | None, datetime]]:
    random, span = Random(5), END - midnight(FIRST)
    return [
        (random.choice([1, 2, 3, 4, 9, None]), midnight(FIRST) + span * random.random()) for _ in range(count)
    ]


@pytest.mark.parametrize("chunk", [7, 100_000])
def test_every_row_keeps_its_place_and_gets_its_features(
    store: Store, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(at_module, "CHUNK", chunk)
    spine = random_spine()
    found = ask(store, f"SELECT *, household_id * 2 AS mine FROM ({values(spine)})")
    assert found.columns == ["household_id", "as_of", "mine", *ALL.columns]
    rows = found.fetchall()
    assert [row[:2] for row in rows] == spine
    events = history()
    for entity, as_of, mine, *given in rows:
        assert mine == (None if entity is None else 2 * entity)
        wanted = features_of(entity, events, as_of)
        for column, value in zip(ALL.columns, given, strict=True):
            assert same(value, wanted[column]), (entity, as_of, column)


def test_a_date_is_its_midnight_in_utc(store: Store) -> None:
    [by_date] = ask(store, f"SELECT 1 AS household_id, DATE '{LAST}' AS as_of").fetchall()
    [by_moment] = ask(store, values([(1, END)])).fetchall()
    assert by_date[2:] == by_moment[2:]
    [elsewhere] = ask(
        store, f"SELECT 1 AS household_id, TIMESTAMPTZ '{LAST} 01:00:00+01:00' AS as_of"
    ).fetchall()
    assert elsewhere[2:] == by_moment[2:]


def test_an_empty_spine_has_the_columns(store: Store) -> None:
    found = ask(store, f"{values([(1, END)])} WHERE household_id = 2")
    assert found.columns[2:] == ALL.columns
    assert found.fetchall() == []


def test_recorded_versions_are_read(store: Store) -> None:
    versions = {table.name: table.version for table in (store.events, store.tiles)}
    before = ask(store, values(random_spine())).fetchall()
    store.land(history(seed=8))
    store.make_tiles((FIRST, LAST))
    assert ask(store, values(random_spine())).fetchall() != before
    assert ask(store, values(random_spine()), versions=versions).fetchall() == before


@pytest.mark.parametrize(
    ("spine", "said"),
    [
        (
            f"SELECT 1 AS household, DATE '{LAST}' AS as_of",
            "the spine has no column household_id; did you mean household?",
        ),
        ("SELECT 1 AS household_id, 2 AS at", "the spine has no column as_of"),
        (
            f"SELECT 1 AS household_id, TIMESTAMP '{LAST} 10:00:00' AS as_of",
            "the spine's as_of has no time zone",
        ),
        (
            f"SELECT 1 AS household_id, TIMESTAMP_NS '{LAST} 10:00:00' AS as_of",
            r"tz_localize\('Europe/London'\)",
        ),
        (
            f"SELECT 1 AS household_id, '{LAST}' AS as_of",
            "the spine's as_of is a VARCHAR; expected a time stamp",
        ),
        ("SELECT 1 AS household_id, NULL::DATE AS as_of", "1 of 1 rows of the spine have no as_of"),
        (
            f"SELECT 'x' AS household_id, DATE '{LAST}' AS as_of",
            "have a household_id that is no BIGINT, for example 'x'",
        ),
        (
            f"SELECT 1 AS household_id, DATE '{LAST}' AS as_of, 1 AS age",
            "the spine has a column age, which is a feature",
        ),
        (
            "SELECT 1 AS household_id, DATE '2020-03-20' AS as_of",
            "moments up to 2020-03-20 are asked for, but group/tiles lacks 13 days, the first of them 2020-03-07",
        ),
        (
            f"SELECT 1 AS household_id, TIMESTAMPTZ '{LAST + timedelta(days=1)} 10:00:00+00' AS as_of",
            "but transactions/events lacks 1 days, the first of them 2020-03-07. Materialize these days",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused(store: Store, spine: str, said: str) -> None:
    with pytest.raises(FeatureError, match=said):
        ask(store, spine)


def test_a_day_that_was_withheld_is_not_covered(store: Store) -> None:
    after = LAST + timedelta(days=1)
    store.events.replace(
        store.events.read(store.con).limit(0),
        between=(after, after),
        leaving=[after],
        provenance=Provenance(),
    )
    with pytest.raises(FeatureError, match=f"transactions/events lacks 1 days, the first of them {after}"):
        ask(store, f"SELECT 1 AS household_id, TIMESTAMPTZ '{after} 10:00:00+00' AS as_of")
