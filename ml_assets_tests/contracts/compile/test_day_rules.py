"""Rules judged per day: counts and shares, references, queries, closed days."""

from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from ml_assets.contracts import Contract, ContractError
from ml_assets.contracts.compile import query as query_module
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.outcomes import RuleResult
from ml_assets.contracts.enforce.validate import validate
from ml_assets_tests.contracts.conftest import OPERATORS
from ml_assets_tests.places import CONTRACTS as FIXTURES
from ml_assets_tests.profiles import examples

DAYS = [date(2017, 3, 6), date(2017, 3, 7)]
ORDER: dict[str, Any] = {
    "product_id": 7,
    "shop": "north",
    "amount": 2,
    "voucher": None,
    "email": "5e" * 32,
}


@pytest.fixture(scope="session")
def orders() -> Contract:
    return load_contract(FIXTURES / "every_rule.yaml")


def nothing(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
    return con.sql("SELECT DATE '2017-01-01' AS event_date, []::VARCHAR[] AS reasons LIMIT 0")


def judge(
    contract: Contract,
    con: duckdb.DuckDBPyConnection,
    rows: list[dict[str, Any]],
    *,
    days: list[date] | None = None,
    references: dict[str, duckdb.DuckDBPyRelation] | None = None,
) -> dict[str, RuleResult]:
    """Validate orders: the usual one with some values replaced, on the first day unless ``day`` says otherwise."""
    fields = ", ".join(f'"{column.name}" {column.stored_type}' for column in contract.columns)
    con.execute(f"CREATE OR REPLACE TABLE events ({fields}, event_date DATE)")
    for number, row in enumerate(rows, start=1):
        full = {"order_id": number} | ORDER | row
        day = full.get("day", DAYS[0])
        values = [full[name] for name in ("order_id", *ORDER)]
        con.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [*values, f"{day} 10:00", f"{day} 11:00", day],
        )
    if references is None:
        references = {
            "products": con.sql("SELECT 7 AS product_id"),
            "prices": con.sql("SELECT 7 AS product_id, unnest(['north', 'south', 'web']) AS shop"),
        }
    results = validate(contract, con, con.table("events"), nothing(con), days or DAYS[:1], references)
    return {result.rule.name: result for result in results}


def test_good_events_keep_every_rule(orders: Contract, con: duckdb.DuckDBPyConnection) -> None:
    results = judge(orders, con, [{}, {"shop": "south"}, {"day": DAYS[1]}], days=DAYS)
    assert {name: result.message for name, result in results.items() if not result.passed} == {}
    assert list(results) == [rule.name for rule in (*orders.row_rules, *orders.day_rules)]


@pytest.mark.parametrize(
    ("rows", "rule", "seen"),
    [
        ([{"product_id": None}, {"product_id": None}, {}], "product_id_nulls", 100 * 2 / 3),
        ([{}] * 4, "duplicate_product_id", 3),
        ([{"amount": -1}, {"amount": None}, {}], "amount_missing", 100 * 2 / 3),
        ([{"amount": 8}, {"amount": 9}, {}], "odd_prices", 2),
        ([{"email": None}], "email_nulls", 100),
        ([{}] * 7, "row_count", 7),
        ([{}, {}, {}, {"shop": "web"}], "duplicate_product_id_shop", None),
        ([{}, {}, {}], "duplicate_product_id_shop", 100 * 2 / 3),
        ([{"amount": 100}], "dearest", 100),
        ([{"product_id": None}], "some_product", 0),
        ([{"product_id": 8}, {"product_id": None}, {}], "product_id_in_products", 1),
        ([{"shop": "south"}, {"shop": "east"}, {"shop": None}], "priced", 1),
    ],
)
def test_what_a_day_breaks_is_counted_in_its_unit(
    orders: Contract,
    con: duckdb.DuckDBPyConnection,
    rows: list[dict[str, Any]],
    rule: str,
    seen: float | None,
) -> None:
    result = judge(orders, con, [*rows, {"day": DAYS[1]}], days=DAYS)[rule]
    if seen is None:
        assert result.passed
        return
    assert dict(result.failing) == {DAYS[0]: pytest.approx(seen)}
    assert (result.passed, result.violations) == (False, 1)
    assert str(DAYS[0]) in result.message
    assert str(DAYS[1]) not in result.message


@pytest.mark.parametrize(("operator", "outcomes"), OPERATORS)
@pytest.mark.parametrize("unit", ["rows", "percent"])
@pytest.mark.parametrize(
    "metric",
    [
        "nullValues",
        "missingValues, arguments: {missingValues: [null]}",
        "invalidValues, arguments: {pattern: x}",
        "duplicateValues",
    ],
)
def test_metrics_of_a_property_know_every_operator_and_unit(
    con: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    metric: str,
    unit: str,
    operator: str,
    outcomes: dict[int, bool],
) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(
        "apiVersion: v3.2.0\nkind: DataContract\nid: calls\nversion: 1.0.0\nschema:\n  - name: calls\n"
        "    properties:\n      - {name: occurred_at, logicalType: timestamp, required: true}\n"
        "      - {name: word, logicalType: string, quality: "
        f"[{{metric: {metric}, {operator}, unit: {unit}, severity: warning}}]}}\n"
    )
    contract = load_contract(path)
    value = {"null": "NULL", "miss": "NULL", "inva": "'y'", "dupl": "'x'"}[metric[:4]]
    for counted, passed in outcomes.items():
        odd = counted + (1 if value == "'x'" else 0)
        events = con.sql(
            f"SELECT CASE WHEN i < {odd} THEN {value} ELSE 'x' || i END AS word, DATE '2017-03-06' AS event_date, "
            "TIMESTAMPTZ '2017-03-06 10:00:00+00' AS occurred_at FROM range(100) rows(i)"
        )
        result = validate(contract, con, events, nothing(con), DAYS[:1])[-1]
        assert result.passed == passed, result.message
        assert result.passed or dict(result.failing) == {DAYS[0]: counted}


def test_a_day_without_events_has_none_of_anything(orders: Contract, con: duckdb.DuckDBPyConnection) -> None:
    results = judge(orders, con, [], days=DAYS)
    failed = {name: dict(result.failing) for name, result in results.items() if not result.passed}
    none = dict.fromkeys(DAYS, 0)
    assert failed == {"row_count": none, "some_product": none}


def test_a_closed_day_needs_no_events(orders: Contract, con: duckdb.DuckDBPyConnection) -> None:
    sunday, christmas = date(2017, 3, 5), date(2018, 12, 25)
    results = judge(orders, con, [{}], days=[sunday, DAYS[0], christmas])
    assert results["row_count"].passed
    assert results["row_count"].message == "row_count: all 1 days keep it."
    assert set(results["some_product"].failing) == {sunday, christmas}


def test_rows_repeat_each_other_within_a_day_only(orders: Contract, con: duckdb.DuckDBPyConnection) -> None:
    same = {"order_id": 1, "voucher": "V1"}
    apart = judge(orders, con, [same, same | {"day": DAYS[1]}], days=DAYS)
    assert apart["unique_order_id"].passed
    assert apart["voucher_used_once"].passed
    again = judge(orders, con, [same, same, same, {"order_id": 9}, {"order_id": 8}])
    assert dict(again["unique_order_id"].failing) == {DAYS[0]: 2}
    assert dict(again["voucher_used_once"].failing) == {DAYS[0]: 2}


@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(DAYS), st.integers(1, 3) | st.none(), st.sampled_from(["north", None]))
    )
)
def test_repeats_are_counted_as_python_counts_them(
    orders: Contract, con: duckdb.DuckDBPyConnection, rows: list[tuple[date, int | None, str | None]]
) -> None:
    events = [{"day": day, "product_id": product, "shop": shop} for day, product, shop in rows]
    results = judge(orders, con, events, days=DAYS)
    for day in DAYS:
        singles = Counter(product for at, product, _ in rows if at == day and product is not None)
        pairs = Counter((product, shop) for at, product, shop in rows if at == day)
        extra = sum(number - 1 for number in singles.values())
        assert results["duplicate_product_id"].failing.get(day) == (extra if extra >= 3 else None)
        share = 100 * sum(number - 1 for number in pairs.values()) / max(1, sum(pairs.values()))
        found = results["duplicate_product_id_shop"].failing.get(day)
        assert found == (pytest.approx(share) if share >= 60 else None)


def test_keys_without_their_source_all_fail(orders: Contract, con: duckdb.DuckDBPyConnection) -> None:
    results = judge(orders, con, [{}, {"product_id": None}], references={})
    result = results["product_id_in_products"]
    assert dict(result.failing) == {DAYS[0]: 1}
    assert "materialize products/events first" in result.message
    found = judge(orders, con, [{"product_id": 8}])["product_id_in_products"]
    assert "land what is missing among products.product_id" in found.message


def test_a_reference_that_cannot_be_followed_is_named(
    orders: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    with pytest.raises(ContractError, match="no such column; did you mean 'product_ids'"):
        judge(orders, con, [{}], references={"products": con.sql("SELECT 7 AS product_ids")})
    with pytest.raises(
        ContractError, match=r"compares product_id, BIGINT, with products\.product_id, VARCHAR"
    ):
        judge(orders, con, [{}], references={"products": con.sql("SELECT '7' AS product_id")})


def test_numbers_of_different_types_are_the_same_key(
    orders: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    products = con.sql("SELECT CAST(7 AS SMALLINT) AS product_id UNION ALL SELECT NULL")
    assert judge(orders, con, [{}], references={"products": products})["product_id_in_products"].passed


def query(tmp_path: Path, text: str, limit: str = "mustBe: 1") -> Contract:
    path = tmp_path / "contract.yaml"
    path.write_text(
        "apiVersion: v3.2.0\nkind: DataContract\nid: calls\nversion: 1.0.0\nschema:\n  - name: calls\n"
        "    properties:\n      - {name: occurred_at, logicalType: timestamp, required: true}\n"
        "      - {name: word, logicalType: string}\n      - {name: number, logicalType: integer}\n"
        f"    quality:\n      - type: sql\n        {limit}\n        query: |\n          {text}\n"
    )
    return load_contract(path)


QUERIES = [
    ("SELECT count(*) FROM {table};", 2),
    ("SELECT sum(number) FROM ${object} -- all of them", 5),
    ("WITH large AS (SELECT * FROM {table} WHERE number > 2) SELECT count(*) FROM large", 1),
    ("SELECT count(*) FROM (SELECT DISTINCT t FROM {table} t)", 2),
    ("SELECT count(*) FROM {table} a JOIN {table} b USING (word)", 2),
    ("SELECT avg(number)::DECIMAL(5,1) FROM {table}", 2.5),
    ("SELECT (SELECT max(number) FROM {table}) - min(number) FROM {table}", 1),
    ("SELECT count(DISTINCT event_date) FROM {table}", 1),
    ("SELECT count(*) FROM (SELECT DISTINCT * FROM {table})", 2),
    ("SELECT count(x) FROM {table}, unnest([1, 2]) u(x)", 4),
    ("SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY word) AS n FROM {table})", 2),
]


@pytest.mark.parametrize(("text", "number"), QUERIES)
def test_a_query_sees_the_days_own_events(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, text: str, number: float
) -> None:
    contract = query(tmp_path, text, "mustBe: -7")
    events = con.sql(
        "SELECT * FROM (VALUES (DATE '2017-03-06', 'a', 2), (DATE '2017-03-06', 'b', 3), (DATE '2017-03-07', 'a', 9)) "
        "v(event_date, word, number), (SELECT TIMESTAMPTZ '2017-03-06 10:00:00+00' AS occurred_at)"
    ).project("* REPLACE (CAST(number AS BIGINT) AS number)")
    result = validate(contract, con, events, nothing(con), DAYS[:1])[-1]
    assert dict(result.failing) == {DAYS[0]: number}
    assert result.message.startswith(
        "query_rule_1: exactly -7 a day expected; 1 of 1 days fail (2017-03-06: "
    )


def test_a_query_without_a_number_fails_the_day(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    events = con.sql(
        "SELECT TIMESTAMPTZ '2017-03-06 10:00:00+00' AS occurred_at, DATE '2017-03-06' AS event_date, "
        "'x' AS word, 1::BIGINT AS number"
    )
    none = query(tmp_path, "SELECT sum(number) FROM {table} WHERE number > 1", "mustBeGreaterOrEqualTo: 0")
    [result] = validate(none, con, events, nothing(con), DAYS[:1])[-1:]
    assert dict(result.failing) == {DAYS[0]: "the query gives no number (NULL)"}
    wrong = query(tmp_path, "SELECT sum(CAST(word AS INTEGER)) FROM {table}", "mustBeGreaterOrEqualTo: 0")
    [result] = validate(wrong, con, events, nothing(con), DAYS[:1])[-1:]
    assert str(result.failing[DAYS[0]]).startswith("the query fails: Conversion Error")


ENDLESS = "SELECT count(*) FROM {table}, range(1000000000000) WHERE number > 1"


def test_a_query_that_takes_too_long_breaks_the_rule_and_says_what_to_do(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    events = con.sql(
        "SELECT TIMESTAMPTZ '2017-03-06 10:00:00+00' AS occurred_at, DATE '2017-03-06' AS event_date, "
        "'x' AS word, 2::BIGINT AS number"
    )
    contract = query(tmp_path, ENDLESS, "mustBe: 0")
    [result] = validate(contract, con, events, nothing(con), DAYS[:1], seconds=1)[-1:]
    assert not result.passed
    assert result.message.startswith("query_rule_1: exactly 0 a day expected; 1 of 1 days fail")
    said = "the query takes longer than 1 s, the most for a day: make it read"
    assert str(result.failing[DAYS[0]]).startswith(said)
    assert "rule_seconds" in str(result.failing[DAYS[0]])


def test_a_query_that_never_ends_is_refused_as_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_module, "SECONDS", 0.2)
    with pytest.raises(
        ContractError, match=r"contract.yaml:\d+:\d+: .*longer than 0.2 s on \d events; make it read"
    ):
        query(tmp_path, "SELECT count(*) FROM range(1000000000000) LEFT JOIN {table} ON true", "mustBe: 0")


def test_a_query_leaves_nothing_behind(orders: Contract, con: duckdb.DuckDBPyConnection) -> None:
    judge(orders, con, [{}])
    [(tables,)] = con.execute("SELECT list(table_name) FROM duckdb_tables()").fetchall()
    assert tables == ["events"]


def test_a_personal_value_is_judged_before_its_hash_only(
    orders: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    result = judge(orders, con, [{"email": "ab"}])["email_valid_pattern"]
    assert result.passed
    assert "before email is replaced by its hash" in result.message


def test_events_of_another_type_are_named_and_do_not_stop_the_rest(
    orders: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    judge(orders, con, [{}, {"product_id": None}])
    con.execute("ALTER TABLE events ALTER amount TYPE VARCHAR; UPDATE events SET amount = 'dear'")
    validated = validate(orders, con, con.table("events"), nothing(con), DAYS[:1], {})
    results = {result.rule.name: result for result in validated}
    assert "the events hold amount as VARCHAR, DECIMAL(10,2) expected" in results["amount_type"].message
    assert dict(results["amount_type"].failing) == {DAYS[0]: 2}
    assert results["product_id_nulls"].passed


def test_many_days_are_judged_in_one_go(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    contract = query(tmp_path, "SELECT count(*) FROM {table} WHERE number % 10 = 0", "mustBeLessThan: 2")
    days = [DAYS[0] + timedelta(days=n) for n in range(365)]
    events = con.sql(
        "SELECT TIMESTAMPTZ '2017-03-06 10:00:00+00' AS occurred_at, 'x' AS word, i AS number, "
        "DATE '2017-03-06' + CAST(i % 365 AS INTEGER) AS event_date FROM range(3650) rows(i)"
    )
    expected = Counter(DAYS[0] + timedelta(days=i % 365) for i in range(0, 3650, 10))
    result = validate(contract, con, events, nothing(con), days)[-1]
    assert dict(result.failing) == {day: expected[day] for day in days if expected[day] >= 2}
    assert result.failing
