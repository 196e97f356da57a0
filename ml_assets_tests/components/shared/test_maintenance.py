"""The maintenance asset over a finished project: it runs, and what the champion names stays readable."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from ml_assets.components.shared.maintenance import KEY, is_due, named_versions
from ml_assets.instance import clock
from ml_assets.lake import connect
from ml_assets.lake.maintenance import lost, maintain, needed, tables
from ml_assets.lake.table import Table
from ml_assets.operations.in_process import QUIET
from ml_assets_tests.house import House


def run(house: House) -> dg.ExecuteInProcessResult:
    job = house.defs.resolve_job_def("lake_maintenance")
    return job.execute_in_process(instance=house.instance, run_config=QUIET, raise_on_error=False)


def test_what_a_model_names_outlives_a_hard_vacuum(finished: House) -> None:
    named = named_versions(finished.registry)
    assert set(named) == {"churn/training_set", "churn/labels", "visitor_features/snapshot"}
    kept = needed(finished.lake, named)
    assert {*named, "visitor_features/tiles", "visits/events"} <= set(kept)
    rows = {}
    with connect() as con:
        training_set = finished.churn.tables(finished.lake).training_set
        [version] = named["churn/training_set"]
        rows["before"] = training_set.read(con, version=version).order("ALL").fetchall()
        for salt in ("corrected", "corrected again"):
            finished.land(0, 3, salt=salt)
            assert finished.run(["visits/raw", "visits/events", "visits/quarantine"], 0, 3).success
        removed = sum(
            maintain(t, kept.get(t.name, set()), timedelta(0)).files_removed for t in tables(finished.lake)
        )
        assert removed > 0
        rows["after"] = training_set.read(con, version=version).order("ALL").fetchall()
    assert rows["before"] == rows["after"]
    assert not any(lost(Table(finished.lake, name, ()), versions) for name, versions in kept.items())
    result = run(finished)
    assert result.success
    [check] = result.get_asset_check_evaluations()
    assert check.passed
    [event] = result.get_asset_materialization_events()
    assert event.asset_key == KEY
    assert json.loads(json.dumps(event.materialization.metadata["files removed"].value)) == 0


def test_a_lost_version_fails_the_check(finished: House) -> None:
    [version] = named_versions(finished.registry)["churn/training_set"]
    table = finished.churn.tables(finished.lake).training_set
    with connect() as con:
        table.read(con, version=version)
    for path in Path(table.uri).rglob("*.parquet"):
        path.unlink()
    check = finished.defs.resolve_job_def("lake_maintenance")
    result = check.execute_in_process(instance=finished.instance, run_config=QUIET, raise_on_error=False)
    assert not result.success


def test_materialize_maintains_a_lake_that_nobody_has_for_a_week(finished: House) -> None:
    assert not is_due(finished.instance)
    with clock.at(lambda: datetime.now(UTC) + timedelta(days=8)):
        assert is_due(finished.instance)
        assert [done.phase.title for done in finished.materialize()][-1] == "maintenance of the lake"
    assert not is_due(finished.instance)


def test_a_lost_version_keeps_nothing_else_from_being_maintained(finished: House) -> None:
    finished.registry.client().delete_model_version("churn", "1")
    result = run(finished)
    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["kept for versions that nobody uses any more"].value == "none"
