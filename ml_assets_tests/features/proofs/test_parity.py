"""The proof that requests are answered with what training has seen."""

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from ml_assets.features import FeatureError
from ml_assets.features.proofs.differences import Disparity
from ml_assets.features.proofs.parity import find_disparities
from ml_assets.features.queries import request
from ml_assets.lake import Provenance
from ml_assets_tests.features.oracle import ALL, midnight
from ml_assets_tests.features.proofs.test_leakage import built
from ml_assets_tests.features.test_store import FIRST, LAST, REACH, Store

AS_OF = FIRST + timedelta(days=9)
MOMENT = midnight(AS_OF) - timedelta(seconds=1 + AS_OF.toordinal() * 7919 % 86_400)


def disparities(store: Store) -> list[Disparity]:
    return find_disparities(
        ALL,
        events={"shop": store.events},
        tiles=store.tiles,
        snapshot=store.snapshot,
        reach={"shop": REACH},
        as_of=AS_OF,
    )


def test_what_is_right_passes(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert disparities(built(con, tmp_path)) == []


def test_a_snapshot_that_says_otherwise_is_found(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    store = built(con, tmp_path)
    rows = store.snapshot.read(con, between=(AS_OF, AS_OF)).select("* REPLACE (items_5d + 1 AS items_5d)")
    store.snapshot.replace(rows, between=(AS_OF, AS_OF), provenance=Provenance())
    found = disparities(store)
    assert {(each.column, each.as_of, each.by) for each in found} == {("items_5d", AS_OF, "in the snapshot")}


def test_a_request_that_reads_too_little_is_found(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held leaves out what happened on the day of the request."""
    whole = request.Requests._hold

    def without_today(self: request.Requests, name: str, table: object, query: str) -> None:
        today = f" AND event_date < DATE '{MOMENT.date()}'" if name == "shop_events" else ""
        whole(self, name, table, query + today)  # type: ignore[arg-type]

    monkeypatch.setattr(request.Requests, "_hold", without_today)
    found = disparities(built(con, tmp_path))
    assert {each.by for each in found} == {"by definition"}
    assert {each.as_of for each in found} == {MOMENT}
    assert "items_5d" in {each.column for each in found}


def test_days_that_are_not_there_are_said(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    store = built(con, tmp_path)
    alone = Store(con, tmp_path / "alone")
    for mine, theirs in ((alone.events, store.events), (alone.snapshot, store.snapshot)):
        mine.replace(theirs.read(con), between=(FIRST, LAST), provenance=Provenance())
    for day in (FIRST, FIRST + timedelta(days=8)):
        alone.tiles.replace(
            store.tiles.read(con, between=(day, day)), between=(day, day), provenance=Provenance()
        )
    with pytest.raises(FeatureError, match="group/tiles lacks 7 days, the first of them"):
        disparities(alone)
