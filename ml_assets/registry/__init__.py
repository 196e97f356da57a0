"""The model registry: MLflow for runs, versions and aliases; the lake for the promotion log."""
