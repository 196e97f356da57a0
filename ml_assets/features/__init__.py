"""Features: one declaration, compiled to SQL for tiles and snapshots."""

from ml_assets.features.spec import Feature, FeatureError, FeatureSet

__all__ = ["Feature", "FeatureError", "FeatureSet"]
