"""A project in a scratch folder: landing files, definitions, a lake and a real Dagster instance."""

import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from shutil import copytree
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine
from sqlalchemy.event import listen, remove

from ml_assets.components.shared.partitions import range_tags
from ml_assets.definitions import build, resources
from ml_assets.instance.channels import CHANNELS
from ml_assets.lake import Between, Lake, Table, connect, content_hash
from ml_assets.landing.tables import SourceTables
from ml_assets.operations.fast_forward import FastForward, Tick
from ml_assets.operations.in_process import QUIET
from ml_assets.operations.materialize import Done, materialize
from ml_assets.project.model import DeclaredModel
from ml_assets.project.project import Project
from ml_assets.registry.mlflow_registry import Registry
from ml_assets.registry.promotion_log import ChampionOnRecord, champion_on_record
from ml_assets_tests import visits
from ml_assets_tests.places import redeclared
from ml_assets_tests.tables import table_of

MINI = "ml_assets_tests.use_cases.mini.defs"
SOURCE = ("visits/raw", "visits/events", "visits/quarantine")
SETTINGS = {
    "telemetry": {"enabled": False},
    "event_log_storage": {"module": "ml_assets.instance.event_log", "class": "SqliteEventLog"},
}
"""Of a house's Dagster instance: the event log is the project's own, as in dagster.yaml."""
FEATURES = ("visitor_features/tiles", "visitor_features/snapshot")
KEYS: dict[str, list[str]] = {
    "visits/events": ["event_date", "visit_id", "row_number"],
    "visits/quarantine": ["event_date", "landing_date", "row_number", "content_hash"],
    "visitor_features/tiles": ["available_date", "event_date", "visitor_id"],
    "visitor_features/snapshot": ["as_of", "visitor_id"],
    "churn/labels": ["as_of", "visitor_id"],
    "churn/training_set": ["cutoff", "as_of", "visitor_id"],
}
"""Table -> a key of its rows."""


@dataclass(frozen=True)
class House:
    """A scratch project."""

    home: Path
    instance: dg.DagsterInstance
    module: str = MINI

    @property
    def landing(self) -> Path:
        return self.home / "landing"

    @cached_property
    def defs(self) -> dg.Definitions:
        return build(self.module)

    @cached_property
    def project(self) -> Project:
        return Project.of(self.module)

    @property
    def churn(self) -> DeclaredModel:
        return self.project.models["churn"]

    @property
    def lake(self) -> Lake:
        return Lake(str(self.home / "data" / "lake"))

    @property
    def source(self) -> SourceTables:
        return SourceTables.of(self.lake, "visits")

    def table(self, name: str) -> Table:
        """A table of the source, the features or the model."""
        return table_of(self.lake, name)

    @property
    def registry(self) -> Registry:
        return Registry.below(self.home / "data")

    @property
    def champion(self) -> ChampionOnRecord | None:
        """The champion of the model churn."""
        with connect() as con:
            return champion_on_record(con, self.churn.tables(self.lake).promotions, "churn")

    def land(self, first: int, last: int, *, salt: str = "") -> None:
        """Land the days with these numbers."""
        visits.land(self.landing, visits.day(first), visits.day(last), salt=salt)

    def path(self, number: int) -> Path:
        return self.landing / f"{visits.day(number)}.parquet"

    def materialize(self, cutoffs: int = 2) -> list[Done]:
        self.registry.prepare()
        return materialize(
            self.project,
            self.defs,
            self.instance,
            self.lake,
            self.registry,
            cutoffs=cutoffs,
        )

    def run(
        self,
        assets: Sequence[str],
        first: int | date | None = None,
        last: int | date | None = None,
        *,
        tags: Mapping[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets with their checks in one run over a range of days, given by number or date."""
        ends = [
            visits.day(end) if isinstance(end, int) else end
            for end in (first, first if last is None else last)
        ]
        span = range_tags(*ends) if ends[0] and ends[1] else {}
        return self.defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(asset.split("/")) for asset in assets],
            run_config=QUIET,
            tags={**span, **(tags or {})},
            raise_on_error=False,
        )

    @property
    def forward(self) -> FastForward:
        """The project's sensors and schedules, that have not been evaluated yet."""
        return FastForward(self.defs.get_repository_def(), self.instance, resources)

    def launch(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Do what the daemon would: execute the request on the instance, with its tags."""
        return self.forward.launch(request)

    def tick(self, sensor: str, cursor: str | None = None) -> Tick:
        """Evaluate a sensor once, as the daemon does."""
        return self.forward.tick(sensor, cursor)

    def put_run(
        self, tags: Mapping[str, str], status: dg.DagsterRunStatus, job: str = "churn_retrain"
    ) -> dg.DagsterRun:
        """A run on the instance that this process doesn't execute."""
        return self.instance.create_run_for_job(
            self.defs.resolve_job_def(job), tags=dict(tags), status=status
        )

    def rows(self, table: str, between: Between | None = None, columns: str = "*") -> list[tuple[Any, ...]]:
        """The rows of a table of the source, the features or the model."""
        with connect() as con:
            found = self.table(table).read(con, between=between)
            return found.select(columns).order("ALL").fetchall()

    def hashes(self, tables: Sequence[str] = tuple(KEYS)) -> dict[str, str]:
        """The content hash of every table."""
        return {name: self.hash(name) for name in tables}

    def hash(self, table: str, between: Between | None = None) -> str:
        with connect() as con:
            return content_hash(self.table(table).read(con, between=between), KEYS[table])


def between_of(request: dg.RunRequest) -> tuple[str, str]:
    """The range of partitions a request is about."""
    return (
        request.tags["dagster/asset_partition_range_start"],
        request.tags["dagster/asset_partition_range_end"],
    )


def span(first: int, last: int) -> tuple[str, str]:
    """The same, from the numbers of the days."""
    return str(visits.day(first)), str(visits.day(last))


def failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """The messages of failed steps, as a person sees them; gates that block are left out."""
    found = {}
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error is not None:
            error = event.step_failure_data.error.cause or event.step_failure_data.error
            if error.cls_name != "DagsterAssetCheckFailedError":
                failure = event.step_failure_data.user_failure_data
                found[str(event.step_key)] = (failure and failure.description) or error.message.strip()
    return found


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """The evaluations of a run by the name of the check."""
    return {e.check_name: e for e in result.get_asset_check_evaluations()}


@contextmanager
def opened(home: Path, *, template: Path | None = None, module: str = MINI) -> Iterator[House]:
    """A house in ``home``, with the files of ``template``; the environment points to it meanwhile."""
    if template is not None:
        copytree(template, home, dirs_exist_ok=True)
    storage = home / "instance"
    storage.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_ASSETS_HOME", str(home))
        patch.setenv("ML_ASSETS_MINI_LANDING", str(home / "landing"))
        for variable in CHANNELS:
            patch.delenv(variable, raising=False)
        patch.delenv("ML_ASSETS_LAKE", raising=False)
        with unsynced(), dg.DagsterInstance.local_temp(str(storage), overrides=SETTINGS) as instance:
            yield House(home, instance, module)


@contextmanager
def unsynced() -> Iterator[None]:
    """SQLite doesn't wait for the disk meanwhile: no power fails in these tests."""

    def relax(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    listen(Engine, "connect", relax)
    try:
        yield
    finally:
        remove(Engine, "connect", relax)


def scratch_defs(folder: Path, edits: Mapping[str, tuple[str, str]] | None = None) -> str:
    """A copy of the mini use case as a module of its own, with texts replaced by file; return its name.

    ``folder`` must have a name no other module has; it goes into the path of modules.
    """
    redeclared(folder, edits or {})
    if str(folder.parent) not in sys.path:
        sys.path.append(str(folder.parent))
    return folder.name


def alerts_in(path: Path) -> list[dict[str, Any]]:
    """The alerts of the log file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
