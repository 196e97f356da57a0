"""The default project, from landing files to a champion, through the command line and in the UI.

``shop`` is the materialized project, ``served`` the base URL of its web server.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ml_assets.lake import Lake, connect
from ml_assets_tests.end_to_end.browser import (
    ASSETS,
    PICTURE,
    complaints,
    open_graph,
    wait_for_nodes,
    wait_for_states,
)
from ml_assets_tests.end_to_end.conftest import Home, make_home, metrics
from ml_assets_tests.tables import table_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.end_to_end, pytest.mark.proof, pytest.mark.timeout(900)]


@pytest.mark.browser
def test_every_asset_is_shown_as_materialized(served: str, page: "Page", tmp_path: Path) -> None:
    open_graph(page, served)
    shown = wait_for_states(page)
    assert shown.keys() == ASSETS
    assert {name: found for name, node in shown.items() if (found := complaints(node))} == {}

    page.set_viewport_size(PICTURE)
    page.reload()
    wait_for_nodes(page)
    page.wait_for_timeout(2000)
    picture = Path(os.environ.get("ML_ASSETS_PICTURE") or tmp_path / "asset-graph.png")
    picture.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=picture)
    assert picture.stat().st_size > 20_000


@pytest.mark.browser
def test_the_checks_tab_shows_a_passed_check(served: str, page: "Page") -> None:
    page.set_viewport_size(PICTURE)
    page.goto(f"{served}/assets/transactions/events")
    page.get_by_role("tab", name="Checks").click()
    page.get_by_text(re.compile(r"Checks \(\d+\)")).first.wait_for()
    page.get_by_text(re.compile("^(Succeeded|Passed)$")).first.wait_for()
    assert "view=checks" in page.url


def test_the_year_of_transactions_ends_in_a_champion(shop: Home) -> None:
    by_role = metrics(shop, "lapse")
    assert len(by_role["candidate"]) == 3
    assert len(by_role["champion"]) == 2, "the first cutoff has no champion to compare with"
    for (auc, _), (baseline, _) in zip(by_role["candidate"], by_role["baseline"], strict=True):
        assert auc > 0.80
        assert auc > baseline + 0.03
    with connect() as con:
        lake = Lake(str(shop.root / "data" / "lake"))
        labels = table_of(lake, "lapse/labels").read(con)
        rates = (
            labels.aggregate("as_of, avg(label) AS rate").filter("rate NOT BETWEEN 0.10 AND 0.15").fetchall()
        )
        evidence = table_of(lake, "lapse/evidence").read(con).aggregate("count(*)").fetchall()
        outcomes = table_of(lake, "lapse/performance").read(con).aggregate("count(*)").fetchall()
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
    back = shop.run("models", "rollback", "lapse", "--why", "the test asks for it")
    assert back.returncode == 0, back.stderr
    assert "version 3 -> version 2" in back.stdout
    again = shop.run("materialize", "--cutoffs", "3")
    assert again.returncode == 0
    with connect() as con:
        log = table_of(Lake(str(shop.root / "data" / "lake")), "lapse/promotions").read(con)
        moves = log.order('"at"').select("action, from_version, to_version").fetchall()
    assert moves[-1] == ("rollback", 3, 2)
    forward = shop.run("models", "rollback", "lapse", "--to", "3", "--why", "back to where it was")
    assert "version 2 -> version 3" in forward.stdout


def test_no_landing_files_says_what_to_do(tmp_path: Path) -> None:
    done = make_home(tmp_path).run("materialize")
    assert done.returncode == 1
    assert "ml-assets data land completejourney" in done.stderr
    assert "Traceback" not in done.stderr
