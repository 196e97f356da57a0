"""Days against the days before them: caught where they differ, quiet on a real year."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from ml_assets.contracts import Contract
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.outcomes import RuleResult
from ml_assets.contracts.enforce.trends import judge_trends
from ml_assets.lake import connect
from ml_assets.landing.completejourney import land

FIRST = date(2017, 3, 6)
ALL = ("volume", "repeats", "nulls", "categories")
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: calls
version: 1.0.0
schema:
  - name: calls
    properties:
      - {name: call_id, logicalType: integer, primaryKey: true}
      - name: city
        logicalType: string
        quality: [CITY]
      - {name: occurred_at, logicalType: timestamp, required: true}
    quality: [SCHEMA]
customProperties: [{property: closedDays, value: [sunday, 2017-05-01]}]
"""
PURCHASES = """
apiVersion: v3.2.0
kind: DataContract
id: purchases
version: 1.0.0
schema:
  - name: purchases
    properties:
      - {name: basket_id, logicalType: integer, primaryKey: true}
      - {name: product_id, logicalType: integer, primaryKey: true}
      - name: department
        logicalType: string
        quality:
          - {type: custom, engine: ml_assets, implementation: {trend: nulls}}
          - {type: custom, engine: ml_assets, implementation: {trend: categories}}
      - {name: occurred_at, logicalType: timestamp, required: true}
    quality:
      - {type: custom, engine: ml_assets, implementation: {trend: volume}}
      - {type: custom, engine: ml_assets, implementation: {trend: repeats}}
"""


def day(number: int) -> date:
    """A day after Monday, 2017-03-06."""
    return FIRST + timedelta(days=number)


@pytest.fixture
def calls(tmp_path: Path) -> Contract:
    path = tmp_path / "contract.yaml"
    trend = "{type: custom, engine: ml_assets, implementation: {trend: %s}}"
    path.write_text(
        CONTRACT.replace("CITY", f"{trend % 'nulls'}, {trend % 'categories'}").replace(
            "SCHEMA", f"{trend % 'volume'}, {trend % 'repeats'}"
        )
    )
    return load_contract(path)


def history(con: duckdb.DuckDBPyConnection, change: str = "", days: int = 84) -> None:
    """84 days of 100 calls but on Sundays: 60 from Bonn, 35 from Ulm, 4 from nowhere, 1 from Jena."""
    con.execute(
        "CREATE OR REPLACE TABLE events AS SELECT i AS call_id, "
        "CASE WHEN i % 100 < 60 THEN 'Bonn' WHEN i % 100 < 95 THEN 'Ulm' WHEN i % 100 < 99 THEN NULL ELSE 'Jena' END "
        "AS city, DATE '2017-03-06' + CAST(i // 100 AS INTEGER) AS event_date, "
        f"timezone('UTC', CAST(event_date AS TIMESTAMP)) AS occurred_at FROM range({100 * days}) rows(i) "
        "WHERE dayofweek(event_date) <> 0"
    )
    if change:
        con.execute(change)


def compare(
    contract: Contract, con: duckdb.DuckDBPyConnection, days: list[int] | None = None
) -> dict[str, RuleResult]:
    asked = [day(n) for n in (days if days is not None else range(84))]
    results = judge_trends(contract, con, con.table("events"), asked)
    assert [result.rule for result in results] == list(contract.trend_rules)
    return {result.rule.kind: result for result in results}


def test_days_alike_pass(calls: Contract, con: duckdb.DuckDBPyConnection) -> None:
    history(con)
    results = compare(calls, con)
    assert {kind for kind, result in results.items() if result.passed} == set(ALL)
    assert results["nulls"].message == "city_nulls_trend: all 64 days with a past keep it."


ON = "event_date = DATE '2017-05-24'"
CHANGES = [
    (
        f"DELETE FROM events WHERE {ON} AND call_id % 2 = 0",
        "volume",
        0.5,
        "50 events, 0.5 times the usual 100",
    ),
    (
        f"INSERT INTO events SELECT * REPLACE (-call_id AS call_id) FROM events WHERE {ON}",
        "volume",
        2.0,
        "200 events, 2 times the usual 100",
    ),
    (
        f"UPDATE events SET city = NULL WHERE {ON} AND call_id % 2 = 0",
        "nulls",
        0.52,
        "52.0% empty, 4.0% usual",
    ),
    (
        f"UPDATE events SET city = 'BONN' WHERE {ON} AND city = 'Bonn'",
        "categories",
        0.6,
        "'BONN' (60.0%) new and 'Bonn' (60.0%) gone",
    ),
    (
        f"UPDATE events SET city = 'Köln' WHERE {ON} AND call_id % 100 < 2",
        "categories",
        0.02,
        "'Köln' (2.0%) new",
    ),
    (
        f"UPDATE events SET call_id = call_id - 1400 WHERE {ON} AND call_id % 100 < 30",
        "repeats",
        30,
        "30 events again, most from 2017-05-10",
    ),
]


@pytest.mark.parametrize(("change", "kind", "seen", "words"), CHANGES)
def test_an_odd_day_is_caught(
    calls: Contract,
    con: duckdb.DuckDBPyConnection,
    change: str,
    kind: str,
    seen: float,
    words: str,
) -> None:
    history(con, change)
    results = compare(calls, con)
    assert [other for other, result in results.items() if not result.passed] == [kind]
    result = results[kind]
    assert dict(result.failing) == {date(2017, 5, 24): pytest.approx(seen)}
    assert (result.violations, result.rule.severity) == (1, "warning")
    assert f"2017-05-24: {words}" in result.message
    assert all(result.passed for result in compare(calls, con, [n for n in range(84) if n != 79]).values())


def test_a_value_that_was_there_once_is_not_new(calls: Contract, con: duckdb.DuckDBPyConnection) -> None:
    history(con, f"UPDATE events SET city = 'Jena' WHERE {ON} AND call_id % 100 < 50")
    assert compare(calls, con)["categories"].passed


def test_an_event_of_long_ago_is_no_repeat(calls: Contract, con: duckdb.DuckDBPyConnection) -> None:
    history(con, f"UPDATE events SET call_id = call_id - 3500 WHERE {ON}")
    assert compare(calls, con)["repeats"].passed
    history(con, f"UPDATE events SET call_id = call_id - 2800 WHERE {ON}")
    assert not compare(calls, con)["repeats"].passed


def test_a_repeat_is_found_past_a_closed_day(calls: Contract, con: duckdb.DuckDBPyConnection) -> None:
    """The call of Friday is there again on Sunday, which is closed, and on Monday."""
    history(
        con,
        "INSERT INTO events SELECT call_id, city, unnest([DATE '2017-05-21', DATE '2017-05-22']), occurred_at "
        "FROM events WHERE event_date = DATE '2017-05-19' AND call_id % 100 < 5",
    )
    assert dict(compare(calls, con)["repeats"].failing) == {date(2017, 5, 22): 5}


def test_a_day_without_events_is_a_matter_of_volume(calls: Contract, con: duckdb.DuckDBPyConnection) -> None:
    history(con, f"DELETE FROM events WHERE {ON}")
    results = compare(calls, con)
    assert [kind for kind, result in results.items() if not result.passed] == ["volume"]
    assert dict(results["volume"].failing) == {date(2017, 5, 24): 0}


def test_days_with_too_little_past_are_not_judged(calls: Contract, con: duckdb.DuckDBPyConnection) -> None:
    history(
        con, "DELETE FROM events WHERE event_date = DATE '2017-04-02' OR call_id % 2 = 0 AND call_id < 2700"
    )
    odd = {kind: result.failing for kind, result in compare(calls, con, list(range(28))).items()}
    assert not odd["volume"]
    results = compare(calls, con, list(range(7)))
    assert all(result.passed for result in results.values())
    assert "no day has 4 of the 8 weeks before it on record" in results["volume"].message
    assert "no day has 2 of the 4 weeks before it on record" in results["nulls"].message


def test_closed_days_are_neither_judged_nor_looked_at(
    calls: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    """2017-04-30 is a Sunday, 2017-05-01 a Monday, both closed."""
    odd = (
        "DELETE FROM events WHERE event_date = DATE '2017-05-01' AND call_id % 10 > 0; "
        "UPDATE events SET city = 'Rom' WHERE event_date = DATE '2017-05-01'; "
        "INSERT INTO events SELECT call_id, 'Rom', DATE '2017-04-30', occurred_at FROM events "
        "WHERE event_date = DATE '2017-04-29'"
    )
    history(con, odd)
    assert all(result.passed for result in compare(calls, con).values())
    history(con, f"{odd}; UPDATE events SET city = 'Rom' WHERE {ON}")
    assert "'Rom' (100.0%) new" in compare(calls, con)["categories"].message


def test_only_the_days_asked_for_are_judged(calls: Contract, con: duckdb.DuckDBPyConnection) -> None:
    history(con, f"DELETE FROM events WHERE {ON}")
    assert compare(calls, con, [78])["volume"].passed
    assert not compare(calls, con, [79])["volume"].passed
    assert compare(calls, con, [])["volume"].passed


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Contract, duckdb.DuckDBPyConnection]]:
    """The grocery purchases of 2017, with every trend at its defaults."""
    folder = tmp_path_factory.mktemp("year")
    land(folder)
    path = folder / "contract.yaml"
    path.write_text(PURCHASES)
    with connect() as con:
        con.execute(
            "CREATE TABLE purchases AS SELECT *, CAST(occurred_at AS DATE) AS event_date "
            f"FROM read_parquet('{folder}/*.parquet')"
        )
        yield load_contract(path), con


def test_a_real_year_has_very_few_odd_days(year: tuple[Contract, duckdb.DuckDBPyConnection]) -> None:
    """The days before and after Thanksgiving, and the last day, which the data holds a part of only."""
    contract, con = year
    days = [row[0] for row in con.execute("SELECT DISTINCT event_date FROM purchases").fetchall()]
    results = judge_trends(contract, con, con.table("purchases"), days)
    odd = {result.rule.kind: [str(day) for day in result.failing] for result in results}
    assert len(days) == 365
    assert odd == {
        "nulls": [],
        "categories": [],
        "volume": ["2017-11-22", "2017-11-24", "2018-01-01"],
        "repeats": [],
    }


ODD = [
    ("SELECT * FROM part WHERE {off} OR basket_id % 2 = 0", "volume"),
    (
        "SELECT * FROM part UNION ALL SELECT * REPLACE (-basket_id AS basket_id) FROM part WHERE NOT {off}",
        "volume",
    ),
    (
        "SELECT * REPLACE (CASE WHEN {off} OR product_id % 2 = 0 THEN department END AS department) FROM part",
        "nulls",
    ),
    (
        "SELECT * REPLACE (CASE WHEN {off} OR department <> 'PRODUCE' THEN department ELSE 'Fresh' END AS department) "
        "FROM part",
        "categories",
    ),
    (
        "SELECT * FROM part UNION ALL SELECT * REPLACE (DATE '2017-09-13' AS event_date) FROM part "
        "WHERE event_date = DATE '2017-09-11' AND basket_id % 9 = 0",
        "repeats",
    ),
]


@pytest.mark.parametrize(("change", "kind"), ODD)
def test_an_odd_day_of_a_real_year_is_caught(
    year: tuple[Contract, duckdb.DuckDBPyConnection], change: str, kind: str
) -> None:
    contract, con = year
    odd = date(2017, 9, 13)
    con.execute(
        f"CREATE OR REPLACE TEMP VIEW part AS SELECT * FROM purchases WHERE event_date BETWEEN DATE '{odd}' - 56 "
        f"AND DATE '{odd}'"
    )
    events = con.sql(change.format(off=f"event_date <> DATE '{odd}'"))
    failing = [result.rule.kind for result in judge_trends(contract, con, events, [odd]) if not result.passed]
    assert failing == [kind]
