"""What rules a contract comes to, and which of them refuse rows."""

from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from ml_assets.contracts import Contract, DayRule
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.compile.quality import snake
from ml_assets_tests.contracts.conftest import classified
from ml_assets_tests.places import CONTRACTS as FIXTURES


def small(tmp_path: Path, quality: str, *, properties: str = "", schema: str = "") -> Contract:
    """A contract of one number and one text, with ``quality`` for the number, ``schema`` for the schema."""
    path = tmp_path / "contract.yaml"
    path.write_text(
        "apiVersion: v3.2.0\nkind: DataContract\nid: calls\nversion: 1.0.0\nschema:\n  - name: calls\n"
        "    properties:\n      - {name: occurred_at, logicalType: timestamp, required: true}\n"
        "      - {name: word, logicalType: string}\n"
        f"      - {{name: number, logicalType: integer{properties}, quality: [{quality}]}}\n"
        f"    quality: [{schema}]\n"
    )
    return load_contract(path)


def test_every_rule_of_the_standard_is_taken() -> None:
    contract = load_contract(FIXTURES / "every_rule.yaml")
    rows = {rule.name: (rule.kind, rule.severity) for rule in contract.row_rules if rule.kind != "type"}
    assert rows == {
        "order_id_required": ("required", "error"),
        "shop_missing": ("value", "error"),
        "shop_valid_values": ("value", "error"),
        "voucher_valid_pattern": ("value", "error"),
        "email_min_length": ("value", "error"),
        "email_valid_pattern": ("value", "error"),
        "occurred_at_required": ("required", "error"),
        "available_at_required": ("required", "error"),
        "event_date_in_window": ("window", "error"),
        "occurred_before_seen": ("clock", "error"),
        "available_after_occurred": ("value", "error"),
        "unique_order_id": ("unique", "error"),
        "voucher_used_once": ("unique", "error"),
    }
    days = {
        rule.name: (rule.kind, rule.limit.operator, rule.limit.bound, rule.unit)
        for rule in contract.day_rules
    }
    assert days == {
        "product_id_nulls": ("violations", "mustBeLessOrEqualTo", 50, "percent"),
        "duplicate_product_id": ("duplicates", "mustBeLessThan", 3, "rows"),
        "some_product": ("sql", "mustBeGreaterThan", 0, "rows"),
        "amount_missing": ("violations", "mustBeLessThan", 60, "percent"),
        "odd_prices": ("violations", "mustBeLessOrEqualTo", 1, "rows"),
        "email_nulls": ("violations", "mustBeLessThan", 100, "percent"),
        "row_count": ("rows", "mustBeBetween", (1, 6), "rows"),
        "refused_share": ("refused", "mustBeLessThan", 50, "percent"),
        "duplicate_product_id_shop": ("duplicates", "mustBeLessThan", 60, "percent"),
        "dearest": ("sql", "mustBeLessThan", 100, "rows"),
        "product_id_in_products": ("reference", "mustBe", 0, "rows"),
        "priced": ("reference", "mustBe", 0, "rows"),
    }
    trends = {rule.name: (rule.kind, rule.weeks, rule.low, rule.high) for rule in contract.trend_rules}
    assert trends == {
        "shop_categories_trend": ("categories", 4, 0, 0.01),
        "amount_nulls_trend": ("nulls", 4, 0, 0.05),
        "volume_trend": ("volume", 4, 0.5, 2),
        "repeats_trend": ("repeats", 4, 0, 0),
    }
    assert [rule.severity for rule in contract.trend_rules] == ["warning", "warning", "warning", "error"]
    assert contract.trend_rules[-1].keys == ("order_id",)
    services = [(rule.name, rule.limit.days, rule.severity) for rule in contract.service_rules]
    assert services == [("freshness", 2, "error"), ("frequency", 1, "warning")]


def test_the_rest_of_the_promises() -> None:
    contract = load_contract(FIXTURES / "every_rule.yaml")
    assert contract.retention == timedelta(days=3 * 365)
    assert contract.references == ("prices", "products")
    assert contract.look_back == timedelta(weeks=4)
    assert contract.personal == ("email",)
    closed = [date(2017, 3, 5), date(2019, 12, 25), date(2017, 11, 23)]
    assert all(day in contract.closed for day in closed)
    assert all(day not in contract.closed for day in (date(2017, 3, 6), date(2018, 11, 23)))
    priced = next(rule for rule in contract.day_rules if rule.name == "priced")
    assert (priced.keys, priced.to, priced.to_keys) == (
        ("product_id", "shop"),
        "prices",
        ("product_id", "shop"),
    )


def test_nothing_is_promised_unless_it_is_written() -> None:
    contract = load_contract(FIXTURES / "good.yaml")
    assert (contract.trend_rules, contract.service_rules, contract.retention) == ((), (), None)
    assert date(2017, 12, 25) not in contract.closed


@pytest.mark.parametrize(
    ("limit", "refuses"),
    [
        ("mustBe: 0", True),
        ("mustBe: 0, unit: percent", True),
        ("mustBeLessThan: 1", True),
        ("mustBeLessOrEqualTo: 0", True),
        ("mustBeLessOrEqualTo: 0, unit: percent", True),
        ("mustBeLessThan: 1, unit: percent", False),
        ("mustBeLessThan: 2", False),
        ("mustBe: 1", False),
        ("mustNotBe: 0", False),
        ("mustBeBetween: [0, 1]", False),
        ("mustBeGreaterOrEqualTo: 0", False),
    ],
)
@pytest.mark.parametrize(
    "metric",
    [
        "metric: nullValues",
        "metric: missingValues, arguments: {missingValues: [0]}",
        "metric: invalidValues, arguments: {validValues: [1, 2]}",
        "metric: duplicateValues",
    ],
)
def test_a_limit_that_allows_none_refuses_rows(
    tmp_path: Path, metric: str, limit: str, refuses: bool
) -> None:
    contract = small(tmp_path, f"{{{metric}, {limit}, name: it}}")
    assert ("it" in {rule.name for rule in contract.row_rules}) == refuses
    assert ("it" in {rule.name for rule in contract.day_rules}) != refuses


def holds(con: duckdb.DuckDBPyConnection, condition: str, value: str) -> bool:
    [(found,)] = con.execute(
        f"SELECT {condition} FROM (SELECT {value} AS number, {value} AS word)"
    ).fetchall()
    assert isinstance(found, bool)
    return found


def test_missing_values_are_those_listed(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    listed = "{metric: missingValues, arguments: {missingValues: [%s]}, mustBe: 0}"
    rule = small(tmp_path, listed % "-9, 0").row_rules[-3]
    assert (rule.name, rule.dimension) == ("number_missing", "completeness")
    found = {value: holds(con, rule.violation, value) for value in ("-9", "0", "1", "NULL::INTEGER")}
    assert found == {"-9": True, "0": True, "1": False, "NULL::INTEGER": False}
    with_null = small(tmp_path, listed % "null, -9").row_rules[-3]
    assert holds(con, with_null.violation, "NULL::INTEGER")
    [(reason,)] = con.execute(f"SELECT {with_null.reason} FROM (SELECT NULL::INTEGER AS number)").fetchall()
    assert reason == "number is 'empty', none of '-9', empty expected"


def test_valid_values_and_pattern_must_both_hold(con: duckdb.DuckDBPyConnection) -> None:
    contract = load_contract(FIXTURES / "every_rule.yaml")
    rule = next(rule for rule in contract.row_rules if rule.name == "shop_valid_values")
    condition = rule.violation.replace('"shop"', "word")
    found = {value: holds(con, condition, value) for value in ("'north'", "'North'", "'x'", "NULL::VARCHAR")}
    assert found == {"'north'": False, "'North'": True, "'x'": True, "NULL::VARCHAR": False}


def test_a_warning_of_a_metric_refuses_nothing(tmp_path: Path) -> None:
    contract = small(tmp_path, "{metric: nullValues, mustBe: 0, severity: warning}")
    rule = next(rule for rule in contract.row_rules if rule.name == "number_required")
    assert rule.severity == "warning"


def test_no_reason_quotes_a_personal_value() -> None:
    contract = load_contract(FIXTURES / "every_rule.yaml")
    about = [rule for rule in contract.row_rules if rule.column == "email"]
    assert {rule.name for rule in about} == {"email_min_length", "email_valid_pattern"}
    assert not any('"email"' in rule.reason for rule in about)


def test_descriptions_say_what_is_promised() -> None:
    contract = load_contract(FIXTURES / "every_rule.yaml")
    said = {rule.name: rule.description for rule in (*contract.row_rules, *contract.day_rules)}
    assert said["product_id_nulls"] == "At most 50 percent of a day's events have no product_id."
    assert said["duplicate_product_id_shop"] == (
        "Less than 60 percent of a day's events repeat another one in product_id, shop."
    )
    assert said["odd_prices"] == (
        "At most 1 of a day's events don't have one of 1, 2, 3, 5.5 as amount (empty ones apart)."
    )
    assert (
        said["priced"] == "Every product_id, shop that is there is found as prices.product_id, prices.shop."
    )
    assert said["shop_missing"] == "shop is not missing (none of '', 'N/A', empty)."


def test_rules_are_immutable_and_apart(tmp_path: Path) -> None:
    twice = "{metric: nullValues, mustBeLessThan: 5}, {metric: nullValues, mustBeLessThan: 9}"
    with pytest.raises(ValueError, match="the rule name 'number_nulls' is taken"):
        small(tmp_path, twice)
    rule = small(tmp_path, "{metric: nullValues, mustBeLessThan: 5}").day_rules[0]
    assert isinstance(rule, DayRule)
    with pytest.raises(AttributeError):
        rule.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("words", "name"),
    [("Brand is known", "brand_is_known"), ("brandIsKnown", "brand_is_known"), ("§ 5!", "5"), ("—", "")],
)
def test_names_are_made_snake_case(words: str, name: str) -> None:
    assert snake(words) == name


def test_an_event_after_its_file_was_seen_is_refused(
    contract: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    seen_at = "2017-01-05 09:57:00+00"
    rows = [{"seen_at": seen_at}, {"seen_at": seen_at, "occurred_at": "2017-01-05 10:02:01"}]
    first, second = classified(contract, con, rows)
    assert first["reasons"] == []
    assert second["reasons"] == [
        "occurred_before_seen: occurred_at is 2017-01-05 10:02:01+00, but the file was first seen at "
        "2017-01-05 09:57:00+00, an event of the past expected"
    ]


def test_nothing_is_known_before_it_happens(con: duckdb.DuckDBPyConnection) -> None:
    contract = load_contract(FIXTURES / "every_rule.yaml")
    rule = next(rule for rule in contract.row_rules if rule.name == "available_after_occurred")
    times = "SELECT TIMESTAMPTZ '2017-01-05 10:00:00+00' AS occurred_at, "
    for available, broken in (("09:59:59", True), ("10:00:00", False)):
        row = f"{times} TIMESTAMPTZ '2017-01-05 {available}+00' AS available_at"
        [(found, reason)] = con.execute(f"SELECT {rule.violation}, {rule.reason} FROM ({row})").fetchall()
        assert found == broken
    assert reason == (
        "available_at is 2017-01-05 10:00:00+00, occurred_at (2017-01-05 10:00:00+00) or later expected"
    )
