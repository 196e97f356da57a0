"""Both use cases from landing files to a champion, through the same components and the command line."""

import os
from pathlib import Path

import pytest

from ml_assets.home import CHECKOUT
from ml_assets.lake import Lake, connect
from ml_assets_tests.end_to_end.conftest import Home, make_home

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow, pytest.mark.timeout(900)]


def online_retail_files() -> Path:
    """The folder of the online retail data; where it is absent the test skips, in CI it fails."""
    named = os.environ.get("ML_ASSETS_ONLINE_RETAIL")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data" / "online_retail"
    if not (folder / "landing").is_dir():
        message = f"no online retail data in {folder}; name its folder in ML_ASSETS_ONLINE_RETAIL"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


def metrics(home: Home, model: str) -> dict[str, list[tuple[float, float]]]:
    """Role -> (AUC, average precision) by cutoff, oldest first."""
    with connect() as con:
        rows = Lake(str(home.root / "data" / "lake")).table(f"{model}/evaluation", "cutoff").read(con)
        found = rows.order("cutoff").to_arrow_table().to_pylist()
    return {
        role: [(r["auc"], r["average_precision"]) for r in found if r["role"] == role]
        for role in ("candidate", "champion", "baseline")
    }


def test_the_year_of_transactions_ends_in_a_champion(shop: Home) -> None:
    by_role = metrics(shop, "lapse")
    assert len(by_role["candidate"]) == 3
    assert len(by_role["champion"]) == 2, "the first cutoff has no champion to compare with"
    for (auc, _), (baseline, _) in zip(by_role["candidate"], by_role["baseline"], strict=True):
        assert auc > 0.80
        assert auc > baseline + 0.03
    with connect() as con:
        lake = Lake(str(shop.root / "data" / "lake"))
        labels = lake.table("lapse/labels", "as_of").read(con)
        rates = (
            labels.aggregate("as_of, avg(label) AS rate").filter("rate NOT BETWEEN 0.10 AND 0.15").fetchall()
        )
        evidence = lake.table("lapse/evidence", "as_of").read(con).aggregate("count(*)").fetchall()
        outcomes = lake.table("lapse/performance", "as_of").read(con).aggregate("count(*)").fetchall()
    assert rates == [], "11 to 14% of the population lapse at every cutoff"
    assert evidence == [(0,)], "this year barely drifts: nothing may fire"
    assert outcomes == [(1,)], "the predictions of the champion's cutoff have mature outcomes"


def test_a_second_time_there_is_nothing_to_do(shop: Home) -> None:
    again = shop.run("materialize", "--cutoffs", "3")
    assert again.returncode == 0
    assert "nothing is left to materialize" in again.stdout


def test_the_checks_pass_from_the_command_line(shop: Home) -> None:
    done = shop.run("check")
    assert done.returncode == 0, done.stdout
    assert ", 0 failed, 0 never ran" in done.stdout
    one = shop.run("check", "--select", "key:transactions/events", "--partition", "2017-06-01")
    assert one.returncode == 0, one.stdout
    unknown = shop.run("check", "--partition", "2031-01-01")
    assert unknown.returncode == 1
    assert "2031-01-01" in unknown.stderr


def test_rollback_is_one_command_and_is_not_undone_by_itself(shop: Home) -> None:
    back = shop.run("rollback", "lapse", "--why", "the test asks for it")
    assert back.returncode == 0, back.stderr
    assert "version 3 -> version 2" in back.stdout
    again = shop.run("materialize", "--cutoffs", "3")
    assert again.returncode == 0
    with connect() as con:
        log = Lake(str(shop.root / "data" / "lake")).table("lapse/promotions", "month").read(con)
        moves = log.order('"at"').select("action, from_version, to_version").fetchall()
    assert moves[-1] == ("rollback", 3, 2)
    forward = shop.run("rollback", "lapse", "--to", "3", "--why", "back to where it was")
    assert "version 2 -> version 3" in forward.stdout


def test_online_retail_is_yaml_alone(tmp_path: Path) -> None:
    home = make_home(
        tmp_path,
        ML_ASSETS_ONLINE_RETAIL=str(online_retail_files()),
        ML_ASSETS_DEFS="ml_assets_tests.use_cases.online_retail.defs",
    )
    done = home.run("materialize", "--cutoffs", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    by_role = metrics(home, "customer_lapse")
    for (auc, _), (baseline, _) in zip(by_role["candidate"], by_role["baseline"], strict=True):
        assert auc > baseline + 0.05
    with connect() as con:
        lake = Lake(str(tmp_path / "data" / "lake"))
        (accepted,) = (
            lake.table("retail_orders/events", "event_date").read(con).aggregate("count(*)").fetchall()
        )
        (refused,) = (
            lake.table("retail_orders/quarantine", "event_date").read(con).aggregate("count(*)").fetchall()
        )
        (predicted,) = (
            lake.table("customer_lapse/predictions", "as_of", "model_version")
            .read(con)
            .aggregate("count(*)")
            .fetchall()
        )
    assert accepted[0] + refused[0] == 541_909
    assert refused[0] == 5_268 + 2, "the exact repeats, and two bad-debt lines with a negative price"
    assert predicted[0] > 0


def test_no_landing_files_says_what_to_do(tmp_path: Path) -> None:
    done = make_home(tmp_path).run("materialize")
    assert done.returncode == 1
    assert "ml-assets land completejourney" in done.stderr
    assert "Traceback" not in done.stderr
