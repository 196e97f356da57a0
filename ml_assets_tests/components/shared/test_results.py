"""What Dagster is told of each partition of a run over a range: its own numbers, words and pictures."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.components.shared.results import finite, numbers_of
from ml_assets.lake import Lake, Provenance, connect
from ml_assets.registry.verdicts import newest_candidates
from ml_assets_tests.house import House, failures

BY_DAY = (
    "visits/events",
    "visits/quarantine",
    "visitor_features/tiles",
    "visitor_features/snapshot",
    "churn/predictions",
    "churn/drift",
)
EARLIER, LATER = date(2024, 2, 26), date(2024, 3, 4)


def told(house: House, asset: str) -> dict[date, Mapping[str, Any]]:
    """What Dagster was told last of every partition of an asset."""
    records = house.instance.fetch_materializations(dg.AssetKey(asset.split("/")), limit=1000).records
    found: dict[date, Mapping[str, Any]] = {}
    for record in records:
        made = record.asset_materialization
        assert made is not None
        assert made.partition is not None
        metadata = {name: value.value for name, value in made.metadata.items()}
        found.setdefault(date.fromisoformat(made.partition), metadata)
    return found


@pytest.mark.slow
def test_every_day_has_its_own_number_of_rows(finished: House) -> None:
    for asset in BY_DAY:
        of_day, table = told(finished, asset), finished.table(asset)
        with connect() as con:
            lead = table.partition_by[0]
            rows = dict(table.read(con).aggregate(f"{lead}, count(*)", lead).fetchall())
        assert {day: m["dagster/row_count"] for day, m in of_day.items()} == {
            day: rows.get(day, 0) for day in of_day
        }, asset
    assert len({m["dagster/row_count"] for m in told(finished, "visits/events").values()}) > 2
    assert len({m["mean_score"] for m in told(finished, "churn/predictions").values()}) > 1
    drift = told(finished, "churn/drift")
    assert all(str(day) in metadata["day"] for day, metadata in drift.items())
    assert [day for day, metadata in drift.items() if "features" in metadata] == [max(drift)]
    assert {metadata["file"] for metadata in told(finished, "visits/raw").values()} == {"accepted"}


@pytest.mark.slow
def test_every_cutoff_of_a_range_has_its_own_model_gates_and_curves(finished: House) -> None:
    chain = ["churn/labels", "churn/training_set", "churn/candidate", "churn/evaluation"]
    result = finished.run(chain, EARLIER, LATER)
    assert told(finished, "churn/evaluation").keys() == {EARLIER, LATER}, failures(result)
    tables = finished.churn.tables(finished.lake)
    with connect() as con:
        versions = newest_candidates(con, tables.candidate)
        aucs = dict(tables.evaluation.read(con).filter("role = 'candidate'").select("cutoff, auc").fetchall())
        rates = dict(tables.labels.read(con).aggregate("as_of, avg(label)", "as_of").fetchall())
    judged, trained = told(finished, "churn/evaluation"), told(finished, "churn/candidate")
    assert {cutoff: m["model_version"] for cutoff, m in trained.items()} == versions
    assert {cutoff: m["model_version"] for cutoff, m in judged.items()} == versions
    assert {cutoff: m["auc"] for cutoff, m in judged.items()} == aucs
    labels = told(finished, "churn/labels")
    assert {day: labels[day]["positive_rate"] for day in rates} == pytest.approx(rates)
    for name in ("gates", "report", "ROC, precision and recall, calibration"):
        assert len({str(m[name]) for m in judged.values()}) == 2, name


def test_a_partition_without_rows_has_none_and_an_unknown_number_is_left_out(tmp_path: Path) -> None:
    first, last, lake = date(2024, 1, 1), date(2024, 1, 2), Lake(str(tmp_path))
    table = lake.table("t", "day")
    with connect() as con:
        rows = con.sql("SELECT DATE '2024-01-01' AS day, NULL::DOUBLE AS x, 3 AS y")
        table.replace(rows, between=(first, last), provenance=Provenance())
        assert numbers_of(con, table, [first, last], {"mean": "avg(x)", "most": "max(y)"}) == {
            first: {"dagster/row_count": 1, "most": 3},
            last: {"dagster/row_count": 0},
        }
        assert numbers_of(con, table, [first], where="y > 3") == {first: {"dagster/row_count": 0}}
        assert numbers_of(con, lake.table("other", "day"), [first]) == {}
    assert finite({"auc": float("nan"), "n": 2, "r2": 0.5, "low": None}) == {"n": 2, "r2": 0.5}
