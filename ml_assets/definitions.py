"""The one place that puts everything together: what ``defs/`` declares, and the resources it runs on."""

import os
from importlib import import_module

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.model.sensors import sensors
from ml_assets.components.shared import maintenance
from ml_assets.components.shared.alerts import run_failures, tick_failures
from ml_assets.components.shared.executor import leased_in_process
from ml_assets.components.shared.resources import LakeResource, MlflowResource, TrainingResource
from ml_assets.instance.home import CHECKOUT, data, lake_root
from ml_assets.project.project import Project


def resources() -> dict[str, object]:
    """The lake, DuckDB, MLflow and what training keeps, all below the project's data folder."""
    folder, lake = data(), LakeResource(root=lake_root())
    return {
        "lake": lake,
        "duckdb": DuckDBResource(database=":memory:"),
        "mlflow": MlflowResource(
            lake=lake,
            tracking_uri=f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}",
            artifact_root=str(folder / "mlflow" / "artifacts"),
            ui_url=f"http://127.0.0.1:{os.environ.get('ML_ASSETS_MLFLOW_PORT', '5000')}",
        ),
        "training": TrainingResource(folder=str(folder / "training")),
    }


def build(module: str = "ml_assets.defs") -> dg.Definitions:
    """All definitions declared by the YAML below a module's folder, with resources and the sensors of failures."""
    project = Project.of(module)
    project.check_bounds()
    tree = dg.ComponentTree.from_module(import_module(module), CHECKOUT)
    return dg.Definitions.merge(
        tree.build_defs(),
        maintenance.definitions(),
        dg.Definitions(
            resources=resources(),
            sensors=[*sensors(list(project.models.values())), run_failures, tick_failures],
            executor=leased_in_process,
        ),
    )


defs = build(os.environ.get("ML_ASSETS_DEFS", "ml_assets.defs"))
