import duckdb
import pytest

from ml_assets.features import Entity, Feature, FeatureSet
from ml_assets.features.catalogue import catalogue
from ml_assets.features.queries.schema import snapshot_types
from ml_assets.features.tables import CATALOGUE
from ml_assets_tests.features.oracle import SOURCE, midnight
from ml_assets_tests.features.queries.test_snapshots import START, event, snapshots

FEATURES = (
    Feature(
        name="items",
        count="*",
        where="amount > 0",
        windows=("2d", "5d"),
        means="Lines",
        description="Returns don't count.",
    ),
    Feature(name="favourite", mode="department", windows=("5d",), owner="team:shop"),
    Feature(name="share", sql="items_2d / nullif(items_5d, 0)"),
)


def test_a_row_for_every_column(con: duckdb.DuckDBPyConnection) -> None:
    features = FeatureSet(Entity("household_id"), FEATURES, {"shop": SOURCE})
    events = [
        event(midnight(START), household_id=1 + n % 3, department="b" if n < 5 else "a") for n in range(9)
    ] + [event(midnight(START), household_id=4, department=None, amount=None)]
    as_of = START.replace(day=START.day + 1)
    rows = catalogue(
        con,
        features,
        snapshot_types(features),
        snapshots(con, events, as_of, as_of, features),
        as_of,
        owners=["team:ml"],
        models=["lapse", "churn"],
    )
    assert [row["name"] for row in rows] == ["items_2d", "items_5d", "favourite", "share"]
    first, _, favourite, share = rows
    assert first == {
        "as_of": as_of,
        "name": "items_2d",
        "type": "BIGINT",
        "means": "Lines",
        "description": "Returns don't count.",
        "owner": "team:ml",
        "computed": "count: * where amount > 0",
        "reads": ["shop.amount", "shop.occurred_at"],
        "models": ["lapse", "churn"],
        "rows": 4,
        "empty": 0.0,
        "smallest": "0",
        "median": pytest.approx(3, abs=0.5),
        "largest": "3",
        "most_frequent": None,
    }
    assert (favourite["owner"], favourite["most_frequent"], favourite["empty"]) == ("team:shop", "b, a", 0.25)
    assert (share["computed"], share["reads"]) == ("sql: items_2d / nullif(items_5d, 0)", first["reads"])
    assert (share["smallest"], share["largest"]) == ("1.0", "1.0")
    assert all(list(row) == list(CATALOGUE.types) for row in rows)
