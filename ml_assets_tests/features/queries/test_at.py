"""A spine answered from the tables of a lake."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ml_assets.features import Entity, FeatureError, FeatureSet
from ml_assets.features.queries import at as at_module
from ml_assets.features.queries.at import features_at
from ml_assets.lake import Provenance
from ml_assets_tests.features.oracle import ALL, SOURCE, features_of, midnight
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
            "have a household_id that is not exactly a BIGINT; the first is row 0, counted from 0: 'x'",
        ),
        *(
            (
                f"SELECT unnest([1::{kind}, {value}]) AS household_id, DATE '{LAST}' AS as_of",
                rf"1 of 2 rows of the spine have a household_id that is not exactly a BIGINT; the first is row 1, .*{said}",
            )
            for kind, value, said in (
                ("DOUBLE", "2.5", "2.5"),
                ("DOUBLE", "'nan'", "nan"),
                ("DECIMAL(4,1)", "2.5", "2.5"),
                ("VARCHAR", "'02'", "'02'"),
                ("VARCHAR", "'2.0'", "'2.0'"),
                ("VARCHAR", "' 2'", "' 2'"),
                ("HUGEINT", "9223372036854775808::HUGEINT", "9223372036854775808"),
            )
        ),
        (
            f"SELECT 1 AS household_id, TIMESTAMPTZ_NS '{LAST} 10:00:00.000000001+00' AS as_of",
            "have a as_of that is not exactly a TIMESTAMP WITH TIME ZONE; the first is row 0",
        ),
        (
            f"SELECT 1 AS household_id, 2 AS __row, DATE '{LAST}' AS as_of",
            "has a column __row, which is a name of ours",
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


def test_ids_that_are_exactly_the_entitys_are_answered(store: Store) -> None:
    wanted = ask(store, values([(2, END), (None, END)])).select(*ALL.columns).fetchall()
    for given in ("2::DOUBLE", "2::TINYINT", "'2'", "2::DECIMAL(4,1)", "2::HUGEINT"):
        spine = f"SELECT unnest([{given}, NULL]) AS household_id, TIMESTAMPTZ '{END}' AS as_of"
        assert ask(store, spine).select(*ALL.columns).fetchall() == wanted
    assert (
        ask(store, f"SELECT NULL AS household_id, TIMESTAMPTZ '{END}' AS as_of").fetchall()[0][2:]
        == wanted[1]
    )


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_stamps_of_any_unit_are_moments(store: Store, unit: str) -> None:
    ids, moments = pa.array([1, 2]), pa.array([END, END], pa.timestamp(unit, tz="Europe/London"))
    store.con.from_arrow(pa.table({"household_id": ids, "as_of": moments})).create_view("given_stamps")
    found = ask(store, "FROM given_stamps").select(*ALL.columns).fetchall()
    assert found == ask(store, values([(1, END), (2, END)])).select(*ALL.columns).fetchall()


def test_numbers_with_decimals_are_no_texts(con: duckdb.DuckDBPyConnection) -> None:
    features = FeatureSet(Entity("who"), ALL.features[:1], {"shop": {"who": "VARCHAR", **SOURCE}})
    spine = con.sql("SELECT unnest([17850.0::DOUBLE, NULL]) AS who, DATE '2020-01-01' AS as_of")
    nothing: Any = None
    with pytest.raises(
        FeatureError, match=r"spine's who is a DOUBLE, and the entity is a text.*astype\('Int64'\)"
    ):
        features_at(con, features, spine, events={}, tiles=nothing, reach={})


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
