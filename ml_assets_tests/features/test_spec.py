from typing import Any

import pytest
from pydantic import ValidationError

from ml_assets.features import Entity, Feature, FeatureError, FeatureSet

SOURCE = {
    "household_id": "BIGINT",
    "basket_id": "BIGINT",
    "amount": "DECIMAL(18,2)",
    "department": "VARCHAR",
    "brand": "VARCHAR",
    "occurred_at": "TIMESTAMP WITH TIME ZONE",
    "available_at": "TIMESTAMP WITH TIME ZONE",
}


def declared(*features: dict[str, Any], entity: str = "household_id") -> FeatureSet:
    return FeatureSet(Entity(entity), tuple(Feature(**feature) for feature in features), {"shop": SOURCE})


# one feature


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        (
            {"name": "x", "sum": "amount", "count": "*", "windows": ["7d"]},
            r"feature x: give exactly one of count, count_distinct, sum, .* or sql; found count and sum",
        ),
        ({"name": "x", "windows": ["7d"]}, r"feature x: give exactly one of .* or sql; found none"),
        (
            {"name": "x", "sql": "1", "mean": "amount", "windows": ["7d"]},
            "feature x: .*found mean and sql",
        ),
        ({"name": "x", "sum": "amount"}, r"feature x: sum needs windows, for example \[7d, 28d\]"),
        ({"name": "x", "mode": "brand", "windows": []}, "feature x: mode needs windows"),
        (
            {"name": "x", "count": "*", "windows": [28]},
            "a window is a number of days such as 28d, not 28: write 28d",
        ),
        (
            {"name": "x", "count": "*", "windows": ["28"]},
            "a window is a number of days such as 7d, 28d or 56d, not '28'",
        ),
        ({"name": "x", "count": "*", "windows": ["4w"]}, "not '4w'"),
        ({"name": "x", "count": "*", "windows": ["0d"]}, "not '0d'"),
        ({"name": "x", "count": "*", "windows": ["-7d"]}, "not '-7d'"),
        ({"name": "x", "count": "*", "windows": ["7d "]}, "not '7d '"),
        ({"name": "x", "count": "*", "windows": [None]}, "not None"),
        (
            {"name": "x", "count": "*", "windows": ["7d", "28d", "7d"]},
            r"feature x: a window is named twice in \['7d', '28d', '7d'\]",
        ),
        ({"name": "x", "sql": "1", "windows": ["7d"]}, "feature x: sql takes no windows"),
        ({"name": "x", "last": "brand", "windows": ["7d"]}, "feature x: last takes no windows"),
        (
            {"name": "x", "time_since_last": "day", "windows": ["7d"]},
            "feature x: time_since_last takes no windows",
        ),
        ({"name": "x", "sql": "1", "where": "amount > 0"}, "feature x: sql is over features, .* no where"),
        ({"name": "x", "time_since_last": "hour"}, "Input should be 'day'"),
        ({"name": "x", "total": "amount", "windows": ["7d"]}, "Extra inputs are not permitted"),
        ({"name": "Spend", "count": "*", "windows": ["7d"]}, "String should match pattern"),
        (
            {"name": "__row", "count": "*", "windows": ["7d"]},
            "feature __row: columns that queries make begin with __; rename it",
        ),
        ({"name": "x y", "count": "*", "windows": ["7d"]}, "String should match pattern"),
    ],
    ids=str,
)
def test_an_invalid_feature_says_what_is_wrong(feature: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Feature(**feature)


@pytest.mark.parametrize(
    ("feature", "columns"),
    [
        ({"name": "spend", "sum": "amount", "windows": ["28d"]}, {"spend": 28}),
        (
            {"name": "spend", "sum": "amount", "windows": ["28d", "7d"]},
            {"spend_28d": 28, "spend_7d": 7},
        ),
        ({"name": "recency", "time_since_last": "day"}, {"recency": None}),
        ({"name": "ratio", "sql": "1"}, {"ratio": None}),
    ],
    ids=str,
)
def test_one_window_keeps_the_name_and_several_append(
    feature: dict[str, Any], columns: dict[str, int | None]
) -> None:
    found = Feature(**feature).columns
    assert (found, list(found)) == (columns, list(columns))


def test_kind_and_expression() -> None:
    feature = Feature(name="spend", sum="amount - 1", windows=("7d",))
    assert (feature.kind, feature.expression) == ("sum", "amount - 1")


# the features of an entity

SPEND = {"name": "spend", "sum": "amount", "windows": ["7d", "28d"]}
ITEMS = {"name": "items", "count": "*", "windows": ["7d"]}


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (
            [{"name": "spend", "sum": "amuont", "windows": ["7d"]}],
            "feature spend: no column amuont; did you mean amount[?]",
        ),
        (
            [{"name": "x", "count": "*", "where": "brnad = 'Private'", "windows": ["7d"]}],
            "feature x: no column brnad; did you mean brand[?]",
        ),
        (
            [{"name": "x", "sum": "zzz", "windows": ["7d"]}],
            "feature x: no column zzz; there are household_id, basket_id, amount",
        ),
        (
            [SPEND, {"name": "trend", "sql": "spend_7d / spend_26d"}],
            "feature trend: no column spend_26d; did you mean spend_28d[?]",
        ),
        ([ITEMS, {"name": "x", "sql": "amount / items"}], "feature x: no column amount; "),
        ([SPEND, {"name": "trend", "sql": "spend"}], "feature trend: no column spend; did you mean spend_"),
        (
            [{"name": "a", "sql": "b + 1"}, {"name": "b", "sql": "c + 1"}, {"name": "c", "sql": "a"}, ITEMS],
            "features a, b, c need each other in a circle: break it",
        ),
        ([{"name": "a", "sql": "a + 1"}], "features a need each other in a circle"),
        ([ITEMS, ITEMS], "two features give a column items: rename one"),
        (
            [SPEND, {"name": "spend_7d", "count": "*", "windows": ["7d"]}],
            "two features give a column spend_7d: rename one",
        ),
        ([{**ITEMS, "name": "as_of"}], "feature as_of: the name is taken by the snapshot's own column"),
        ([{**ITEMS, "name": "household_id"}], "feature household_id: the name is taken"),
        (
            [SPEND, {**ITEMS, "name": "spend__sum"}],
            "feature spend__sum: the name is taken by a part of spend; rename it",
        ),
        (
            [SPEND, {**ITEMS, "name": "spend_7d__sum"}],
            "feature spend_7d__sum: the name is taken by a part of spend; rename it",
        ),
        (
            [{"name": "x", "sum": "amount +", "windows": ["7d"]}],
            "feature x: 'amount [+]' isn't a DuckDB expr",
        ),
        ([{"name": "x", "sum": "(amount", "windows": ["7d"]}], "feature x: '[(]amount' isn't a DuckDB expr"),
    ],
    ids=str,
)
def test_features_that_cannot_be_resolved(features: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(FeatureError, match=said):
        declared(*features)


def test_an_unknown_entity_names_the_nearest_column() -> None:
    with pytest.raises(
        FeatureError, match="entity houshold_id, in shop: no column houshold_id; did you mean household_id"
    ):
        declared(ITEMS, entity="houshold_id")


def test_sql_features_are_ordered_in_layers_whatever_their_order() -> None:
    features = declared(
        {"name": "c", "sql": "b + a"}, {"name": "b", "sql": "a + items"}, ITEMS, {"name": "a", "sql": "items"}
    )
    assert [[f.name for f in layer] for layer in features.ordered_sql] == [["a"], ["b"], ["c"]]
    assert features.columns == ["c", "b", "items", "a"]


def test_the_longest_window_and_unlimited_look_back() -> None:
    limited = declared(SPEND, ITEMS)
    assert limited.longest_window == 28
    for unlimited in ({"last": "brand"}, {"time_since_last": "day"}, {"time_since_first": "day"}):
        features = declared({"name": "x", **unlimited})
        assert features.longest_window == 1


def test_lineage_goes_through_sql_to_the_source() -> None:
    features = declared(
        {"name": "spend", "sum": "amount", "where": "brand = 'Private'", "windows": ["7d", "28d"]},
        {"name": "trend", "sql": "spend_7d / spend_28d"},
        {"name": "twice", "sql": "trend * 2"},
        {"name": "recency", "time_since_last": "day"},
    )
    by_name = {feature.name: features.lineage(feature) for feature in features.features}
    assert (
        by_name["spend"]
        == by_name["twice"]
        == {
            ("shop", "amount"),
            ("shop", "brand"),
            ("shop", "occurred_at"),
        }
    )
    assert by_name["recency"] == {("shop", "occurred_at")}
