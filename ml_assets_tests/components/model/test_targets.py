"""Models that predict amounts, and classes, from labels to predictions: the same assets, another label."""

import json
from collections.abc import Iterator
from datetime import date
from math import isfinite
from pathlib import Path
from typing import Any

import pytest

from ml_assets.lake import connect
from ml_assets_tests.house import House, failures, opened, scratch_defs

CUTOFF = date(2024, 3, 4)
FIRST = date(2024, 1, 29)
LABEL = '{absent: "amount >= 0", within: 7d}'
CHAIN = ["churn/training_set", "churn/candidate", "churn/evaluation"]


def trained(house: House) -> dict[str, Any]:
    """Labels anew, then everything of one cutoff; the metrics of the evaluation by role."""
    labels = house.run(["churn/labels"], FIRST, CUTOFF)
    assert labels.success, failures(labels)
    result = house.run(CHAIN, CUTOFF)
    assert not failures(result), failures(result)
    tables = house.churn.tables(house.lake)
    with connect() as con:
        rows = tables.evaluation.read(con, between=(CUTOFF, CUTOFF)).to_arrow_table().to_pylist()
        decisions = tables.decisions.read(con, between=(CUTOFF, CUTOFF)).to_arrow_table().to_pylist()
    measured = {row["gate"]: row["status"] for row in decisions}
    assert measured["reloads_and_predicts"] == "PASS", decisions
    assert measured["is_fast_and_small"] == "PASS", decisions
    found = {row["role"]: row for row in rows}
    _check_report(house, found)
    return found


def _check_report(house: House, rows: dict[str, Any]) -> None:
    """The intervals in the report are those on record."""
    version = house.registry.version("churn", rows["candidate"]["model_version"])
    filed = house.registry.client().download_artifacts(version.run_id, "evaluation/report.html")
    report = Path(filed).read_text()
    intervals = [f"{row['low']:.3f} to {row['high']:.3f}" for row in rows.values() if isfinite(row["low"])]
    assert intervals
    assert [said for said in intervals if said not in report] == []


@pytest.fixture
def of_label(finished_home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    """The finished project with another label and estimator; its promotion log and registry begin anew."""
    name, label, train = request.param
    edits = {"churn/defs.yaml": (LABEL, label)}
    module = scratch_defs(tmp_path / f"{name}_defs", edits)
    yaml = tmp_path / f"{name}_defs" / "churn" / "defs.yaml"
    text = yaml.read_text()
    start, end = text.index("  train:"), text.index("  slices:")
    yaml.write_text(text[:start] + f"  train: {train}\n" + text[end:])
    with opened(tmp_path / "home", template=finished_home, module=module) as house:
        yield house


AMOUNT = (
    "amount",
    "{sum: amount, within: 7d}",
    "{history: 4 cutoffs, parameters: {rounds: 40, max_depth: 2, min_child_weight: 1}, search: {trials: 2}}",
)
WAIT = (
    "wait",
    '{time_to: "amount >= 0", classes: [3d], within: 7d}',
    "{estimator: logistic_regression, history: 4 cutoffs}",
)


@pytest.mark.slow
@pytest.mark.parametrize("of_label", [AMOUNT], ids=["amount"], indirect=True)
def test_an_amount(of_label: House) -> None:
    found = trained(of_label)
    assert {"r2", "mae", "rmse"} <= set(found["candidate"])
    assert found["candidate"]["mae"] > 0
    searched = list((of_label.home / "data" / "training" / "churn" / "searches").glob("*.db"))
    assert len(searched) == 1, "a search that is killed goes on from its file"
    tags = of_label.registry.version("churn", found["candidate"]["model_version"]).tags
    assert json.loads(tags["search"]) == {"complete": 2}
    assert json.loads(tags["inputs"]).keys() == {
        "churn/training_set",
        "churn/labels",
        "visitor_features/snapshot",
    }
    assert {"git_commit", "git_dirty", "lock_sha256", "machine", "model_sha256", "config"} <= tags.keys()


@pytest.mark.parametrize("of_label", [WAIT], ids=["wait"], indirect=True)
def test_the_wait_for_an_event_in_classes(of_label: House) -> None:
    found = trained(of_label)
    assert {"skill", "log_loss", "accuracy"} <= set(found["candidate"])
    assert 0 < found["candidate"]["accuracy"] < 1
