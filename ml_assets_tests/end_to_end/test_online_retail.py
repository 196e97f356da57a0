"""Another use case from landing files to a champion, through the same components and the command line."""

import os
from pathlib import Path

import pytest

from ml_assets.instance.home import CHECKOUT
from ml_assets.lake import Lake, connect
from ml_assets_tests.end_to_end.conftest import make_home, metrics
from ml_assets_tests.tables import table_of

pytestmark = [pytest.mark.end_to_end, pytest.mark.proof, pytest.mark.timeout(900)]


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
        (accepted,) = table_of(lake, "retail_orders/events").read(con).aggregate("count(*)").fetchall()
        (refused,) = table_of(lake, "retail_orders/quarantine").read(con).aggregate("count(*)").fetchall()
        (predicted,) = table_of(lake, "customer_lapse/predictions").read(con).aggregate("count(*)").fetchall()
    assert accepted[0] + refused[0] == 541_909
    assert refused[0] == 5_268 + 2, "the exact repeats, and two bad-debt lines with a negative price"
    assert predicted[0] > 0
