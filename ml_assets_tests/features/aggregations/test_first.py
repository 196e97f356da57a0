import duckdb

from ml_assets.features import Entity, Feature, FeatureSet
from ml_assets.features.proofs.example import try_example
from ml_assets_tests.features.oracle import SOURCE


def tried(con: duckdb.DuckDBPyConnection, events: list[dict[str, object]], gives: object) -> list[str]:
    feature = Feature.model_validate(
        {"name": "x", "first": "amount", "example": {"events": events, "gives": gives}}
    )
    return try_example(con, FeatureSet(Entity("household_id"), (feature,), {"shop": SOURCE}), feature)


def test_the_first_event_that_has_a_value(con: duckdb.DuckDBPyConnection) -> None:
    events: list[dict[str, object]] = [
        {"ago": "1d", "amount": 1},
        {"ago": "900d", "amount": 2},
        {"ago": "901d", "department": "a"},
    ]
    assert tried(con, events, 2) == []
    assert tried(con, events[2:], None) == []


def test_ties_are_broken_as_those_of_the_last_are(con: duckdb.DuckDBPyConnection) -> None:
    assert tried(con, [{"ago": "2d", "amount": n} for n in (4, 7, 5)], 7) == []
