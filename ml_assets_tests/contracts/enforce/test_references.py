"""References: rows that lead to nothing are refused, or counted, as the contract says."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from ml_assets.contracts import Contract, ContractError
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.classify import classify
from ml_assets.contracts.enforce.validate import validate

DAY = date(2017, 3, 6)
KEY = b"a key for tests only"
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: calls
version: 1.0.0
schema:
  - name: calls
    properties:
      - {name: call_id, logicalType: integer, primaryKey: true}
      - {name: shop, logicalType: string, relationships: [SHOP]}
      - {name: caller, logicalType: string, classification: personal, relationships: [{to: people.caller}]}
      - {name: occurred_at, logicalType: timestamp, required: true}
"""


def calls(tmp_path: Path, terms: str = "") -> Contract:
    custom = f", customProperties: [{terms}]" if terms else ""
    path = tmp_path / "contract.yaml"
    path.write_text(CONTRACT.replace("SHOP", f"{{to: shops.shop{custom}}}"))
    return load_contract(path)


def raw(con: duckdb.DuckDBPyConnection, *rows: tuple[int, str | None, str | None]) -> duckdb.DuckDBPyRelation:
    con.execute("CREATE OR REPLACE TABLE raw (call_id VARCHAR, shop VARCHAR, caller VARCHAR)")
    con.executemany("INSERT INTO raw VALUES (?, ?, ?)", rows)
    return con.sql(
        f"SELECT *, '{DAY} 10:00' AS occurred_at, DATE '{DAY}' AS landing_date, 'f' AS file, 'h' AS content_hash, "
        f"row_number() OVER () AS row_number, TIMESTAMPTZ '{DAY} 12:00+00' AS seen_at FROM raw"
    )


def others(contract: Contract, con: duckdb.DuckDBPyConnection) -> dict[str, duckdb.DuckDBPyRelation]:
    """Two shops, one of them twice and an empty key; and ann, under her pseudonym."""
    [(ann,)] = classify(contract, con, raw(con, (1, "north", "ann")), key=KEY).select("caller").fetchall()
    shops = con.sql("SELECT unnest(['north', 'south', 'south', NULL]) AS shop")
    return {"shops": shops, "people": con.sql("SELECT $who AS caller", params={"who": ann})}


def test_rows_that_lead_to_nothing_are_refused_with_the_reason(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    contract = calls(tmp_path)
    known = others(contract, con)
    rows = raw(
        con, (1, "north", "ann"), (2, "west", "ann"), (2, None, None), (3, "east", "bob"), (4, "south", "ann")
    )
    found = classify(contract, con, rows, key=KEY, references=known).order("row_number")
    assert found.select("reasons").fetchall() == [
        ([],),
        (["shop_in_shops: shop is west, one of shops.shop expected"],),
        ([],),
        (
            [
                "shop_in_shops: shop is east, one of shops.shop expected",
                "caller_in_people: caller is not found (personal, not shown), one of people.caller expected",
            ],
        ),
        ([],),
    ]
    assert len(found.select("call_id").fetchall()) == 5


def test_without_events_of_the_other_source_rows_wait_with_their_day(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    contract = calls(tmp_path)
    rows = classify(contract, con, raw(con, (1, "west", None)), key=KEY)
    assert rows.select("reasons").fetchall() == [([],)]
    quarantine = con.sql("SELECT DATE '2017-01-01' AS event_date, []::VARCHAR[] AS reasons LIMIT 0")
    results = {r.rule.name: r for r in validate(contract, con, rows, quarantine, [DAY], {})}
    assert dict(results["shop_in_shops"].failing) == {DAY: 1}
    assert results["caller_in_people"].passed


@pytest.mark.parametrize(
    ("terms", "severity", "passed"),
    [
        ("{property: severity, value: warning}", "warning", False),
        ("{property: mustBeLessOrEqualTo, value: 1}", "error", True),
        ("{property: mustBeLessThan, value: 40}, {property: unit, value: percent}", "error", False),
        ("{property: mustBeLessThan, value: 60}, {property: unit, value: percent}", "error", True),
    ],
)
def test_other_terms_refuse_no_row_and_judge_the_day(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, terms: str, severity: str, passed: bool
) -> None:
    contract = calls(tmp_path, terms)
    known = others(contract, con)
    rows = classify(contract, con, raw(con, (1, "west", None), (2, "north", None)), key=KEY, references=known)
    assert rows.select("reasons").fetchall() == [([],), ([],)]
    quarantine = con.sql("SELECT DATE '2017-01-01' AS event_date, []::VARCHAR[] AS reasons LIMIT 0")
    result = next(
        r for r in validate(contract, con, rows, quarantine, [DAY], known) if r.rule.name == "shop_in_shops"
    )
    assert (result.rule.severity, result.passed) == (severity, passed)


def test_a_reference_to_a_column_of_another_type_is_named(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with pytest.raises(ContractError, match=r"compares shop, VARCHAR, with shops\.shop, INTEGER"):
        classify(
            calls(tmp_path),
            con,
            raw(con, (1, "a", "b")),
            key=KEY,
            references={"shops": con.sql("SELECT 1 AS shop")},
        )
