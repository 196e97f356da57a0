"""What the asset ``drift_report`` does: Evidently's report of one day against the champion's training set."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb

from ml_assets.lake import Lake
from ml_assets.pipeline.run import CannotRun
from ml_assets.pipeline.steps.drift import changed_since, learnt_from, scored_population
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.in_use import ways_out
from ml_assets.registry.mlflow_registry import RegistryError
from ml_assets.registry.promotion_log import read_log

if TYPE_CHECKING:
    from ml_assets.registry.mlflow_registry import Registry, Version


@dataclass(frozen=True)
class Reported:
    """A report that is kept with the champion's MLflow run."""

    version: "Version"
    artifact: str
    table: Sequence[dict[str, Any]]
    rows: int


def report_drift(
    con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, registry: "Registry", as_of: date
) -> Reported:
    """Have Evidently compare the scored population of a day with the training set. Raises CannotRun without either.

    Features that are declared otherwise since are left out.
    """
    from ml_assets.monitoring.show.report import evidently_report

    log = read_log(con, model.tables(lake).promotions, model.name)
    if log.champion is None:
        raise CannotRun(f"{model.name} has no champion to report on. Materialize {model.name}/champion.")
    try:
        champion = registry.version(model.name, log.champion)
    except RegistryError as error:
        raise CannotRun(f"{error} {ways_out(registry, log)}") from error
    otherwise = changed_since(model, lake, champion.number)(as_of)
    learnt = learnt_from(con, model, lake, champion.number, champion.cutoff)
    types = {
        name: kind
        for name, kind in model.group.feature_types.items()
        if name in learnt and name not in otherwise
    }
    numeric = [name for name, kind in types.items() if kind not in ("VARCHAR", "BOOLEAN")]
    current = scored_population(con, model, lake, (as_of, as_of), champion.number)
    rows = current.order(str(model.entity)).df()[list(types)]
    if rows.empty:
        raise CannotRun(
            f"Version {champion.number} has scored nobody on {as_of}. Materialize {model.name}/predictions of that day."
        )
    report = evidently_report(
        learnt[list(types)],
        rows,
        numeric=numeric,
        categorical=[name for name in types if name not in numeric],
        seed=model.spec.train.seed,
    )
    artifact = f"drift/{as_of}.html"
    registry.log_result(champion.run_id, {}, {artifact: report.html})
    return Reported(champion, artifact, report.table, len(rows))
