import duckdb

from ml_assets.features import Entity, FeatureSet
from ml_assets.features.tables import snapshot_schema, tiles_schema
from ml_assets.lake.schema import StoredColumn, types_of
from ml_assets_tests.features.oracle import SOURCE, midnight
from ml_assets_tests.features.queries.test_snapshots import START, event, snapshots
from ml_assets_tests.features.test_catalogue import FEATURES

HOUSEHOLD = StoredColumn("household_id", "BIGINT", "The household.")


def test_tiles_and_snapshots_have_the_columns_of_their_schemas(con: duckdb.DuckDBPyConnection) -> None:
    features = FeatureSet(Entity("household_id"), FEATURES, {"shop": SOURCE})
    made = snapshots(con, [event(midnight(START))], START, START, features)
    for schema, rows in (
        (tiles_schema(features, [HOUSEHOLD]), con.table("tiles")),
        (snapshot_schema(features, [HOUSEHOLD]), made),
    ):
        assert schema.types == types_of(rows)


def test_meanings_and_units_are_those_of_feature_and_aggregation() -> None:
    features = FeatureSet(Entity("household_id"), FEATURES, {"shop": SOURCE})
    snapshot, tiles = snapshot_schema(features, [HOUSEHOLD]), tiles_schema(features, [HOUSEHOLD])
    assert snapshot.column("household_id") == HOUSEHOLD
    assert snapshot.column("items_5d").described == "Lines, over the last 5 days. Unit: events."
    assert snapshot.column("favourite").described.startswith(
        "Most frequent value; the first in the alphabet among equals. mode: depart"
    )
    assert snapshot.column("share").described == "sql: items_2d / nullif(items_5d, 0)"
    assert tiles.column("items__n").means.startswith("Part n of items (count: ")
