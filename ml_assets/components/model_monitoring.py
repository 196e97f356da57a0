"""The assets of a model in use: predictions and drift, beside its performance."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components import model_performance
from ml_assets.components.metadata import made_by, markdown_table, picture, stored
from ml_assets.components.model import Bound
from ml_assets.components.partitions import AS_ONE_RUN, between
from ml_assets.components.resources import LakeResource, MlflowResource, connection

if TYPE_CHECKING:
    from ml_assets.components.watch import Watched


def assets(model: Bound) -> list[dg.AssetsDefinition]:
    """Predictions, performance and drift."""
    return [_predictions(model), model_performance.asset(model), _drift(model)]


def _common(model: Bound, *kinds: str) -> dict[str, Any]:
    return {
        "group_name": model.name,
        "owners": model.spec.owners,
        "kinds": set(kinds),
        "backfill_policy": AS_ONE_RUN,
    }


def _predictions(model: Bound) -> dg.AssetsDefinition:
    @dg.asset(
        key=model.key("predictions"),
        deps=[model.group.key("snapshot"), model.key("champion")],
        description=(
            f"The champion's score of every member of the population ({model.spec.population}) at each as_of. Scores "
            "of an earlier champion stay beside those of a later one."
        ),
        partitions_def=model.group.as_ofs,
        **_common(model, "deltalake", "xgboost"),
    )
    def predictions(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource, mlflow: MlflowResource
    ) -> dg.MaterializeResult:
        from ml_assets.serving import population_frame, prediction_rows
        from ml_assets.training.frames import check_frame

        tables, snapshot = model.tables(lake.lake), model.group.snapshot(lake.lake)
        champion = mlflow.registry.champion(model.name)
        if champion is None:
            raise dg.Failure(
                f"{model.name} has no champion, so there is nothing to predict with. Materialize {model.name}/champion.",
                allow_retries=False,
            )
        predictor = mlflow.registry.load(champion)
        made = made_by(context, **{snapshot.name: snapshot.version}) | {"model_version": str(champion.number)}
        with connection(duckdb) as con:
            frame = population_frame(
                con, snapshot, between(context), entity=model.entity, population=model.spec.population
            )
            checked = check_frame(frame, model.group.feature_types, entity=model.entity, target=None)
            rows = prediction_rows(
                con,
                frame,
                predictor.score(checked),
                model=model.name,
                version=champion.number,
                cutoff=champion.cutoff,
                entity=model.group.features.entity_types,
            )
            tables.predictions.replace(
                rows, between=between(context), also=f"model_version = {champion.number}", metadata=made
            )
            ((n, mean),) = rows.aggregate("count(*), avg(score)").fetchall()
            shown = stored(con, tables.predictions)
        if n == 0:
            context.log.warning(f"the population ({model.spec.population}) is empty: nothing was scored")
        return dg.MaterializeResult(
            metadata=shown | {"dagster/row_count": n, "mean score": mean, "model version": champion.number}
        )

    return predictions


def _drift(model: Bound) -> dg.AssetsDefinition:
    lookback = timedelta(days=model.spec.monitoring.of_last - 1)

    @dg.asset(
        key=model.key("drift"),
        deps=[model.key("predictions"), model.group.key("snapshot")],
        description=(
            "How far the features and scores of the population have moved from the champion's own training profile, "
            "feature by feature; with evidence where a retrain is called for."
        ),
        partitions_def=model.group.as_ofs,
        **_common(model, "deltalake", "evidently"),
    )
    def drift(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource, mlflow: MlflowResource
    ) -> dg.MaterializeResult:
        from ml_assets.components.watch import watch_days, write_report

        first, last = between(context)
        with connection(duckdb) as con:
            champion = mlflow.registry.champion(model.name)
            if champion is None or not model.tables(lake.lake).predictions.exists:
                raise dg.Failure(
                    f"There are no predictions of a champion to watch. Materialize {model.name}/predictions.",
                    allow_retries=False,
                )
            version = champion.number
            watched = watch_days(context, con, model, lake.lake, (first, last), lookback, version)
            report = write_report(con, model, lake.lake, mlflow, version, last)
            shown = stored(con, model.tables(lake.lake).drift)
        return dg.MaterializeResult(
            metadata=shown
            | _drift_pictures(watched, model)
            | {
                "dagster/row_count": watched.rows,
                "newest day": watched.newest_reason,
                "evidence": watched.evidence or "none",
                "champion version": version,
                "Evidently report": dg.MetadataValue.url(report)
                if report
                else "nobody was scored on the last day",
            }
        )

    return drift


def _drift_pictures(watched: "Watched", model: Bound) -> dict[str, Any]:
    """The newest day's features as a table and a plot, and the days as a plot; nothing if nobody was scored."""
    from ml_assets.monitoring.plots import drift_over_time, feature_shift_plot

    if not watched.newest_drifts:
        return {}
    rows = [
        {
            "feature": d.feature,
            "PSI": d.psi,
            "threshold": d.threshold,
            "breached": "yes" if d.breached else "",
            "null share": d.null_share,
            "weight": d.weight,
        }
        for d in sorted(watched.newest_drifts, key=lambda d: -d.weight)
    ]
    by_day = drift_over_time(watched.day_rows, model.spec.monitoring.share)
    return {
        "features": markdown_table(rows),
        "share of breached features by day": picture(by_day, "drift over time"),
        "features against their thresholds": picture(
            feature_shift_plot(watched.newest_drifts), "drift by feature"
        ),
    }
