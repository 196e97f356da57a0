from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from ml_assets.contracts import Contract
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.classify import classify
from ml_assets_tests.places import CONTRACTS

GOOD: dict[str, Any] = {
    "Basket": "1",
    "shop": "north",
    "quantity": "2",
    "amount": "3.00",
    "weight": "1.5",
    "day": "05/01/2017",
    "gift": "true",
    "code": "ABC",
    "brand": "National",
    "ticket": "7",
    "note": "fine",
    "occurred_at": "2017-01-05 10:00:00",
}
DAY = "2017-01-05"
OPERATORS = [
    ("mustBe: 2", {1: False, 2: True, 3: False}),
    ("mustNotBe: 2", {1: True, 2: False, 3: True}),
    ("mustBeGreaterThan: 2", {1: False, 2: False, 3: True}),
    ("mustBeGreaterOrEqualTo: 2", {1: False, 2: True, 3: True}),
    ("mustBeLessThan: 2", {1: True, 2: False, 3: False}),
    ("mustBeLessOrEqualTo: 2", {1: True, 2: True, 3: False}),
    ("mustBeBetween: [2, 3]", {1: False, 2: True, 3: True}),
    ("mustNotBeBetween: [2, 3]", {1: True, 2: False, 3: False}),
]
"""A limit of a quality entry, and which of the numbers 1 to 3 keep it."""


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.fixture(scope="session")
def contract() -> Contract:
    return load_contract(CONTRACTS / "good.yaml")


def landed(
    con: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]], *, landing_date: str = DAY
) -> duckdb.DuckDBPyRelation:
    """Raw text rows as they come from CSV: the good row with some values replaced, tickets made unique.

    A file is seen 3 days after the start of its day unless ``seen_at`` says otherwise.
    """
    columns = ", ".join(f'"{name}" VARCHAR' for name in GOOD)
    con.execute(
        f"CREATE OR REPLACE TABLE landed ({columns}, landing_date DATE, file VARCHAR, content_hash VARCHAR, "
        "row_number BIGINT, seen_at TIMESTAMPTZ)"
    )
    for number, row in enumerate(rows, start=1):
        day = row.get("landing_date", landing_date)
        full = GOOD | {"Basket": str(number), "ticket": str(number)} | row
        values = [full[name] for name in GOOD]
        marks = ", ".join("?" for _ in values)
        con.execute(
            f"INSERT INTO landed VALUES ({marks}, ?, ?, 'hash', ?, coalesce(?, CAST(? AS DATE) + INTERVAL 3 DAY))",
            [*values, day, f"{day}.csv", number, row.get("seen_at"), day],
        )
    return con.table("landed")


def classified(
    contract: Contract,
    con: duckdb.DuckDBPyConnection,
    rows: list[dict[str, Any]],
    *,
    late_days: int = 0,
    landing_date: str = DAY,
) -> list[dict[str, Any]]:
    """The classified rows in the order they landed."""
    relation = classify(contract, con, landed(con, rows, landing_date=landing_date), late_days=late_days)
    names = relation.columns
    return [
        dict(zip(names, row, strict=True))
        for row in relation.order("landing_date, file, row_number").fetchall()
    ]
