"""Watch a range of days for drift: measure every day, judge it, and put evidence on record."""

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb

from ml_assets.components.metadata import made_by
from ml_assets.components.model import Bound, ModelTables
from ml_assets.components.resources import MlflowResource
from ml_assets.lake import Between, Lake, records
from ml_assets.monitoring.drift import DayVerdict, FeatureDrift, find_evidence, judge_day, measure
from ml_assets.monitoring.profile import FeatureProfile, profiles_from_rows

if TYPE_CHECKING:
    import pandas as pd

DRIFT_COLUMNS = {
    "as_of": "DATE",
    "model_version": "BIGINT",
    "feature": "VARCHAR",
    "kind": "VARCHAR",
    "psi": "DOUBLE",
    "psi_threshold": "DOUBLE",
    "shift": "DOUBLE",
    "shift_threshold": "DOUBLE",
    "ks": "DOUBLE",
    "ks_p": "DOUBLE",
    "jensen_shannon": "DOUBLE",
    "chi_square": "DOUBLE",
    "chi_square_freedom": "BIGINT",
    "chi_square_p": "DOUBLE",
    "null_share": "DOUBLE",
    "null_threshold": "DOUBLE",
    "unseen_share": "DOUBLE",
    "low": "DOUBLE",
    "high": "DOUBLE",
    "mean": "DOUBLE",
    "mean_shift": "DOUBLE",
    "breached": "BOOLEAN",
    "broken": "BOOLEAN",
    "reason": "VARCHAR",
    "weight": "DOUBLE",
    "rows": "BIGINT",
}
DAYS_COLUMNS = {
    "as_of": "DATE",
    "model_version": "BIGINT",
    "share": "DOUBLE",
    "breached": "BOOLEAN",
    "broken": "BOOLEAN",
    "enough_rows": "BOOLEAN",
    "rows": "BIGINT",
    "reason": "VARCHAR",
}
EVIDENCE_COLUMNS = {
    "as_of": "DATE",
    "evidence_id": "VARCHAR",
    "model": "VARCHAR",
    "champion_version": "BIGINT",
    "share": "DOUBLE",
    "reason": "VARCHAR",
}


@dataclass(frozen=True)
class Watched:
    """What watching a range of days found."""

    rows: int
    newest_drifts: list[FeatureDrift]
    newest_reason: str
    evidence: str
    day_rows: list[dict[str, Any]]


def profiles_of(con: duckdb.DuckDBPyConnection, tables: ModelTables, version: int) -> list[FeatureProfile]:
    """The training profile stored with a version."""
    rows = tables.profiles.read(con).filter(f"model_version = {version}")
    return profiles_from_rows(rows.to_arrow_table())


def watch_days(
    context: dg.AssetExecutionContext,
    con: duckdb.DuckDBPyConnection,
    model: Bound,
    lake: Lake,
    between: Between,
    lookback: timedelta,
    version: int,
) -> Watched:
    """Measure and judge every day of the range, and write drift, day verdicts and evidence."""
    tables, policy = model.tables(lake), model.spec.monitoring
    profiles = profiles_of(con, tables, version)
    _scored_population(con, model, lake, between, version).create("watched")
    as_ofs = [row[0] for row in con.sql("SELECT DISTINCT as_of FROM watched ORDER BY as_of").fetchall()]
    verdicts = _earlier_verdicts(
        con, tables, (between[0] - lookback, between[0] - timedelta(days=1)), version
    )
    promoted = _promoted_cutoff(con, tables, version)
    drift_rows, day_rows, evidence_rows = [], [], []
    drifts: list[FeatureDrift] = []
    for as_of in as_ofs:
        drifts = measure(con, con.sql(f"FROM watched WHERE as_of = DATE '{as_of}'"), profiles, policy)
        verdict = judge_day(drifts, policy)
        verdicts.append((as_of, verdict))
        drift_rows += [{"as_of": as_of, "model_version": version} | asdict(d) for d in drifts]
        day_rows.append({"as_of": as_of, "model_version": version} | asdict(verdict))
        evidence = find_evidence(
            verdicts, drifts, policy, model=model.name, champion_version=version, last_promotion=promoted
        )
        if evidence is not None:
            evidence_rows.append(asdict(evidence))
    made = made_by(context, **{tables.predictions.name: tables.predictions.version})
    for table, rows, columns in (
        (tables.drift, drift_rows, DRIFT_COLUMNS),
        (tables.drift_days, day_rows, DAYS_COLUMNS),
        (tables.evidence, evidence_rows, EVIDENCE_COLUMNS),
    ):
        table.replace(records(con, rows, columns), between=between, metadata=made)
    newest = verdicts[-1][1].reason if as_ofs else "nobody was scored"
    return Watched(
        len(drift_rows), drifts, newest, evidence_rows[-1]["reason"] if evidence_rows else "", day_rows
    )


def _scored_population(
    con: duckdb.DuckDBPyConnection, model: Bound, lake: Lake, between: Between, version: int
) -> duckdb.DuckDBPyRelation:
    predictions = (
        model.tables(lake).predictions.read(con, between=between).filter(f"model_version = {version}")
    )
    predictions.create_view("scored", replace=True)
    model.group.snapshot(lake).read(con, between=between).create_view("scored_snapshot", replace=True)
    return con.sql(
        f"SELECT scored_snapshot.*, score FROM scored JOIN scored_snapshot USING ({model.entity}, as_of)"
    )


def _earlier_verdicts(
    con: duckdb.DuckDBPyConnection, tables: ModelTables, between: Between, version: int
) -> list[tuple[date, DayVerdict]]:
    if not tables.drift_days.exists:
        return []
    rows = tables.drift_days.read(con, columns=list(DAYS_COLUMNS), between=between)
    found = rows.filter(f"model_version = {version}").order("as_of").to_arrow_table().to_pylist()
    return [
        (row["as_of"], DayVerdict(**{k: v for k, v in row.items() if k not in ("as_of", "model_version")}))
        for row in found
    ]


def _promoted_cutoff(con: duckdb.DuckDBPyConnection, tables: ModelTables, version: int) -> date | None:
    if not tables.promotions.exists:
        return None
    rows = tables.promotions.read(con, columns=["to_version", "cutoff"]).filter(f"to_version = {version}")
    ((cutoff,),) = rows.aggregate("max(cutoff)").fetchall()
    return cutoff  # type: ignore[no-any-return]


def write_report(
    con: duckdb.DuckDBPyConnection,
    model: Bound,
    lake: Lake,
    mlflow: MlflowResource,
    version: int,
    as_of: date,
) -> str:
    """Render Evidently's report of one day against the training set, file it with the version; return its URL.

    Empty if nobody was scored on that day.
    """
    from ml_assets.monitoring.report import evidently_report

    current = con.sql(f"FROM watched WHERE as_of = DATE '{as_of}' ORDER BY {model.entity}").df()
    if current.empty:
        return ""
    registry = mlflow.registry
    champion = registry.version(model.name, version)
    reference = _training_frame(con, model, lake, champion.cutoff)
    types = model.group.feature_types
    numeric = [name for name, kind in types.items() if kind not in ("VARCHAR", "BOOLEAN")]
    report = evidently_report(
        reference,
        current[list(types)],
        numeric=numeric,
        categorical=[name for name in types if name not in numeric],
        seed=model.spec.train.seed,
    )
    name = f"drift/{as_of}.html"
    registry.log_result(champion.run_id, {}, {name: report.html})
    return mlflow.run_url(model.name, champion.run_id, name)


def _training_frame(con: duckdb.DuckDBPyConnection, model: Bound, lake: Lake, cutoff: date) -> "pd.DataFrame":
    rows = model.tables(lake).training_set.read(
        con, columns=["as_of", *model.entity, *model.group.feature_types], between=(cutoff, cutoff)
    )
    return rows.order(f"as_of, {model.entity}").df()[list(model.group.feature_types)]
