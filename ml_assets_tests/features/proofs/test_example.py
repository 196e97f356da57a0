import duckdb
import pytest
from pydantic import ValidationError

from ml_assets.features import Entity, Feature, FeatureError, FeatureSet
from ml_assets.features.proofs.example import try_example
from ml_assets_tests.features.oracle import SOURCE

EVENTS = [{"ago": "1d", "amount": 2}, {"ago": "3d", "amount": "4.50"}, {"ago": "90min"}]


def tried(con: duckdb.DuckDBPyConnection, given: dict[str, object]) -> list[str]:
    feature = Feature.model_validate({"name": "x", **given})
    return try_example(con, FeatureSet(Entity("household_id"), (feature,), {"shop": SOURCE}), feature)


@pytest.mark.parametrize(
    "given",
    [
        {"sum": "amount", "windows": ["2d", "5d"], "example": {"events": EVENTS, "gives": [2, 6.5]}},
        {"mean": "amount", "windows": ["5d"], "example": {"events": EVENTS, "gives": 3.25}},
        {"last": "amount", "example": {"events": EVENTS, "gives": 2}},
        {"attribute": "amount", "example": {"events": EVENTS, "gives": None}},
        {"time_since_last": "day", "example": {"events": EVENTS, "gives": 0.0625}},
        {
            "mode": "department",
            "windows": ["5d"],
            "example": {"events": [{"ago": "1h", "department": "it's"}], "gives": "it's"},
        },
        {"sum": "amount", "windows": ["2d"]},
    ],
)
def test_a_good_example_passes(con: duckdb.DuckDBPyConnection, given: dict[str, object]) -> None:
    assert tried(con, given) == []


def test_a_wrong_example_says_what_differs(con: duckdb.DuckDBPyConnection) -> None:
    wrong = {"sum": "amount", "windows": ["2d", "5d"], "example": {"events": EVENTS, "gives": [2, 7]}}
    assert tried(con, wrong) == [
        "x_5d: its example gives 7, the snapshot 6.500000",
        "x_5d: its example gives 7, the spine 6.500000",
    ]
    few = {"sum": "amount", "windows": ["2d", "5d"], "example": {"events": EVENTS, "gives": 2}}
    assert tried(con, few) == ["x: its example gives 2; expected a list of x_2d, x_5d"]


def test_an_event_needs_a_time_and_columns_of_the_source(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(ValidationError, match="needs ago, such as 3d, 5h or 10min, not None"):
        tried(con, {"count": "*", "windows": ["2d"], "example": {"events": [{"amount": 1}], "gives": 1}})
    unknown = {"events": [{"ago": "1d", "amuont": 1}], "gives": 1}
    with pytest.raises(
        FeatureError, match=r"feature x: its example has no column amuont; did you mean amount?"
    ):
        tried(con, {"count": "*", "windows": ["2d"], "example": unknown})
