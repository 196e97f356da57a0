from concurrent.futures import ThreadPoolExecutor

import pytest

from ml_assets.features import FeatureError
from ml_assets.features.sql import columns_of, transpile


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("amount", {"amount"}),
        ("amount * 2 + amount - fee", {"amount", "fee"}),
        ("CASE WHEN brand = 'fee' THEN amount END", {"brand", "amount"}),
        ('"two words" IS NOT NULL', {"two words"}),
        ("1 + 1", set()),
        ("'amount'", set()),
    ],
)
def test_the_columns_an_expression_reads(text: str, columns: set[str]) -> None:
    found = columns_of(text, "x")
    assert set(found) == columns
    assert len(found) == len(columns), "each is named once"


@pytest.mark.parametrize(
    "text", ["amount +", "(amount", "amount; DROP TABLE events", "1) FROM events WHERE (2"]
)
def test_what_is_no_expression_names_the_feature(text: str) -> None:
    with pytest.raises(FeatureError) as refused:
        columns_of(text, "feature spend")
    assert str(refused.value).startswith(f"feature spend: {text!r} isn't a DuckDB expression: ")


def test_threads_do_not_get_each_others_columns() -> None:
    names = [f"column_{n}" for n in range(1_000)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda name: columns_of(f"{name} + 1", "x"), names))
    assert [set(columns) for columns in found] == [{name} for name in names]


def test_a_query_in_the_dialect_of_spark() -> None:
    assert transpile("SELECT LIST(DISTINCT x) FROM t", "spark") == "SELECT COLLECT_LIST(DISTINCT x) FROM t"
    assert transpile("SELECT TRY([x * y])[1] FROM t", "spark") == "SELECT ARRAY(x * y)[0] FROM t"
