"""The asset ``performance`` of a model, how its predictions turned out, and the check that the model holds up."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.metadata import declared, markdown_table, picture, stored
from ml_assets.components.shared.partitions import AS_ONE_RUN, between, between_of_run, partitions_of, window
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.components.shared.results import finite, tell
from ml_assets.components.shared.runs import run_of
from ml_assets.lake import Between, Lake, Table
from ml_assets.pipeline.steps.performance import judge_cohorts
from ml_assets.project.model import DeclaredModel

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


def asset(model: DeclaredModel) -> dg.AssetsDefinition:
    """How the predictions made at a cutoff turned out."""

    @dg.asset(
        key=key_of(model, "performance"),
        deps=[
            dg.AssetDep(key_of(model, "predictions"), partition_mapping=window(0, 0)),
            key_of(model, "labels"),
        ],
        description="How the predictions made at a cutoff turned out, once their labels are mature: metrics, and the "
        "loss against that of the version's holdout and against what the scores let expect. Scores of a version that "
        "could have learnt from the outcome are left out.",
        partitions_def=partitions_of(model.cutoffs),
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"deltalake", "scikitlearn"},
        backfill_policy=AS_ONE_RUN,
        metadata=declared(model.schemas["performance"]),
    )
    def performance(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.MaterializeResult:
        with connection(duckdb) as con:
            rows = judge_cohorts(con, run_of(context), model, lake.lake, between(context))
            shown = stored(model.tables(lake.lake).performance, model.schemas["performance"])
            drawn = loss_picture(con, model, lake.lake)
        cutoffs = model.cutoffs.between(*between(context))
        tell(
            context, {cutoff: _cohorts([row for row in rows if row["as_of"] == cutoff]) for cutoff in cutoffs}
        )
        return dg.MaterializeResult(metadata=shown | drawn)

    return performance


def _cohorts(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How the predictions of one cutoff turned out, by version; the numbers are those of the newest version."""
    if not rows:
        return {"dagster/row_count": 0, "cohort": "no predictions of this cutoff have mature labels yet"}
    newest = rows[-1]
    numbers = {
        name: value
        for name, value in newest.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return {
        "dagster/row_count": len(rows),
        "cohort": newest["reason"],
        **finite(numbers),
        "by version": markdown_table(rows, SHOWN),
        "metrics": markdown_table([_without_words(row) for row in rows]),
    }


def checks(model: DeclaredModel) -> list[dg.AssetChecksDefinition]:
    """The check of the asset ``performance``."""
    return [_holds_up(model)]


def _without_words(cohort: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in cohort.items() if name not in ("reason", "diagnosis")}


def loss_picture(con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake) -> dict[str, Any]:
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


def _holds_up(model: DeclaredModel) -> dg.AssetChecksDefinition:
    limit = model.spec.monitoring.worse_by

    @dg.asset_check(
        asset=key_of(model, "performance"),
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
