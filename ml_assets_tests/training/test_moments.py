"""Training rows right after events, held against the definition in plain Python."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from ml_assets.features import Entity
from ml_assets.features.queries.at import features_at
from ml_assets.features.tables import feature_columns
from ml_assets.lake import Provenance, Table
from ml_assets.lake.schema import StoredColumn, types_of
from ml_assets.training import Cutoffs, Label, Train
from ml_assets.training.moments import Moments
from ml_assets.training.tables import LABELS, label_column, training_set_schema
from ml_assets.training.training_set import TrainingSet, build_training_set
from ml_assets_tests.features.oracle import ALL, Event, features_of, midnight
from ml_assets_tests.features.test_store import FIRST, REACH, Store

DAY, WEEK, MICROSECOND = timedelta(days=1), timedelta(weeks=1), timedelta(microseconds=1)
LAST = FIRST + timedelta(days=34)
CUTOFFS = [FIRST + n * WEEK for n in range(1, 6)]
CUTOFF = CUTOFFS[-1]
LABEL = Label(absent="amount > 0", within="7d")
TRAIN = Train(history=3, tune=1, after_each="department = 'a'")
FEATURES = ["items_5d", "spend_5d", "favourite_5d", "recency"]


def at(days: float, **given: object) -> Event:
    moment = midnight(FIRST) + timedelta(days=days)
    good = {"household_id": 1, "basket_id": 1, "amount": Decimal(1), "department": "a"}
    return Event(**(good | {"occurred_at": moment, "available_at": moment} | given))  # type: ignore[arg-type]


EVENTS = [
    at(0),
    at(6.5),
    at(7),
    at(7 - 1e-6),
    at(9, department="b"),
    at(10, amount=Decimal(0)),
    at(11, household_id=2),
    at(11, household_id=2, basket_id=2),
    at(12, household_id=None),
    at(13, household_id=3, available_at=midnight(FIRST) + 15 * DAY),
    at(14 - 1e-6, household_id=3, amount=None),
    at(14),
    at(24, household_id=2),
    at(29, household_id=2),
    at(33),
]


@pytest.fixture
def store(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Store:
    store = Store(con, tmp_path)
    store.land(EVENTS)
    store.events.replace(store.events.read(con), between=(FIRST, LAST), provenance=Provenance())
    store.make_tiles((FIRST, LAST))
    store.make_snapshots((FIRST, LAST))
    return store


def labels_of(store: Store) -> Table:
    """Everybody in the population of every cutoff, with a label of 0."""
    labels = LABELS.table(store.tiles.lake, "m")
    weeks = ", ".join(f"DATE '{cutoff}'" for cutoff in CUTOFFS)
    rows = store.snapshot.read(store.con).filter(f"as_of IN ({weeks}) AND items_5d > 0")
    labels.replace(
        rows.select("household_id, as_of, 0 AS label, as_of + 7 AS matures"),
        between=(CUTOFFS[0], CUTOFFS[-1]),
        provenance=Provenance(),
    )
    return labels


def built(store: Store, labels: Table, cutoff: date = CUTOFF, **given: Mapping[str, int]) -> TrainingSet:
    def ask(
        con: duckdb.DuckDBPyConnection, spine: duckdb.DuckDBPyRelation, versions: Mapping[str, int]
    ) -> duckdb.DuckDBPyRelation:
        tables = {"shop": store.events}
        return features_at(
            con, ALL, spine, events=tables, tiles=store.tiles, reach={"shop": REACH}, versions=versions
        )

    assert TRAIN.after_each
    return build_training_set(
        store.con,
        store.snapshot,
        labels,
        cutoff,
        entity=Entity("household_id"),
        features=FEATURES,
        label=LABEL,
        cutoffs=Cutoffs(start=CUTOFFS[0]),
        train=TRAIN,
        moments=Moments(store.events, TRAIN.after_each, "items_5d > 0", ask),
        **given,  # type: ignore[arg-type]
    )


def test_a_row_right_after_each_event(store: Store) -> None:
    found = built(store, labels_of(store))
    assert (found.train, found.tune) == (tuple(CUTOFFS[1:3]), (CUTOFFS[3],))
    rows = found.rows.filter("split = 'train'").select(
        ", ".join(["household_id", "as_of", "moment", "label", *FEATURES])
    )
    wanted = []
    for event in {(e.household_id, e.occurred_at): e for e in EVENTS}.values():
        moment: datetime = event.occurred_at + MICROSECOND
        week = next((c for c in CUTOFFS[1:3] if midnight(c) - WEEK <= event.occurred_at < midnight(c)), None)
        values = features_of(event.household_id, EVENTS, moment)
        if event.department != "a" or event.household_id is None or week is None or not values["items_5d"]:
            continue
        follows = any(
            moment <= e.occurred_at < moment + WEEK
            and e.household_id == event.household_id
            and (e.amount or 0) > 0
            for e in EVENTS
        )
        wanted.append((event.household_id, week, moment, int(not follows), *(values[f] for f in FEATURES)))
    assert sorted(rows.fetchall()) == sorted(wanted)
    assert len(wanted) == 5
    assert {row[3] for row in wanted} == {0, 1}


def test_the_columns_are_those_of_the_schema(store: Store) -> None:
    entity = [StoredColumn("household_id", "BIGINT", "The household.")]
    features = [column for column in feature_columns(ALL) if column.name in FEATURES]
    schema = training_set_schema(entity, label_column(LABEL, "what came"), TRAIN, features)
    assert types_of(built(store, labels_of(store)).rows) == schema.types


def test_tune_stays_at_the_cutoffs(store: Store) -> None:
    found = built(store, labels_of(store)).rows.filter("split = 'tune'")
    at_midnight = found.aggregate(
        "count(*), bool_and(moment = as_of::TIMESTAMPTZ), min(as_of), max(as_of)"
    ).fetchall()
    assert at_midnight == [(1, True, CUTOFFS[3], CUTOFFS[3])]


def test_later_data_changes_nothing_for_given_versions(store: Store) -> None:
    labels = labels_of(store)
    versions = {
        t.name: t.version
        for t in (store.events, store.tiles, store.snapshot, labels)
        if t.version is not None
    }
    before = built(store, labels).digest
    store.land([*EVENTS, at(8), at(LAST.toordinal() - FIRST.toordinal())])
    store.make_tiles((FIRST, LAST))
    store.make_snapshots((FIRST, LAST))
    assert built(store, labels).digest != before
    assert built(store, labels, versions=versions).digest == before


def test_a_cutoff_without_history_has_no_rows(store: Store) -> None:
    found = built(store, labels_of(store), CUTOFFS[0])
    assert found.rows.fetchall() == []
    assert "moment" in found.rows.columns
