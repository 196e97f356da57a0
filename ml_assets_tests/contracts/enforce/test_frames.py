import re
import warnings
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from ml_assets.contracts import Contract, ContractError
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.frames import frame_schema
from ml_assets.contracts.enforce.validate import validate
from ml_assets_tests.places import CONTRACTS as FIXTURES
from ml_assets_tests.profiles import examples

MOMENT = datetime(2017, 1, 5, 10, tzinfo=UTC)
EVENT: dict[str, dict[str, Any]] = {
    "good": {
        "basket_id": 1,
        "shop": "north",
        "quantity": 2,
        "amount": Decimal("3.00"),
        "weight": 1.5,
        "day": date(2017, 1, 5),
        "gift": True,
        "code": "ABC",
        "brand": "National",
        "ticket": 7,
        "note": "fine",
        "unit_price": Decimal("1.50"),
        "occurred_at": MOMENT,
    },
    "every_rule": {
        "order_id": 1,
        "product_id": 1,
        "shop": "north",
        "amount": Decimal("3.00"),
        "voucher": "V1",
        "email": "0" * 64,
        "occurred_at": MOMENT,
        "available_at": MOMENT,
    },
}


def contract_of(name: str) -> Contract:
    return load_contract(FIXTURES / f"{name}.yaml")


def events(con: duckdb.DuckDBPyConnection, contract: Contract, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Typed events as a frame; the table ``events`` holds them too."""
    columns = ", ".join(f'"{column.name}" {column.stored_type}' for column in contract.columns)
    con.execute(f"CREATE OR REPLACE TABLE events ({columns})")
    for row in rows:
        marks = ", ".join("?" for _ in contract.columns)
        con.execute(f"INSERT INTO events VALUES ({marks})", [row[column.name] for column in contract.columns])
    con.execute(
        "CREATE OR REPLACE VIEW dated AS SELECT *, CAST(occurred_at AS DATE) AS event_date FROM events"
    )
    frame: pd.DataFrame = con.sql("SELECT * FROM dated").to_arrow_table().to_pandas()
    return frame


def broken(contract: Contract, frame: pd.DataFrame) -> dict[str, int]:
    """How many rows break each rule, by the rule's name; None for those that warn."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            frame_schema(contract).validate(frame, lazy=True)
            failures: dict[str, int] = {}
        except SchemaErrors as error:
            failures = dict(error.failure_cases.groupby("check")["index"].nunique())
    for warning in caught:
        for name in re.findall(r"(?<=Check )\w+|(?<=<Check )\w+", str(warning.message)):
            failures[f"warning {name}"] = 1
    return failures


def several(name: str, *changes: dict[str, Any]) -> list[dict[str, Any]]:
    """The good event with changes, its keys made unique."""
    keys = {"good": ("basket_id", "ticket"), "every_rule": ("order_id",)}[name]
    rows = []
    for number, change in enumerate(changes, start=1):
        row = EVENT[name] | dict.fromkeys(keys, number)
        if name == "every_rule":
            row["voucher"] = f"V{number}"
        rows.append(row | change)
    return rows


@pytest.mark.parametrize("name", ["good", "every_rule"])
def test_good_events_pass(con: duckdb.DuckDBPyConnection, name: str) -> None:
    contract = contract_of(name)
    frame = events(con, contract, several(name, {}, {}, {}))
    assert broken(contract, frame) == {}
    assert list(frame_schema(contract).columns) == [column.name for column in contract.columns]


def test_empty_values_pass_where_none_is_required(con: duckdb.DuckDBPyConnection) -> None:
    contract = contract_of("good")
    optional = {column.name: None for column in contract.columns if not column.required}
    frame = events(con, contract, several("good", {}, {**optional, "note": "fine"}))
    assert frame["quantity"].dtype == float
    assert broken(contract, frame) == {}


@pytest.mark.parametrize(
    ("name", "change", "rules"),
    [
        ("good", {"quantity": -1}, ["quantity_minimum"]),
        ("good", {"quantity": 1000}, ["quantity_exclusive_maximum"]),
        ("good", {"amount": None}, ["amount_required"]),
        ("good", {"amount": Decimal("-0.01")}, ["amount_minimum"]),
        ("good", {"weight": 0.0}, ["weight_exclusive_minimum"]),
        ("good", {"weight": 100.5}, ["weight_maximum"]),
        ("good", {"day": date(2016, 12, 31)}, ["day_minimum"]),
        ("good", {"code": "A"}, ["code_min_length"]),
        ("good", {"code": "ABCDE"}, ["code_max_length"]),
        ("good", {"code": "abc"}, ["code_pattern"]),
        ("good", {"code": "ABC\n"}, ["code_pattern"]),
        ("good", {"brand": "national"}, ["brand_valid_values"]),
        ("good", {"shop": None}, ["shop_required"]),
        ("good", {"occurred_at": None}, ["occurred_at_required"]),
        ("good", {"note": None}, ["warning note_required"]),
        ("every_rule", {"shop": "N/A"}, ["shop_missing", "shop_valid_values"]),
        ("every_rule", {"shop": ""}, ["shop_missing", "shop_valid_values"]),
        ("every_rule", {"shop": None}, ["shop_missing"]),
        ("every_rule", {"voucher": "X"}, ["voucher_valid_pattern"]),
        ("every_rule", {"available_at": MOMENT - timedelta(seconds=1)}, ["available_after_occurred"]),
        ("every_rule", {"email": None}, []),
    ],
)
def test_a_broken_rule_has_the_name_that_it_has_in_sql(
    con: duckdb.DuckDBPyConnection, name: str, change: dict[str, Any], rules: list[str]
) -> None:
    contract = contract_of(name)
    frame = events(con, contract, several(name, {}, change))
    assert sorted(broken(contract, frame)) == sorted(rules)
    in_sql = {rule.name for rule in contract.row_rules}
    assert {rule.removeprefix("warning ") for rule in rules} <= in_sql


def test_repeats_are_found_within_a_day(con: duckdb.DuckDBPyConnection) -> None:
    contract = contract_of("good")
    tomorrow = {"basket_id": 1, "ticket": 1, "occurred_at": MOMENT + timedelta(days=1)}
    rows = several("good", {}, {"basket_id": 1}, {"ticket": 1}, tomorrow, {"ticket": None}, {"ticket": None})
    frame = events(con, contract, rows)
    assert broken(contract, frame) == {"unique_shop_basket_id": 1, "unique_ticket": 1}
    assert broken(contract, frame.drop(columns="event_date")) == {
        "unique_shop_basket_id": 1,
        "unique_ticket": 1,
    }


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("quantity", [1.5]),
        ("quantity", ["1"]),
        ("quantity", [2**31]),
        ("amount", [1.5]),
        ("amount", [Decimal("1.234")]),
        ("amount", [Decimal("123456789.00")]),
        ("weight", [float("inf")]),
        ("day", [datetime(2017, 1, 5, 10)]),
        ("gift", ["true"]),
        ("code", [5]),
        ("occurred_at", [datetime(2017, 1, 5, 10)]),
    ],
)
def test_a_value_of_another_type_is_named(
    con: duckdb.DuckDBPyConnection, column: str, values: list[Any]
) -> None:
    contract = contract_of("good")
    frame = events(con, contract, several("good", {}))
    if column == "occurred_at":
        frame["event_date"] = date(2017, 1, 5)
    frame[column] = pd.Series(values, dtype=object)
    assert broken(contract, frame) == {f"{column}_type": 1}


def test_frames_with_other_types_of_pandas_pass(con: duckdb.DuckDBPyConnection) -> None:
    contract = contract_of("good")
    frame = events(con, contract, several("good", {}, {"quantity": None, "gift": None, "code": None}))
    assert broken(contract, frame.convert_dtypes()) == {}
    frame["day"] = pd.to_datetime(frame["day"])
    assert broken(contract, frame) == {}


def test_a_missing_column_is_named(con: duckdb.DuckDBPyConnection) -> None:
    contract = contract_of("good")
    frame = events(con, contract, several("good", {})).drop(columns="code")
    with pytest.raises(SchemaErrors, match="code"):
        frame_schema(contract).validate(frame, lazy=True)


def test_a_contract_whose_file_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text((FIXTURES / "good.yaml").read_text())
    contract = load_contract(path)
    path.write_text(path.read_text() + "# more\n")
    with pytest.raises(ContractError, match="has changed since the contract was loaded"):
        frame_schema(contract)


VALUES: dict[str, list[Any]] = {
    "basket_id": [1, 2, None],
    "shop": ["north", "web", "N/A", "", None, "East"],
    "quantity": [-1, 0, 999, 1000, None],
    "amount": [Decimal("-1"), Decimal("0"), Decimal("5.5"), None],
    "weight": [0.0, 0.1, 100.0, 100.1, None],
    "day": [date(2016, 12, 31), date(2017, 1, 1), None],
    "gift": [True, False, None],
    "code": ["A", "AB", "ABCDE", "ab", "é", "", None],
    "brand": ["National", "Private", "x", None],
    "ticket": [1, 2, None],
    "note": ["", "x", None],
    "unit_price": [Decimal("1.50"), None],
    "order_id": [1, 2, None],
    "product_id": [1, None],
    "voucher": ["V1", "V2", "W", None],
    "email": ["0" * 64, None],
    "occurred_at": [MOMENT, MOMENT + timedelta(days=1)],
    "available_at": [MOMENT, MOMENT + timedelta(days=2), None],
}


@examples(25)
@given(data=st.data(), name=st.sampled_from(["good", "every_rule"]))
def test_frames_break_the_rules_that_tables_break(data: st.DataObject, name: str) -> None:
    contract = contract_of(name)
    row = st.fixed_dictionaries(
        {column.name: st.sampled_from(VALUES[column.name]) for column in contract.columns}
    )
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    with duckdb.connect(":memory:") as con:
        con.execute("SET TimeZone = 'UTC'")
        frame = events(con, contract, rows)
        none = con.sql("SELECT NULL::DATE AS event_date, []::VARCHAR[] AS reasons WHERE FALSE")
        results = validate(contract, con, con.view("dated"), none, [MOMENT.date()])
    names = {rule.name for rule in contract.row_rules}
    wanted = {
        result.rule.name
        if result.rule.severity == "error"
        else f"warning {result.rule.name}": result.violations
        for result in results
        if result.rule.name in names and not result.passed
    }
    found = broken(contract, frame)
    assert {**found, **{rule: 1 for rule in found if rule.startswith("warning")}} == {
        rule: 1 if rule.startswith("warning") else count for rule, count in wanted.items()
    }
