"""What the asset ``performance`` does: how the predictions made at a cutoff turned out, once their labels are mature."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import duckdb

from ml_assets.lake import Between, Lake, Provenance, records
from ml_assets.monitoring.act.evidence import loss_evidence, realised_loss
from ml_assets.monitoring.tables import EVIDENCE, performance_schema
from ml_assets.pipeline.run import Run
from ml_assets.project.model import DeclaredModel
from ml_assets.project.tables import ModelTables
from ml_assets.registry.pins import unlike

if TYPE_CHECKING:
    from ml_assets.lake.definition import Definitions
    from ml_assets.monitoring.loss.reference import Reference
    from ml_assets.monitoring.loss.verdict import Cohort, DayWatched


def judge_cohorts(
    con: duckdb.DuckDBPyConnection, run: Run, model: DeclaredModel, lake: Lake, between: Between
) -> list[dict[str, Any]]:
    """Judge every cohort of the cutoffs ``between`` and write performance and evidence; return the cohorts' rows.

    Scores of a version that could have learnt from the outcome are left out.
    """
    from ml_assets.monitoring.loss.performance import performance

    tables, target = model.tables(lake), model.spec.label.target
    made = run.made(tables.predictions, tables.labels, tables.references, tables.drift_days)
    tables.predictions.read(con, between=between).create_view("made_predictions", replace=True)
    tables.labels.read(con, between=between).create_view("mature_labels", replace=True)
    frame = con.sql(
        "SELECT made_predictions.*, label FROM made_predictions JOIN mature_labels "
        f"USING ({model.entity}, as_of) WHERE known_until <= as_of ORDER BY as_of, model_version, {model.entity}"
    ).df()
    cohorts = performance(
        frame,
        target,
        model=model.name,
        references=references_of(con, tables),
        unlike=_unlike(tables, between),
        watched=_watched(con, tables, between),
        policy=model.spec.monitoring,
    )
    rows = records(con, cohorts, performance_schema(target).types)
    tables.performance.replace(rows, between=between, provenance=made)
    _write_evidence(con, model, tables, cohorts, between, made)
    return cohorts


def _write_evidence(
    con: duckdb.DuckDBPyConnection,
    model: DeclaredModel,
    tables: ModelTables,
    cohorts: list[dict[str, Any]],
    span: Between,
    made: Provenance,
) -> None:
    """Put every cohort that lost more on record, as of the day on which its labels were mature."""
    horizon = model.spec.label.horizon
    found = [
        loss_evidence(
            loss,
            model=model.name,
            champion_version=cohort["model_version"],
            cohort=cohort["as_of"],
            known_on=cohort["as_of"] + horizon,
            diagnosis=cohort["diagnosis"] or "not watched",
        )
        for cohort in cohorts
        if (loss := realised_loss(cohort))
    ]
    tables.evidence.replace(
        records(con, [asdict(one) for one in found], EVIDENCE.types),
        between=(span[0] + horizon, span[1] + horizon),
        also="found_by = 'performance'",
        provenance=made,
    )


def references_of(
    con: duckdb.DuckDBPyConnection, tables: ModelTables, version: int | None = None
) -> "dict[int, Reference]":
    """What the versions, or one of them, did on their holdouts, by version; one judged before that was kept has none."""
    from ml_assets.monitoring.loss.reference import Reference

    if not tables.references.exists:
        return {}
    rows = tables.references.read(con)
    if version is not None:
        rows = rows.filter(f"model_version = {version}")
    found = rows.order("cutoff").to_arrow_table().to_pylist()
    return {row["model_version"]: Reference.from_row(row) for row in found}


def _unlike(tables: ModelTables, span: Between) -> "dict[Cohort, str]":
    """The cohorts whose labels are by another definition than those their version was judged by, with the reason."""
    found, judged = {}, _judged_by(tables)
    for as_of, labels in tables.labels.marks().items():
        if not span[0] <= as_of <= span[1]:
            continue
        for version, judged_by in judged.items():
            changed = unlike(judged_by, labels.definitions)
            if changed:
                found[as_of, version] = (
                    f"{' and '.join(changed)} of its labels was declared otherwise when version {version} was judged, and "
                    "losses by two definitions don't compare"
                )
    return found


def _judged_by(tables: ModelTables) -> "dict[int, Definitions]":
    """Version -> the definitions of the labels of its holdout; older records say of none."""
    commits = reversed(tables.references.history())
    facts = [
        (commit.provenance.facts.get("model_version"), commit.provenance.definitions) for commit in commits
    ]
    return {int(version): definitions for version, definitions in facts if version is not None}


def _watched(
    con: duckdb.DuckDBPyConnection, tables: ModelTables, span: Between
) -> "dict[Cohort, DayWatched]":
    """What watching the features of these days found; one with too few rows was not watched, broken data has moved."""
    from ml_assets.monitoring.loss.verdict import DayWatched

    if not tables.drift_days.exists:
        return {}
    columns = ["as_of", "model_version", "share", "breached", "broken", "enough_rows"]
    rows = (
        tables.drift_days.read(con, columns=columns, between=span).filter("enough_rows OR broken").fetchall()
    )
    return {
        (as_of, version): DayWatched(share, moved=breached or broken)
        for as_of, version, share, breached, broken, _ in rows
    }
