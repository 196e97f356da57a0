import duckdb
import pytest
from pydantic import ValidationError

from ml_assets.features import Entity, Feature, FeatureError, FeatureSet
from ml_assets.features.proofs.expected import find_unexpected
from ml_assets.features.queries.schema import snapshot_types
from ml_assets_tests.features.oracle import SOURCE

ROWS = "SELECT * FROM (VALUES (1, 0.5, 'a'), (2, NULL, NULL), (9, 1.5, NULL), (NULL, 0.0, 'b')) AS t(trips, share, top)"


def unexpected(con: duckdb.DuckDBPyConnection, rows: str = ROWS, **expect: object) -> list[str]:
    features = FeatureSet(
        Entity("household_id"),
        tuple(
            Feature.model_validate({"name": name, "last": "amount", "expect": given})
            for name, given in expect.items()
        ),
        {"shop": SOURCE},
    )
    return [str(each) for each in find_unexpected(con, features, con.sql(rows))]


def test_what_is_expected_passes(con: duckdb.DuckDBPyConnection) -> None:
    assert (
        unexpected(
            con, trips={"min": 1, "max": 9, "empty": 0.25}, share={"min": 0, "max": 1.5}, top={"empty": 0.5}
        )
        == []
    )
    assert unexpected(con) == []
    assert unexpected(con, f"{ROWS} WHERE trips > 99", trips={"min": 1, "empty": 0}) == []


def test_what_is_not_is_told_with_its_numbers(con: duckdb.DuckDBPyConnection) -> None:
    assert unexpected(
        con, trips={"min": 2, "max": 8, "empty": 0.1}, share={"max": 1}, top={"empty": 0.4}
    ) == [
        "trips: at least 2 expected, 1 found, 1 rows",
        "trips: at most 8 expected, 9 found, 1 rows",
        "trips: at most 10.0% empty expected, 0.25 found, 1 rows",
        "share: at most 1 expected, 1.5 found, 1 rows",
        "top: at most 40.0% empty expected, 0.5 found, 2 rows",
    ]


def test_the_median_and_the_values_there_can_be(con: duckdb.DuckDBPyConnection) -> None:
    assert unexpected(con, trips={"median": [1, 3]}, top={"values": ["a", "b"]}) == []
    assert unexpected(con, trips={"median": [3, 9]}, top={"values": ["b", "it's"]}) == [
        "trips: a median from 3 to 9 expected, 2.0 found, 3 rows",
        "top: one of b, it's expected, a found, 1 rows",
    ]


def test_bounds_are_for_numbers_and_shares_for_shares() -> None:
    text = Feature.model_validate({"name": "top", "last": "department", "expect": {"max": 1}})
    with pytest.raises(
        FeatureError, match=r"feature top: expect.min, max and median are for numbers, and it is a VARCHAR"
    ):
        snapshot_types(FeatureSet(Entity("household_id"), (text,), {"shop": SOURCE}))
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Feature.model_validate({"name": "top", "last": "department", "expect": {"empty": 5}})
