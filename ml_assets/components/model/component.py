"""The component ``Model``: labels, training, evaluation, promotion, predictions and drift of one model."""

import dagster as dg

from ml_assets.components.model import (
    checks,
    drift,
    performance,
    predictions,
    promotions,
    retrain,
    training,
)
from ml_assets.components.shared.declared import DeclaredComponent
from ml_assets.project.model import ModelSpec
from ml_assets.project.project import Project


class Model(DeclaredComponent):
    """A model over a feature group: who is scored, what is predicted, how it is fitted, judged and promoted."""

    declares = ModelSpec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The model's assets and checks, and the job and sensor that retrain it."""
        model = Project(context.path.parent).model(context.path.name, self.spec)
        job = retrain.job(model)
        return dg.Definitions(
            assets=[
                *training.assets(model),
                predictions.asset(model),
                *drift.assets(model),
                performance.asset(model),
                promotions.spec(model),
                retrain.spec(model),
            ],
            asset_checks=[*checks.checks(model), *drift.checks(model), *performance.checks(model)],
            jobs=[job],
            sensors=[retrain.sensor(model, job)],
        )
