"""The component types a ``defs.yaml`` can name."""

from ml_assets.components.features.component import FeatureGroup
from ml_assets.components.model.component import Model
from ml_assets.components.source.component import EventSource

__all__ = ["EventSource", "FeatureGroup", "Model"]
