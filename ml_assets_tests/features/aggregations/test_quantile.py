from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_assets.features import Entity, Feature, FeatureError, FeatureSet
from ml_assets.features.aggregations.quantile import Quantile
from ml_assets.features.proofs.example import try_example
from ml_assets.features.queries.schema import snapshot_types
from ml_assets.lake import connect
from ml_assets_tests.features.oracle import SOURCE
from ml_assets_tests.profiles import examples


def tried(con: duckdb.DuckDBPyConnection, amounts: list[str], gives: object, **how: Any) -> list[str]:
    """The example's amounts, a day apart, through the snapshot and the spine."""
    events = [{"ago": f"{n}d", "amount": amount} for n, amount in enumerate(amounts, 1)]
    example = {"events": events, "gives": gives}
    feature = Feature.model_validate(
        {"name": "x", "quantile": "amount", "windows": ["90d"], "example": example} | how
    )
    return try_example(con, FeatureSet(Entity("household_id"), (feature,), {"shop": SOURCE}), feature)


@pytest.mark.parametrize(
    ("amounts", "q", "gives"),
    [
        (["3.10", "1.10", "2.10"], None, "2.10"),
        (["4.10", "3.10", "1.10", "2.10"], None, "2.10"),
        (["4.10", "3.10", "1.10", "2.10"], 0.500001, "3.10"),
        (["1", "1", "1", "9"], 0.75, "1.00"),
        (["1", "1", "1", "9"], 0.76, "9.00"),
        (["5"], 0.000001, "5.00"),
        (["5"], 0.999999, "5.00"),
        ([str(n) for n in range(1, 11)], 0.7, "7.00"),
        ([str(n) for n in range(1, 11)], 0.3, "3.00"),
    ],
)
def test_the_smallest_value_that_the_share_does_not_exceed(
    con: duckdb.DuckDBPyConnection, amounts: list[str], q: float | None, gives: str
) -> None:
    assert tried(con, amounts, gives, q=q) == []


@examples(40)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.integers(1, 999_999))
def test_it_is_what_duckdb_has(values: list[int], millionths: int) -> None:
    counts = "(SELECT 1 AS k, __value, count(*) AS __n FROM v GROUP BY ALL) AS counts"
    q = millionths / 1_000_000
    query = Quantile("x", "amount", q=q).finish_counts(counts, "k", "x")
    with connect() as con:
        con.execute("CREATE TABLE v AS SELECT unnest($1::INT[]) AS __value", [values])
        [(_, found)] = con.execute(query).fetchall()
        assert [(found,)] == con.execute(f"SELECT quantile_disc(__value, {q:f}) FROM v").fetchall()


@pytest.mark.parametrize(
    ("expression", "sql_type"),
    [
        ("amount", "DECIMAL(9,2)"),
        ("basket_id", "BIGINT"),
        ("event_date", "DATE"),
        ("occurred_at", "TIMESTAMP WITH TIME ZONE"),
    ],
)
def test_it_is_of_the_type_of_the_values(expression: str, sql_type: str) -> None:
    assert schema(expression)["x"] == sql_type


def schema(expression: str) -> dict[str, str]:
    feature = Feature(name="x", quantile=expression, windows=("7d",))
    return snapshot_types(FeatureSet(Entity("household_id"), (feature,), {"shop": SOURCE}))


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (
            "amount / 3",
            "feature x: amount / 3 is a DOUBLE, and quantile takes an exact number, a date or a time: an integer, a "
            "DECIMAL, a DATE or a TIMESTAMP; cast it: CAST(amount / 3 AS DECIMAL(18, 4))",
        ),
        (
            "department",
            "feature x: department is a VARCHAR, and quantile takes an exact number, a date or a time",
        ),
        ("[amount]", "feature x: [amount] is a DECIMAL(9,2)[], and quantile takes"),
    ],
)
def test_other_types_are_refused(expression: str, said: str) -> None:
    with pytest.raises(FeatureError) as refused:
        schema(expression)
    assert said in str(refused.value)
    assert refused.value.found == "x"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"quantile": "amount", "q": 0},
            "feature x: q is a share between 0 and 1, such as 0.5 for the median, not 0",
        ),
        ({"quantile": "amount", "q": 1}, "the smallest and the largest value are min and max"),
        ({"quantile": "amount", "q": 50}, "not 50"),
        ({"quantile": "amount", "q": float("nan")}, "not nan"),
        ({"quantile": "amount", "q": 0.1234567}, "feature x: q has at most six decimals, not 0.1234567"),
        ({"sum": "amount", "q": 0.5}, "feature x: sum takes no q, which is for quantile"),
    ],
)
def test_q_is_a_share_and_for_quantiles(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Feature.model_validate({"name": "x", "windows": ["7d"]} | given)


def test_nothing_of_no_events(con: duckdb.DuckDBPyConnection) -> None:
    assert tried(con, ["1"], None, where="amount > 5") == []
