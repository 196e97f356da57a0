"""The proof against leaks passes what is right and names every planted leak."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from ml_assets.features import Entity, Feature, FeatureError, FeatureSet
from ml_assets.features.proofs.differences import Disparity, hold_sample
from ml_assets.features.proofs.leakage import find_leaks
from ml_assets.features.queries import tiles
from ml_assets.lake import Provenance, syntax
from ml_assets_tests.features.oracle import ALL, LIMITED, SOURCE, Event, midnight
from ml_assets_tests.features.test_store import FIRST, LAST, Store, history

AS_OFS = [FIRST + timedelta(days=n) for n in (4, 7, 10)]


def built(con: duckdb.DuckDBPyConnection, folder: Path, features: FeatureSet = ALL) -> Store:
    store = Store(con, folder, features)
    store.land(history())
    store.make_tiles((FIRST, LAST))
    store.make_snapshots((FIRST, LAST))
    return store


def leaks(store: Store, current: Sequence[date] = AS_OFS) -> list[Disparity]:
    return find_leaks(store.features, {"shop": store.events}, store.snapshot, AS_OFS, current)


def test_what_is_right_passes(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert leaks(built(con, tmp_path)) == []


PEEKS = {
    "a filter over all events": Feature(
        name="peeks", count="*", where="amount >= (SELECT avg(amount) FROM shop_events)", windows=("5d",)
    ),
    "a sum over all events": Feature(
        name="peeks", max="amount + (SELECT count(*) FROM shop_events)", windows=("5d",)
    ),
    "an expression over all tiles": Feature(name="peeks", sql="spend_2d + (SELECT count(*) FROM tiles)"),
}


@pytest.mark.parametrize("feature", PEEKS.values(), ids=PEEKS.keys())
def test_an_expression_that_peeks_is_named(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feature: Feature
) -> None:
    with pytest.raises(FeatureError, match="uses a subquery"):
        FeatureSet(Entity("household_id"), (*LIMITED, feature), {"shop": SOURCE})
    monkeypatch.setattr(syntax, "_offence", lambda *_: None)
    features = FeatureSet(Entity("household_id"), (*LIMITED, feature), {"shop": SOURCE})
    store = Store(con, tmp_path, features)
    store.land(history())
    store.make_tiles((FIRST, LAST))
    store.make_snapshots((FIRST, LAST))
    found = leaks(store, current=[])
    assert {difference.column for difference in found} == {"peeks"}
    assert "with another future" in str(found[-1])


def test_tiles_that_ignore_when_an_event_was_known_are_found(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "AVAILABLE_DATE", "event_date")
    store = built(con, tmp_path)
    found = leaks(store)
    assert {"items_5d", "spend_5d", "trips_5d"} <= {difference.column for difference in found}
    assert {difference.by for difference in found} == {
        "by definition",
        "with another future",
        "by definition, in the snapshot",
    }


def test_a_changed_snapshot_is_found(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    store = built(con, tmp_path)
    on = AS_OFS[1]
    rows = store.snapshot.read(con, between=(on, on))
    store.snapshot.replace(
        rows.select("* REPLACE (items_5d + 1 AS items_5d)"), between=(on, on), provenance=Provenance()
    )
    found = leaks(store)
    assert {(each.column, each.as_of) for each in found} == {("items_5d", on)}
    assert {each.by for each in found} == {"by definition, in the snapshot"}
    assert leaks(store, current=[AS_OFS[0]]) == []


def test_few_entities_are_looked_at(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    store = built(con, tmp_path)
    rows = hold_sample(con, store.features, {"shop": store.events}, store.snapshot, AS_OFS[0], 1)
    assert len(rows.fetchall()) == 1
    assert con.execute("SELECT count(*) FROM chosen").fetchall() == [(1,)]


def test_events_after_as_of_do_not_hide_it(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """An entity that is only known later has no row, by any way."""
    store = built(con, tmp_path)
    new = [Event(77, 1, None, "a", midnight(AS_OFS[0]), midnight(AS_OFS[0]))]
    store.land([*history(), *new])
    store.make_tiles((FIRST, LAST))
    store.make_snapshots((FIRST, LAST))
    assert leaks(store) == []
