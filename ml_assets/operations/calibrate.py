"""What a champion's thresholds promise, from its own training rows and profile."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from ml_assets.instance.refusal import Refusal
from ml_assets.lake import Lake
from ml_assets.monitoring.rehearse.calibrate import Calibration, calibrate
from ml_assets.pipeline.steps.drift import learnt_from, profiles_of
from ml_assets.registry.promotion_log import champion_on_record

if TYPE_CHECKING:
    from datetime import date

    from ml_assets.project.model import DeclaredModel


@dataclass(frozen=True)
class Calibrated:
    """A champion, and what its thresholds promise."""

    model: str
    version: int
    cutoff: "date"
    found: Calibration


def calibrate_champion(
    con: duckdb.DuckDBPyConnection,
    model: "DeclaredModel",
    lake: Lake,
    *,
    days: int,
    seeds: int,
    rows: int | None,
) -> Calibrated:
    """Simulate days like the champion's training, and shifts. Raises Refusal without a champion, ProfileError."""
    tables = model.tables(lake)
    champion = champion_on_record(con, tables.promotions, model.name)
    if champion is None:
        raise Refusal(f"{model.name} has no champion yet. Materialize {model.name}/champion first.")
    found = calibrate(
        learnt_from(con, model, lake, champion.version, champion.cutoff),
        profiles_of(con, tables, champion.version),
        model.spec.monitoring,
        entity=list(model.entity),
        days=days,
        seeds=seeds,
        rows=rows,
    )
    return Calibrated(model.name, champion.version, champion.cutoff, found)
