"""Scoring: predictions of the population at an as_of."""

from ml_assets.serving.batch import population_frame, prediction_rows

__all__ = ["population_frame", "prediction_rows"]
