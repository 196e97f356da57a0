"""Names that SQL keeps for itself, that need quotes, or that queries use inside, are names like any other."""

from datetime import timedelta
from pathlib import Path

import duckdb

from ml_assets.features import Entity, Feature, FeatureSet
from ml_assets.features.proofs.differences import differences, values_of
from ml_assets.features.proofs.example import try_example
from ml_assets.features.proofs.expected import find_unexpected
from ml_assets.features.queries.definition import definition_query
from ml_assets.features.queries.request import Requests
from ml_assets.features.queries.schema import snapshot_types
from ml_assets.features.store import write_snapshots, write_tiles
from ml_assets.lake import Lake, Provenance, connect
from ml_assets_tests.features.oracle import SOURCE, load, midnight
from ml_assets_tests.features.test_store import EVERYTHING, FIRST, LAST, REACH, history

EXAMPLE = {"events": [{"ago": "1d", "Unit price": 3, "value": "x"}], "gives": 1}
FEATURES = tuple(
    Feature.model_validate(each)
    for each in (
        {"name": "order", "count": "*", "windows": ["5d"], "example": EXAMPLE},
        {"name": "group", "sum": '"Unit price"', "windows": ["5d"], "expect": {"min": -1000}},
        {"name": "select", "count_distinct": "value", "windows": ["5d"]},
        {"name": "limit", "mode": "lower(value)", "windows": ["5d"]},
        {"name": "union", "quantile": '"Unit price"', "windows": ["5d"]},
        {"name": "end", "last": "value"},
        {"name": "table", "sql": '"order" * 2'},
        {"name": "label", "mode": "available_date", "windows": ["5d"]},
        {"name": "member", "stddev": "as_of", "windows": ["5d"]},
        {"name": "matures", "first": "label"},
    )
)
OURS = ("n", "counts", "tiles", "asked", "member", "members", "met", "week", "matures", "layer_0", "day")
SHOP = {
    "Customer ID": "BIGINT",
    "Unit price": "DECIMAL(9,2)",
    "value": "VARCHAR",
    "available_date": "DATE",
    "as_of": "BIGINT",
    "label": "VARCHAR",
    **dict.fromkeys(OURS, "VARCHAR"),
    **{name: SOURCE[name] for name in ("occurred_at", "available_at", "event_date")},
}
NAMED = FeatureSet(Entity("Customer ID"), FEATURES, {"shop": SHOP})


def test_they_go_through_every_use_and_proof(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with connect() as apart:
        assert try_example(apart, NAMED, FEATURES[0]) == []
    load(con, history(), "landed")
    rows = con.sql(
        'SELECT household_id AS "Customer ID", amount AS "Unit price", department AS value, '
        "DATE '1999-12-31' + CAST(amount AS INTEGER) AS available_date, CAST(amount AS BIGINT) AS as_of, "
        f"department AS label, {', '.join(f'department AS {name}' for name in OURS)}, "
        "occurred_at, available_at, event_date FROM landed"
    )
    lake = Lake(str(tmp_path))
    events, tiles = lake.table("shop/events", "event_date"), lake.table("g/tiles", "available_date")
    snapshot, as_of = lake.table("g/snapshot", "as_of"), FIRST + timedelta(days=9)
    events.replace(rows, between=(FIRST, LAST), provenance=Provenance())
    write_tiles(con, NAMED, {"shop": events}, tiles, (FIRST, LAST), {"shop": REACH}, Provenance())
    write_snapshots(con, NAMED, tiles, snapshot, (as_of, as_of), EVERYTHING, Provenance())
    assert list(snapshot_types(NAMED)) == snapshot.read(con).columns
    assert find_unexpected(con, NAMED, snapshot.read(con)) == []
    events.read(con).create_view("true_shop")
    stored = snapshot.read(con)
    found = values_of(con, NAMED, stored.sql_query())
    wanted = values_of(con, NAMED, definition_query(NAMED, f"TIMESTAMPTZ '{midnight(as_of)}'"))
    assert len(wanted) > 3
    assert differences(NAMED, as_of, found, wanted, "by definition") == []
    with connect() as apart:
        requests = Requests(
            apart, NAMED, events={"shop": events}, tiles=tiles, reach={"shop": REACH}, since=as_of
        )
        assert tuple(requests.of({"Customer ID": 1}, midnight(as_of)).values()) == found[1,]
