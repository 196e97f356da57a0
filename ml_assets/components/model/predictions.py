"""The asset ``predictions`` of a model: what the champion says of the population, day by day."""

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.metadata import declared, stored
from ml_assets.components.shared.partitions import AS_ONE_RUN, between, partitions_of
from ml_assets.components.shared.resources import LakeResource, MlflowResource, connection
from ml_assets.components.shared.results import numbers_of, tell
from ml_assets.components.shared.runs import failing, run_of
from ml_assets.pipeline.steps.predictions import predict
from ml_assets.project.model import DeclaredModel

SHOWN = 20
"""How many refused members the UI shows."""


def asset(model: DeclaredModel) -> dg.AssetsDefinition:
    """The champion's scores."""

    @dg.asset(
        key=key_of(model, "predictions"),
        deps=[key_of(model.group, "snapshot"), key_of(model, "champion")],
        description=(
            f"The champion's score of every member of the population ({model.spec.population}) at each as_of. Scores "
            "of an earlier champion stay beside those of a later one."
        ),
        partitions_def=partitions_of(model.group.as_ofs),
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"deltalake", "xgboost"},
        backfill_policy=AS_ONE_RUN,
        metadata=declared(model.schemas["predictions"]),
    )
    def predictions(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource, mlflow: MlflowResource
    ) -> dg.MaterializeResult:
        with connection(duckdb) as con, failing():
            done = predict(con, run_of(context), model, lake.lake, mlflow.registry, between(context))
            table, own = model.tables(lake.lake).predictions, f"model_version = {done.version}"
            as_ofs = model.group.as_ofs.between(*between(context))
            tell(context, numbers_of(con, table, as_ofs, {"mean_score": "avg(score)"}, own))
        return dg.MaterializeResult(
            metadata=stored(table, model.schemas["predictions"])
            | {"model_version": done.version}
            | ({"refused": "; ".join(done.refused[:SHOWN])} if done.refused else {})
        )

    return predictions
