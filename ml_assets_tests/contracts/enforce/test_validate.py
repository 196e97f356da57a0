from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ml_assets.contracts import Contract, ContractError
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.classify import classify
from ml_assets.contracts.enforce.outcomes import RuleResult
from ml_assets.contracts.enforce.validate import validate
from ml_assets_tests.contracts.conftest import OPERATORS, landed

DAYS = [date(2017, 1, 5), date(2017, 1, 6)]
FIVE: dict[str, Any] = {"landing_date": "2017-01-05", "occurred_at": "2017-01-05 10:00:00"}
SIX: dict[str, Any] = {"landing_date": "2017-01-06", "occurred_at": "2017-01-06 10:00:00"}


def judge(
    contract: Contract,
    con: duckdb.DuckDBPyConnection,
    rows: list[dict[str, Any]],
    *,
    days: list[date] | None = None,
    tamper: str | None = None,
) -> dict[str, RuleResult]:
    """Classify rows, split them, optionally change the accepted events behind the contract's back, validate."""
    classify(contract, con, landed(con, rows)).create_view("judged", replace=True)
    con.execute(
        "CREATE OR REPLACE TABLE events AS SELECT * EXCLUDE (reasons) FROM judged WHERE len(reasons) = 0"
    )
    con.execute("CREATE OR REPLACE TABLE quarantine AS SELECT * FROM judged WHERE len(reasons) > 0")
    if tamper:
        con.execute(tamper)
    results = validate(contract, con, con.table("events"), con.table("quarantine"), days or DAYS)
    return {result.rule.name: result for result in results}


def test_good_events_keep_every_rule(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    results = judge(contract, con, [FIVE, SIX])
    assert {name for name, result in results.items() if not result.passed} == set()
    assert list(results) == [rule.name for rule in (*contract.row_rules, *contract.day_rules)]
    assert results["amount_minimum"].message == "amount_minimum: every event keeps it."


@pytest.mark.parametrize(
    ("tamper", "broken"),
    [
        ("UPDATE events SET amount = -1", "amount_minimum"),
        ("UPDATE events SET amount = NULL", "amount_required"),
        ("UPDATE events SET brand = 'Own'", "brand_valid_values"),
        ("UPDATE events SET code = 'toolong1'", "code_max_length"),
        ("UPDATE events SET day = DATE '2010-01-01'", "day_minimum"),
        ("UPDATE events SET weight = 200", "weight_maximum"),
        ("INSERT INTO events SELECT * FROM events", "unique_shop_basket_id"),
        ("INSERT INTO events SELECT * REPLACE (shop || 2 AS shop) FROM events", "unique_ticket"),
        ("ALTER TABLE events ALTER gift TYPE VARCHAR", "gift_type"),
    ],
)
def test_broken_events_are_found(
    contract: Contract, con: duckdb.DuckDBPyConnection, tamper: str, broken: str
) -> None:
    result = judge(contract, con, [FIVE, SIX], tamper=tamper)[broken]
    assert not result.passed
    assert result.violations > 0
    assert set(result.failing) <= set(DAYS)
    assert result.failing


def test_the_message_names_days_numbers_and_what_to_do(
    contract: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    result = judge(contract, con, [FIVE, FIVE, SIX], tamper="UPDATE events SET amount = -1")["amount_minimum"]
    assert result.failing == {DAYS[0]: 2, DAYS[1]: 1}
    assert result.message == (
        "amount_minimum: 3 events on 2 days break it (2017-01-05: 2, 2017-01-06: 1); amount is at least 0. "
        "Build these days of events again under contract version 1.2.0, or correct it."
    )


def test_a_warning_fails_without_refusing(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    result = judge(contract, con, [FIVE | {"note": None}, SIX])["note_required"]
    assert (result.passed, result.violations, result.refused) == (False, 1, 0)
    assert result.rule.severity == "warning"


def test_refused_rows_are_counted_by_rule(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    rows = [FIVE, SIX, FIVE | {"amount": "-1", "brand": "Own"}, SIX | {"amount": "-2"}]
    results = judge(contract, con, rows)
    assert (results["amount_minimum"].passed, results["amount_minimum"].refused) == (True, 2)
    assert results["brand_valid_values"].refused == 1
    assert results["code_pattern"].refused == 0


def test_a_day_without_rows_counts_as_none(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    result = judge(contract, con, [FIVE])["row_count"]
    assert not result.passed
    assert result.failing == {DAYS[1]: 0}
    assert "between 1 and 1000 rows a day expected; 1 of 2 days fail (2017-01-06: 0)" in result.message
    assert judge(contract, con, [FIVE], days=DAYS[:1])["row_count"].passed


def test_the_refused_share_is_judged_per_day(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    bad = {"amount": "-1"}
    results = judge(contract, con, [FIVE, FIVE, FIVE | bad, SIX, SIX | bad])
    share = results["refused_share"]
    assert not share.passed
    assert share.failing == {DAYS[1]: 50.0}
    assert share.refused == 2
    assert judge(contract, con, [FIVE, FIVE, FIVE | bad], days=DAYS[:1])["refused_share"].passed
    assert judge(contract, con, [FIVE | bad], days=DAYS[:1])["refused_share"].failing == {DAYS[0]: 100.0}


def test_nothing_at_all_can_be_validated(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    results = judge(contract, con, [])
    assert not results["row_count"].passed
    assert all(result.passed for name, result in results.items() if name != "row_count")


def test_all_failing_days_are_given_and_five_named(
    contract: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    days = [date.fromordinal(date(2017, 2, 1).toordinal() + n) for n in range(30)]
    result = judge(contract, con, [], days=days)["row_count"]
    assert (result.violations, list(result.failing)) == (30, days)
    assert "and 25 more days" in result.message


def test_missing_columns_are_named(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    judge(contract, con, [FIVE])
    events, quarantine = con.table("events"), con.table("quarantine")
    with pytest.raises(ContractError, match="events have no column 'amount'"):
        validate(contract, con, events.project("* EXCLUDE (amount)"), quarantine, DAYS)
    with pytest.raises(ContractError, match="quarantine have no column 'reasons'"):
        validate(contract, con, events, quarantine.project("* EXCLUDE (reasons)"), DAYS)


@pytest.mark.parametrize(("operator", "outcomes"), OPERATORS)
def test_row_count_knows_every_operator(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, operator: str, outcomes: dict[int, bool]
) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(
        "apiVersion: v3.2.0\nkind: DataContract\nid: calls\nversion: 1.0.0\nschema:\n  - name: calls\n"
        "    properties:\n      - {name: occurred_at, logicalType: timestamp, required: true}\n"
        f"    quality:\n      - {{metric: rowCount, {operator}, severity: warning}}\n"
    )
    contract = load_contract(path)
    quarantine = con.sql("SELECT NULL::DATE AS event_date, NULL::VARCHAR[] AS reasons WHERE FALSE")
    for rows, passed in outcomes.items():
        events = con.sql(
            "SELECT TIMESTAMPTZ '2017-01-05 10:00:00+00' AS occurred_at, DATE '2017-01-05' AS event_date "
            f"FROM range({rows})"
        )
        result = validate(contract, con, events, quarantine, DAYS[:1])[-1]
        assert (result.rule.severity, result.passed) == ("warning", passed)
