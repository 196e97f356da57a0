"""The two contracts on the data they were written for."""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from ml_assets.contracts import Contract
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.classify import classify
from ml_assets.contracts.enforce.validate import validate
from ml_assets.landing import LandingFolder, by_day, content_hash, read
from ml_assets.landing.completejourney import land
from ml_assets_tests.places import CHECKOUT

RETAIL = Path(
    os.environ.get("ML_ASSETS_ONLINE_RETAIL", CHECKOUT / ".." / "shared" / "data" / "online_retail")
)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def judge(con: duckdb.DuckDBPyConnection, contract: Contract, folder: LandingFolder) -> dict[str, int]:
    """Rows landed, and refused rows by rule, having checked that nothing fails."""
    files = {day: folder.fetch(item, folder.path) for day, item in by_day(folder.listed()).items()}
    result = read(con, [(file, content_hash(file.path)) for file in files.values()], contract)
    assert result.refused == []
    assert result.rows is not None
    classify(contract, con, result.rows.select("*, now() AS seen_at")).create("judged")
    events = con.sql("SELECT * FROM judged WHERE len(reasons) = 0")
    quarantine = con.sql("SELECT * FROM judged WHERE len(reasons) > 0")
    results = validate(contract, con, events, quarantine, list(files))
    assert [result.message for result in results if not result.passed] == []
    refused = {result.rule.name: result.refused for result in results if result.refused}
    return {"landed": sum(result.counts.values()), **refused}


def test_no_grocery_purchase_is_refused(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    contract = load_contract(CHECKOUT / "ml_assets" / "defs" / "transactions" / "contract.yaml")
    land(tmp_path, start=date(2017, 3, 1), days=14)
    found = judge(con, contract, LandingFolder(tmp_path))
    assert found.pop("landed") > 40_000
    assert found == {}


@pytest.mark.slow
def test_the_online_retail_contract_refuses_repeats_and_bad_debt_only(con: duckdb.DuckDBPyConnection) -> None:
    if not (RETAIL / "landing").is_dir():
        message = f"{RETAIL} has no folder landing; set ML_ASSETS_ONLINE_RETAIL to the Online Retail data"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    path = (
        CHECKOUT
        / "ml_assets_tests"
        / "use_cases"
        / "online_retail"
        / "defs"
        / "retail_orders"
        / "contract.yaml"
    )
    found = judge(con, load_contract(path), LandingFolder(RETAIL / "landing", "{date}.csv.gz"))
    assert found == {
        "landed": 541_909,
        "exact_repeat": 5_268,
        "unit_price_minimum": 2,
        "refused_share": 5_270,
    }
    ((lines, customers, cancelled),) = con.execute(
        "SELECT count(*), count(DISTINCT customer_id), count_if(cancelled) FROM judged"
    ).fetchall()
    assert (lines, customers, cancelled) == (541_909, 4_372, 9_288)
    ((worst,),) = con.execute(
        "SELECT max(share) FROM (SELECT avg((len(reasons) > 0)::INTEGER) AS share FROM judged GROUP BY landing_date)"
    ).fetchall()
    assert 0.05 < worst < 0.06
