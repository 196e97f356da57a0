"""The component types a ``defs.yaml`` can name."""

from ml_assets.components.event_source import EventSource
from ml_assets.components.feature_group import FeatureGroup
from ml_assets.components.model import Model

__all__ = ["EventSource", "FeatureGroup", "Model"]
