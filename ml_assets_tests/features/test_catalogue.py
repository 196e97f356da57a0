import duckdb

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
        definitions=dict.fromkeys(features.columns, "d1:0123456789abcdef"),
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
        "version": "01234567",
        "reads": ["shop.amount", "shop.occurred_at"],
        "models": ["lapse", "churn"],
        "rows": 4,
        "empty": 0.0,
        "smallest": "0",
        "median": 3,
        "largest": "3",
        "most_frequent": None,
    }
    assert (favourite["owner"], favourite["most_frequent"], favourite["empty"]) == ("team:shop", "b, a", 0.25)
    assert (share["computed"], share["reads"]) == ("sql: items_2d / nullif(items_5d, 0)", first["reads"])
    assert (share["smallest"], share["largest"]) == ("1.0", "1.0")
    assert all(list(row) == list(CATALOGUE.types) for row in rows)


def test_the_same_rows_have_the_same_catalogue_in_whatever_order_they_lie(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """A table that was damaged and built again holds the same rows in other files."""
    features = FeatureSet(Entity("household_id"), FEATURES, {"shop": SOURCE})
    con.execute(
        "CREATE TABLE lying AS SELECT hash(n, 1) % 1000 AS items_2d, hash(n, 2) % 1000 AS items_5d, "
        "'d' || hash(n, 3) % 40 AS favourite, (hash(n, 4) % 1000 / 7)::DOUBLE AS share, n FROM range(2500) ns(n)"
    )

    def lying(order: str) -> list[dict[str, object]]:
        rows = con.sql(f"SELECT * EXCLUDE n FROM lying ORDER BY {order}")
        types = snapshot_types(features)
        hashes = dict.fromkeys(features.columns, "d1:0")
        return catalogue(con, features, types, rows, START, owners=[], models=[], definitions=hashes)

    assert lying("n") == lying("n DESC") == lying("hash(n)")
    counted = con.sql(
        "SELECT favourite, count(*) FROM lying GROUP BY ALL ORDER BY 2 DESC, 1 LIMIT 3"
    ).fetchall()
    assert lying("n")[2]["most_frequent"] == ", ".join(value for value, _ in counted)
