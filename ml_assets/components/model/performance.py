"""The asset ``performance`` of a model, how its predictions turned out, and the check that the model holds up."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ml_assets.components.model.component import Bound, ModelTables
from ml_assets.components.shared.metadata import made_by, markdown_table, picture, stored
from ml_assets.components.shared.partitions import AS_ONE_RUN, between, between_of_run, window
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.lake import Between, Lake, Provenance, Table, records
from ml_assets.monitoring.act.evidence import EVIDENCE_COLUMNS, loss_evidence, realised_loss

if TYPE_CHECKING:
    from ml_assets.monitoring.loss.reference import Reference
    from ml_assets.monitoring.loss.verdict import Cohort, DayWatched

SHOWN = (
    "as_of",
    "model_version",
    "n",
    "loss",
    "expected_loss",
    "reference_loss",
    "worse",
    "unexpected",
    "diagnosis",
)


def asset(model: Bound) -> dg.AssetsDefinition:
    """How the predictions made at a cutoff turned out."""

    @dg.asset(
        key=model.key("performance"),
        deps=[
            dg.AssetDep(model.key("predictions"), partition_mapping=window(0, 0)),
            model.key("labels"),
        ],
        description="How the predictions made at a cutoff turned out, once their labels are mature: metrics, and the "
        "loss against that of the version's holdout and against what the scores let expect. Scores of a version that "
        "could have learnt from the outcome are left out.",
        partitions_def=model.cutoffs,
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"deltalake", "scikitlearn"},
        backfill_policy=AS_ONE_RUN,
    )
    def performance(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.MaterializeResult:
        from ml_assets.monitoring.loss.performance import performance as by_cohort
        from ml_assets.monitoring.loss.performance import performance_rows

        tables, target, span = model.tables(lake.lake), model.spec.label.target, between(context)
        read = (tables.predictions, tables.labels, tables.references, tables.drift_days)
        made = made_by(context, **{table.name: table.version for table in read})
        with connection(duckdb) as con:
            tables.predictions.read(con, between=span).create_view("made_predictions", replace=True)
            tables.labels.read(con, between=span).create_view("mature_labels", replace=True)
            frame = con.sql(
                "SELECT made_predictions.*, label FROM made_predictions JOIN mature_labels "
                f"USING ({model.entity}, as_of) WHERE known_until <= as_of ORDER BY as_of, model_version, {model.entity}"
            ).df()
            rows = by_cohort(
                frame,
                target,
                model=model.name,
                references=references_of(con, tables),
                watched=_watched(con, tables, span),
                policy=model.spec.monitoring,
            )
            tables.performance.replace(
                con.from_arrow(performance_rows(rows, target)), between=span, provenance=made
            )
            _write_evidence(con, model, tables, rows, span, made)
            shown = stored(con, tables.performance)
            drawn = loss_picture(con, model, lake.lake)
        newest = rows[-1]["reason"] if rows else "no predictions of these cutoffs have mature labels yet"
        return dg.MaterializeResult(
            metadata=shown
            | {
                "dagster/row_count": len(rows),
                "newest cohort": newest,
                "cohorts": markdown_table(rows, SHOWN if rows else None),
                "metrics": markdown_table([_without_words(row) for row in rows]),
            }
            | drawn
        )

    return performance


def _write_evidence(
    con: duckdb.DuckDBPyConnection,
    model: Bound,
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
        records(con, [asdict(one) for one in found], EVIDENCE_COLUMNS),
        between=(span[0] + horizon, span[1] + horizon),
        also="found_by = 'performance'",
        provenance=made,
    )


def checks(model: Bound) -> list[dg.AssetChecksDefinition]:
    """The check of the asset ``performance``."""
    return [_holds_up(model)]


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


def _without_words(cohort: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in cohort.items() if name not in ("reason", "diagnosis")}


def loss_picture(con: duckdb.DuckDBPyConnection, model: Bound, lake: Lake) -> dict[str, Any]:
    """What was lost and what was estimated, with the moments at which a version came into use; nothing if neither is."""
    from ml_assets.monitoring.show.loss_plot import loss_over_time
    from ml_assets.registry.promotion_log import read_log

    tables = model.tables(lake)
    cohorts = [row for row in _rows(con, tables.performance) if row.get("loss") is not None]
    days = _rows(con, tables.drift_days)
    estimated = [day for day in days if day.get("estimated_loss") is not None]
    if not cohorts and not estimated:
        return {}
    log = read_log(con, tables.promotions, model.name)
    drawn = loss_over_time(
        cohorts,
        worse_by=model.spec.monitoring.worse_by,
        estimates=[
            {"as_of": day["as_of"], "loss": day["estimated_loss"], "trusted": day["estimate_trusted"]}
            for day in estimated
        ],
        promotions=[(move.cutoff + model.spec.label.horizon, move.to_version) for move in log.moves],
        broken=[day["as_of"] for day in days if day["broken"]],
    )
    return {"loss over time": picture(drawn, "normalised loss over time")}


def _rows(con: duckdb.DuckDBPyConnection, table: Table) -> list[dict[str, Any]]:
    """The rows of a table by day and version; what was written by an earlier release may lack columns."""
    if not table.exists:
        return []
    return [dict(row) for row in table.read(con).order("as_of, model_version").to_arrow_table().to_pylist()]


def _holds_up(model: Bound) -> dg.AssetChecksDefinition:
    limit = model.spec.monitoring.worse_by

    @dg.asset_check(
        asset=model.key("performance"),
        name="holds_up",
        description=f"The newest cohort with mature labels has not lost more than the holdout of its version, by more "
        f"than {limit:g} of normalised loss and beyond chance. Warns.",
    )
    def holds_up(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.AssetCheckResult:
        with connection(duckdb) as con:
            cohort = _newest_cohort(
                con, model.tables(lake.lake).performance, between_of_run(context.run.tags)
            )
        if cohort is None:
            passed, said = True, "no predictions have mature labels yet"
        elif "worse" not in cohort:
            passed, said = (
                False,
                f"it was written before losses were compared: materialize {model.name}/performance",
            )
        else:
            passed, said = cohort["worse"] is False, f"{cohort['as_of']}: {cohort['reason']}"
        numbers = ("loss", "loss_deviation", "expected_loss", "reference_loss")
        return dg.AssetCheckResult(
            passed=passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=said,
            metadata={name: cohort[name] for name in numbers if cohort and cohort.get(name) is not None},
        )

    return holds_up


def _newest_cohort(
    con: duckdb.DuckDBPyConnection, table: Table, asked: Between | None
) -> dict[str, Any] | None:
    """The newest cohort within what is asked for, of the newest version of its day; None without any."""
    if not table.exists:
        return None
    rows = table.read(con, between=asked).order("as_of DESC, model_version DESC").limit(1)
    return next(iter(rows.to_arrow_table().to_pylist()), None)
