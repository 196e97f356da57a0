"""Tables hold what they held before aggregations were classes, to the byte: the digests are those of that code."""

from datetime import timedelta
from pathlib import Path

import duckdb

from ml_assets.features import Entity, FeatureSet
from ml_assets.features.queries.at import features_at
from ml_assets.lake import content_hash
from ml_assets_tests.features.oracle import ALL, SOURCE
from ml_assets_tests.features.test_store import FIRST, LAST, REACH, Store, history

FORMER = tuple(feature for feature in ALL.features if feature.kind not in ("quantile", "first"))
TILES = "93d6fb11657175e97d10b6825377f175e8e9adab9eb96f13540b14d4a7173d85"
SNAPSHOTS = "5176422f0104e566906630c34a970129eb3b12fa8a9355f8f76f876e07a28305"
SPINE = "88db4c6094592de6b2c7579a1c4d920692245e01a308fcdf92fb96f800a1c110"


def test_tiles_snapshots_and_a_spine_are_as_they_were(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    features = FeatureSet(Entity("household_id"), FORMER, {"shop": SOURCE})
    store = Store(con, tmp_path, features)
    store.land(history())
    assert store.make_tiles((FIRST, LAST)) == TILES
    assert store.make_snapshots((FIRST, LAST)) == SNAPSHOTS
    spine = con.sql(
        f"SELECT household_id, TIMESTAMPTZ '{FIRST} 05:00:00+00' + INTERVAL 7 HOUR * n AS as_of "
        "FROM range(5) AS h(household_id), range(30) AS r(n) ORDER BY ALL"
    )
    found = features_at(
        con, features, spine, events={"shop": store.events}, tiles=store.tiles, reach={"shop": REACH}
    )
    assert content_hash(found, ["household_id", "as_of"]) == SPINE


def test_tiles_without_the_parts_of_a_new_feature_are_read_beside_those_that_have_them(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    former = Store(con, tmp_path, FeatureSet(Entity("household_id"), FORMER, {"shop": SOURCE}))
    former.land(history())
    former.make_tiles((FIRST, LAST))
    again = Store(con, tmp_path)
    again.make_tiles((FIRST + timedelta(days=6), LAST))
    of_new = again.tiles.read(con).filter("middle_price__counts IS NOT NULL")
    assert of_new.aggregate("min(available_date)").fetchall() == [(FIRST + timedelta(days=6),)]
    made = Store(con, tmp_path / "made")
    made.land(history())
    made.make_tiles((FIRST, LAST))
    again.make_tiles((FIRST, LAST))
    assert again.make_snapshots((FIRST, LAST)) == made.make_snapshots((FIRST, LAST))
