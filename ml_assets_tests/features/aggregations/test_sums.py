"""Sums and spreads of large and small values, each held against Python's fractions."""

import re
import statistics
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.features import Entity, Feature, FeatureError, FeatureSet
from ml_assets.features.queries.definition import definition_query
from ml_assets.features.queries.schema import snapshot_types, tile_types
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


def group(kind: str, features: tuple[Feature, ...] = FEATURES) -> FeatureSet:
    times = dict.fromkeys(("occurred_at", "available_at"), "TIMESTAMP WITH TIME ZONE")
    columns = {"shop": "BIGINT", "price": kind, "event_date": "DATE"} | times
    return FeatureSet(Entity("shop"), features, {"sales": columns})


def found(
    kind: str, prices: Sequence[tuple[int, str]], asked: tuple[Feature, ...] = FEATURES
) -> list[dict[int, tuple[Any, ...]]]:
    """Per shop the features: by the snapshot, by the spine and by definition; a sale every 20 hours."""
    features = group(kind, asked)
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
        listed = ", ".join(["shop", *(feature.name for feature in asked)])
        spine = f"SELECT shop, found.* FROM ({spine_query(features)}) AS found JOIN spine USING (__row)"
        queries = (snapshot_query(features, AS_OF, AS_OF), spine, definition_query(features, MOMENT))
        return [
            {shop: tuple(values) for shop, *values in con.sql(query).select(listed).fetchall()}
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


@pytest.mark.parametrize(
    ("key", "kind", "most"),
    [("sum", "DECIMAL(18,11)", 10), ("mean", "DECIMAL(18,11)", 10), ("stddev", "DECIMAL(18,7)", 6)],
)
def test_values_of_more_decimals_than_are_exact_are_refused(key: str, kind: str, most: int) -> None:
    columns = dict(group(kind).sources["sales"])
    feature = Feature.model_validate({"name": "tiny", key: "price", "windows": ["5d"]})
    said = rf"feature tiny: price is a {re.escape(kind)}, and {key} is exact up to {most} decimals"
    with pytest.raises(FeatureError, match=said):
        snapshot_types(FeatureSet(Entity("shop"), (feature,), {"sales": columns}))


SUMS = FEATURES[1:]


def test_sums_keep_the_decimals_of_their_values() -> None:
    tiny = [(1, "0.0000000001"), (1, "0.0000000002"), (2, "-12345678.0123456789")]
    for plan in found("DECIMAL(18,10)", tiny, SUMS):
        assert plan[1] == (Decimal("0.0000000003"), pytest.approx(1.5e-10, rel=1e-12))
        assert plan[2][0] == Decimal("-12345678.0123456789")


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        ("INTEGER", "DECIMAL(38,6)"),
        ("BIGINT", "DECIMAL(38,6)"),
        ("DECIMAL(9,2)", "DECIMAL(38,6)"),
        ("DECIMAL(18,6)", "DECIMAL(38,6)"),
        ("DECIMAL(38,0)", "DECIMAL(38,6)"),
        ("DECIMAL(38,8)", "DECIMAL(38,8)"),
    ],
)
def test_what_is_stored_has_six_decimals_or_those_of_the_value(kind: str, stored: str) -> None:
    assert snapshot_types(group(kind, SUMS))["total"] == stored
    assert tile_types(group(kind, SUMS))["total__sum"] == stored


@pytest.mark.parametrize(
    ("kind", "sales", "expression"),
    [
        ("DECIMAL(38,0)", ["9" * 33, "3"], "price"),
        ("DECIMAL(38,0)", ["9" * 38] * 3, "price"),
        ("DECIMAL(38,0)", ["-" + "9" * 37, "9" * 37], "price"),
        ("BIGINT", [str(2**63 - 1), "1"], "price"),
        ("BIGINT", [str(-(2**63)), "1"], "price"),
        ("DECIMAL(18,4)", ["99999999999999", "1"], "price * price"),
        ("INTEGER", [str(2**31 - 1), "1"], "price * price"),
    ],
)
def test_a_value_beyond_sums_stops_no_other_shop(kind: str, sales: list[str], expression: str) -> None:
    """Its own has no sum and no mean, which is not 0; by every plan."""
    features = tuple(
        Feature.model_validate({"name": name, key: expression, "windows": ["5d"]})
        for name, key in (("total", "sum"), ("average", "mean"))
    )
    for plan in found(kind, [(1, price) for price in sales] + [(2, "2"), (2, "3")], features):
        assert plan[1] == (None, None)
        factor = (4, 9) if "*" in expression else (2, 3)
        assert plan[2] == (sum(factor), sum(factor) / 2)


def test_a_shop_without_sales_in_the_window_has_sold_for_nothing() -> None:
    """Also beside one of which that can't be said."""
    only = Feature.model_validate({"name": "total", "sum": "price", "where": "price > 5", "windows": ["5d"]})
    for plan in found("DECIMAL(38,0)", [(1, "1"), (2, "9" * 33)], (only,)):
        assert plan == {1: (0,), 2: (None,)}
