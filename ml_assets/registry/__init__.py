"""The model registry: MLflow for runs, versions and aliases; the lake for the promotion log."""

from ml_assets.registry.mlflow_registry import Registry, Version

__all__ = ["Registry", "Version"]
