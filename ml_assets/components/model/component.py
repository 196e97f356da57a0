"""The component ``Model``: labels, training, evaluation, promotion, predictions and drift of one model."""

import dagster as dg

from ml_assets.components.model import (
    checks,
    drift,
    performance,
    predictions,
    promotions,
    retrain,
    sensors,
    training,
)
from ml_assets.components.shared.declared import DeclaredComponent
from ml_assets.project.model import ModelSpec
from ml_assets.project.project import Project


class Model(DeclaredComponent):
    """A model over a feature group: who is scored, what is predicted, how it is fitted, judged and promoted."""

    declares = ModelSpec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The model's assets, checks, sensors, the retrain job and the weekly schedule."""
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
            sensors=[
                sensors.labels_sensor(model),
                sensors.scoring_sensor(model),
                sensors.performance_sensor(model),
                sensors.report_sensor(model),
                retrain.sensor(model, job),
            ],
            schedules=[retrain.schedule(model, job)],
        )
