"""A process that forks children that train, judge and promote, kills them on the way, and forks others that start anew.

It reads a JSON object a line and answers each with one. Nothing that doesn't survive a fork is used before it: MLflow
and Dagster are imported, no table and no database is opened.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import mlflow.pyfunc
import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
import pandas as pd
import pandera.pandas  # noqa: F401
import sklearn.metrics  # noqa: F401
import sqlalchemy.orm
import xgboost  # noqa: F401

from ml_assets.cli.app import main
from ml_assets.components.shared.resources import LakeResource, MlflowResource
from ml_assets.lake import Lake, connect
from ml_assets.operations.in_process import QUIET
from ml_assets.pipeline.book import book_of as book_of_model
from ml_assets.pipeline.run import Run
from ml_assets.pipeline.steps.candidate import Workplace, train_candidate
from ml_assets.pipeline.steps.evaluation import evaluate_cutoff
from ml_assets.project.project import Project
from ml_assets.registry import promotion
from ml_assets.registry.mlflow_registry import Registry, Version
from ml_assets.registry.trial import Trial, TrialProcess, tried
from ml_assets_tests.places import USE_CASES
from ml_assets_tests.registry.shelf import book_of


@dataclass(frozen=True)
class Deadly(Registry):
    """A registry whose user is killed as it sets the alias of that name."""

    deadly: str = ""

    def set_alias(self, version: Version, name: str) -> None:
        if name == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        super().set_alias(version, name)


def move(asked: dict[str, Any], written: int) -> None:
    """Make a version champion, and tell once the log says so."""
    write_moves = promotion.write_moves

    def told(*of: Any) -> None:
        write_moves(*of)
        os.write(written, b".")

    promotion.write_moves = told  # type: ignore[assignment]
    registry = Deadly(asked["tracking_uri"], asked["artifact_root"], asked["deadly"])
    with connect() as con:
        book = book_of(con, Lake(asked["lake"]), registry, asked["model"])
        promotion.override(book, who="ada", reason="a drill", version=asked["version"])
    time.sleep(60)


class TriedHere(TrialProcess):
    """Trials in this process: that a fresh one can load a model is proved elsewhere."""

    def __init__(self) -> None: ...

    def run(self, artifact: Path, rows: pd.DataFrame) -> Trial:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "rows.parquet"
            rows.to_parquet(path)
            return tried(artifact, path)

    def imports(self, *_: object) -> tuple[str, ...]:
        return ()


def to_champion(asked: dict[str, Any]) -> None:
    """Train the candidate of a cutoff, judge it and promote it, by the steps of the assets."""
    registry, lake = Registry(asked["tracking_uri"], asked["artifact_root"]), Lake(asked["lake"])
    model, cutoff = Project(USE_CASES / "mini" / "defs").models["churn"], date.fromisoformat(asked["cutoff"])
    with connect() as con:
        place = Workplace(Run("chain"), con, model, lake, registry, Path(asked["training"]))
        with registry.parent_run(model.name, "chain", "by hand") as parent:
            train_candidate(place, TriedHere(), cutoff, lambda: parent)
        evaluate_cutoff(place, TriedHere(), cutoff)
        promotion.promote(book_of_model(con, model, lake, registry), who="ada", run="chain")


def start(asked: dict[str, Any]) -> None:
    """Start something that uses the registry."""
    registry, lake = Registry(asked["tracking_uri"], asked["artifact_root"]), Lake(asked["lake"])
    match asked["start"]:
        case "command":
            assert main(["init"]) == 0
        case "run":
            mlflow = MlflowResource(lake=LakeResource(root=lake.root), **vars(registry))
            assert dg.materialize([uses_mlflow], resources={"mlflow": mlflow}, run_config=QUIET).success
        case "promotion":
            with connect() as con:
                promotion.promote(book_of(con, lake, registry, asked["model"]), who="eve", run="next")


@dg.asset
def uses_mlflow(mlflow: MlflowResource) -> None: ...


def forked(does: Callable[[], None]) -> int:
    """A child that does something and ends."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            does()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def answer(asked: dict[str, Any]) -> int:
    """Fork a child for a request, kill it if the request says when, and tell how it ended."""
    os.environ["ML_ASSETS_HOME"] = asked["home"]
    os.environ["DAGSTER_HOME"] = f"{asked['home']}/.dagster"
    os.environ["ML_ASSETS_MINI_LANDING"] = f"{asked['home']}/landing"
    if "start" in asked:
        child = forked(lambda: start(asked))
    elif "cutoff" in asked:
        child = forked(lambda: to_champion(asked))
        if (after := asked["after"]) is not None:
            time.sleep(after)
            os.kill(child, signal.SIGKILL)
    else:
        reads, writes = os.pipe()
        child = forked(lambda: move(asked, writes))
        os.close(writes)
        os.read(reads, 1)
        os.close(reads)
        if not asked["deadly"]:
            time.sleep(asked["after"])
            os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sqlalchemy.orm.configure_mappers()
    for line in sys.stdin:
        print(answer(json.loads(line)), flush=True)
