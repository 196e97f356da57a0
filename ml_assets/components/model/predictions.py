"""The asset ``predictions`` of a model: what the champion says of the population, day by day."""

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.model.component import Bound
from ml_assets.components.shared.metadata import made_by, stored
from ml_assets.components.shared.partitions import AS_ONE_RUN, between
from ml_assets.components.shared.resources import LakeResource, MlflowResource, connection


def asset(model: Bound) -> dg.AssetsDefinition:
    """The champion's scores."""

    @dg.asset(
        key=model.key("predictions"),
        deps=[model.group.key("snapshot"), model.key("champion")],
        description=(
            f"The champion's score of every member of the population ({model.spec.population}) at each as_of. Scores "
            "of an earlier champion stay beside those of a later one."
        ),
        partitions_def=model.group.as_ofs,
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"deltalake", "xgboost"},
        backfill_policy=AS_ONE_RUN,
    )
    def predictions(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource, mlflow: MlflowResource
    ) -> dg.MaterializeResult:
        from ml_assets.registry.mlflow_registry import RegistryError
        from ml_assets.registry.promotion_log import champion_on_record
        from ml_assets.serving import population_frame, prediction_rows
        from ml_assets.training.frames import check_frame

        tables, snapshot = model.tables(lake.lake), model.group.snapshot(lake.lake)
        with connection(duckdb) as con:
            champion = champion_on_record(con, tables.promotions, model.name)
            if champion is None:
                raise dg.Failure(
                    f"{model.name} has no champion, so there is nothing to predict with. "
                    f"Materialize {model.name}/champion.",
                    allow_retries=False,
                )
            try:
                predictor = mlflow.registry.load(mlflow.registry.version(model.name, champion.version))
            except RegistryError as error:
                raise dg.Failure(str(error), allow_retries=False) from error
            made = made_by(context, **{snapshot.name: snapshot.version})
            made = made.saying(model_version=str(champion.version))
            frame = population_frame(
                con, snapshot, between(context), entity=model.entity, population=model.spec.population
            )
            checked = check_frame(frame, model.group.feature_types, entity=model.entity, target=None)
            rows = prediction_rows(
                con,
                frame,
                predictor.score(checked),
                model=model.name,
                version=champion.version,
                cutoff=champion.cutoff,
                entity=model.group.features.entity_types,
            )
            tables.predictions.replace(
                rows, between=between(context), also=f"model_version = {champion.version}", provenance=made
            )
            ((n, mean),) = rows.aggregate("count(*), avg(score)").fetchall()
            shown = stored(con, tables.predictions)
        if n == 0:
            context.log.warning(f"the population ({model.spec.population}) is empty: nothing was scored")
        return dg.MaterializeResult(
            metadata=shown | {"dagster/row_count": n, "mean score": mean, "model version": champion.version}
        )

    return predictions
