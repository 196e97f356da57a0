"""Features: one declaration, compiled to SQL for tiles and snapshots."""

from ml_assets.features.entity import Entity
from ml_assets.features.errors import FeatureError
from ml_assets.features.spec import Feature, FeatureSet

__all__ = ["Entity", "Feature", "FeatureError", "FeatureSet"]
