"""Features: one declaration, compiled to SQL for tiles and snapshots."""

from ml_assets.features.entity import Entity
from ml_assets.features.errors import FeatureError
from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.spec import Feature

__all__ = ["Entity", "Feature", "FeatureError", "FeatureSet"]
