"""Sums and spreads of large and small values, each held against Python's fractions."""

import statistics
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.features import Entity, Feature, FeatureError, FeatureSet
from ml_assets.features.queries.definition import definition_query
from ml_assets.features.queries.schema import snapshot_types
from ml_assets.features.queries.snapshots import snapshot_query
from ml_assets.features.queries.spine import spine_query
from ml_assets.features.queries.tiles import tiles_query
from ml_assets.lake import connect
from ml_assets_tests.profiles import examples

AS_OF = date(2024, 3, 10)
MOMENT = f"TIMESTAMPTZ '{AS_OF} 00:00:00+00'"
FEATURES = (
    Feature(name="spread", stddev="price", windows=("5d",)),
    Feature(name="total", sum="price", windows=("5d",)),
    Feature(name="average", mean="price", windows=("5d",)),
)


def group(kind: str) -> FeatureSet:
    times = dict.fromkeys(("occurred_at", "available_at"), "TIMESTAMP WITH TIME ZONE")
    columns = {"shop": "BIGINT", "price": kind, "event_date": "DATE"} | times
    return FeatureSet(Entity("shop"), FEATURES, {"sales": columns})


def found(
    kind: str, prices: Sequence[tuple[int, str]]
) -> list[dict[int, tuple[float | None, Decimal, float]]]:
    """Per shop spread, total and average: by the snapshot, by the spine and by definition; a sale every 20 hours."""
    features = group(kind)
    with connect() as con:
        con.execute(f"CREATE TABLE sales_events (shop BIGINT, price {kind}, occurred_at TIMESTAMPTZ)")
        for n, (shop, price) in enumerate(prices):
            at = f"{MOMENT} - INTERVAL {20 * (n % 5) + 1} HOUR"
            con.execute(f"INSERT INTO sales_events VALUES ({shop}, '{price}', {at})")
        con.execute("ALTER TABLE sales_events ADD COLUMN available_at TIMESTAMPTZ")
        con.execute("ALTER TABLE sales_events ADD COLUMN event_date DATE")
        con.execute("UPDATE sales_events SET available_at = occurred_at, event_date = occurred_at::DATE")
        con.execute("CREATE VIEW true_sales AS FROM sales_events")
        con.execute(f"CREATE TABLE tiles AS {tiles_query(features)}")
        con.execute(
            f"CREATE TABLE spine AS SELECT row_number() OVER () AS __row, shop, {MOMENT} AS as_of FROM "
            "(SELECT DISTINCT shop FROM sales_events)"
        )
        spine = f"SELECT shop, found.* FROM ({spine_query(features)}) AS found JOIN spine USING (__row)"
        queries = (snapshot_query(features, AS_OF, AS_OF), spine, definition_query(features, MOMENT))
        return [
            {
                shop: tuple(values)
                for shop, *values in con.sql(query).select("shop, spread, total, average").fetchall()
            }
            for query in queries
        ]


@given(
    st.lists(st.decimals(-99_999_999, 99_999_999, places=4), min_size=2, max_size=8),
    st.sampled_from([1, 1000, 100_000]),
)
@examples(20, deadline=None)
def test_all_plans_give_what_fractions_give(prices: list[Decimal], divided: int) -> None:
    given_prices = [(price / divided).quantize(Decimal("0.0001")) for price in prices]
    wanted = statistics.stdev(map(Fraction, given_prices))
    for plan in found("DECIMAL(18,4)", [(1, str(price)) for price in given_prices]):
        spread, total, average = plan[1]
        assert spread == pytest.approx(wanted, rel=1e-9, abs=1e-4)
        assert total == sum(given_prices)
        assert average == pytest.approx(float(sum(map(Fraction, given_prices)) / len(prices)), rel=1e-12)


def test_from_a_thousand_up() -> None:
    for plan in found("DECIMAL(18,4)", [(1, "1"), (1, "1000")]):
        assert plan[1][0] == pytest.approx(999 / 2**0.5, rel=1e-12)


def test_an_extreme_value_stops_no_other_shop_and_is_not_passed_over() -> None:
    prices = [(1, "1"), (1, "99999999999999"), (1, "3"), (2, "1"), (2, "3"), (3, "-100000000"), (3, "5")]
    for plan in found("DECIMAL(18,4)", prices):
        assert [plan[shop][0] for shop in (1, 3)] == [None, None]
        assert plan[2][0] == pytest.approx(2**0.5)
        assert plan[1][1] == Decimal("100000000000003")


def test_many_large_values_stay_close() -> None:
    con = duckdb.connect()
    parts = {"n": "10000000::BIGINT", "sum": "0::DECIMAL(38, 6)", "squares": "1e23::DECIMAL(38, 12)"}
    aggregation = FEATURES[0].aggregation
    assert aggregation is not None
    finish = aggregation.finish(parts, MOMENT)  # type: ignore[attr-defined]
    [(spread,)] = con.execute(f"SELECT {finish}").fetchall()
    assert spread == pytest.approx(1e8)


@pytest.mark.parametrize("kind", ["sum", "mean", "stddev"])
def test_values_of_more_decimals_than_sums_keep_are_refused(kind: str) -> None:
    columns = dict(group("DECIMAL(18,9)").sources["sales"])
    feature = Feature.model_validate({"name": "tiny", kind: "price", "windows": ["5d"]})
    with pytest.raises(
        FeatureError, match=r"feature tiny: price is a DECIMAL\(18,9\), and sums keep 6 decimals"
    ):
        snapshot_types(FeatureSet(Entity("shop"), (feature,), {"sales": columns}))
