"""The resources that assets use: the lake, DuckDB, MLflow, and a place for what training keeps."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ml_assets.lake import Lake, pin

if TYPE_CHECKING:
    from ml_assets.registry.mlflow_registry import Registry


_LOOKED_AT = set[str]()
"""The lakes that this process has looked for torn commits in: a power failure ends all processes."""


class LakeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where the Delta tables live: a folder, or an object-store URL.

    As a process starts to use it, commits that a power failure tore are mended.
    """

    root: str

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Called by Dagster when a run starts, or a sensor is asked."""
        if self.root in _LOOKED_AT:
            return
        from ml_assets.lake.torn import mend

        for note in mend(self.root):
            if context.log:
                context.log.warning(note)
        _LOOKED_AT.add(self.root)

    @property
    def lake(self) -> Lake:
        """The lake."""
        return Lake(self.root)


class TrainingResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where searches and checkpoints are kept, so that a killed run goes on where it was."""

    folder: str

    def of(self, model: str) -> Path:
        """The folder of one model."""
        return Path(self.folder) / model


class MlflowResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The model registry. MLflow is imported when it is used, not when the code location loads.

    As a run starts to use it, its aliases are made to follow the promotion logs in the lake.
    """

    lake: LakeResource
    tracking_uri: str
    artifact_root: str
    ui_url: str = "http://127.0.0.1:5000"

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Called by Dagster when a run starts."""
        from ml_assets.registry.aliases import repair

        for note in repair(self.lake.lake, self.registry):
            if context.log:
                context.log.warning(note)

    @property
    def registry(self) -> "Registry":
        """The registry behind this resource."""
        from ml_assets.registry.mlflow_registry import Registry

        return Registry(self.tracking_uri, self.artifact_root)

    def run_url(self, model: str, run_id: str, artifact: str = "") -> str:
        """Where MLflow's UI shows a run of a model, or one of the run's artifacts."""
        path = f"/artifacts/{artifact}" if artifact else ""
        return f"{self.ui_url}/#/experiments/{self.registry.experiment(model)}/runs/{run_id}{path}"

    @contextmanager
    def parent_run(self, context: dg.AssetExecutionContext, model: str) -> Iterator[str]:
        """One MLflow run of a model for this Dagster run; runs started inside are nested in it."""
        run = context.run
        with self.registry.parent_run(model, run.run_id, run.job_name) as parent:
            yield parent


@contextmanager
def connection(resource: DuckDBResource) -> Iterator[duckdb.DuckDBPyConnection]:
    """A pinned connection of the resource, closed whatever happens."""
    with resource.get_connection() as con:
        try:
            yield pin(con)
        finally:
            con.close()
