"""Runs in MLflow: one per Dagster run, with the candidates nested in it."""

import multiprocessing
import signal
from typing import Any

import pytest

from ml_assets.registry.mlflow_registry import Registry
from ml_assets_tests.registry import movers

pytestmark = pytest.mark.slow
SPAWN = multiprocessing.get_context("spawn")


def runs(registry: Registry, model: str) -> list[Any]:
    """The runs of a model, the oldest first."""
    experiment = registry.experiment(model)
    return list(registry.client().search_runs([experiment], order_by=["attributes.start_time ASC"]))


def test_a_dagster_run_is_one_run_that_holds_its_candidates(prepared: Registry) -> None:
    with prepared.parent_run("held", "dagster-1", "train") as parent:
        for cutoff in ("a", "b"):
            with prepared.run("held", cutoff, {"cutoff": cutoff}, parent):
                pass
        with pytest.raises(ValueError, match="no rows"), prepared.run("held", "c", {}, parent):
            raise ValueError("no rows")
    with prepared.parent_run("held", "dagster-1", "train") as again:
        assert again == parent, "the run goes on"
    with prepared.parent_run("held", "dagster-2", "train") as other:
        assert other != parent
    found = runs(prepared, "held")
    assert [(run.info.run_name, run.info.status) for run in found] == [
        ("train", "FINISHED"),
        ("a", "FINISHED"),
        ("b", "FINISHED"),
        ("c", "FAILED"),
        ("train", "FINISHED"),
    ]
    tags = found[0].data.tags
    assert (tags["dagster_run_id"], tags["dagster/job"]) == ("dagster-1", "train")
    assert [run.data.tags.get("mlflow.parentRunId") for run in found] == [None, parent, parent, parent, None]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_run_that_fails_is_failed(prepared: Registry, error: type[BaseException]) -> None:
    model = f"failed_{error.__name__}"
    parent = prepared.parent_run(model, "dagster-1", "train")
    with pytest.raises(error), parent as run, prepared.run(model, "a", {}, run):
        raise error
    assert [run.info.status for run in runs(prepared, model)] == ["FAILED", "FAILED"]
    with prepared.parent_run(model, "dagster-1", "train"):
        pass
    assert runs(prepared, model)[0].info.status == "FINISHED", "once it has gone on to its end"


def test_a_run_that_was_killed_is_found_again_and_ends(prepared: Registry) -> None:
    process = SPAWN.Process(target=movers.die_in_a_run, args=(prepared, "died", "dagster-1"))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    (left,) = runs(prepared, "died")
    assert left.info.status == "RUNNING"
    with prepared.parent_run("died", "dagster-1", "train") as again:
        assert again == left.info.run_id
    assert [run.info.status for run in runs(prepared, "died")] == ["FINISHED"]
