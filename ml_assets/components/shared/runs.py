"""A step's run as Dagster has it: its id, tags and log, and what becomes of a step that can't be done."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from ml_assets.pipeline.run import CannotRun, Run
from ml_assets.registry.mlflow_registry import RegistryError


def run_of(context: dg.AssetExecutionContext) -> Run:
    """The run that an asset is being materialized in."""
    assets = sorted(key.to_user_string() for key in context.selected_asset_keys)
    return Run(context.run.run_id, tuple(assets), context.run.tags, context.log)


@contextmanager
def failing() -> Iterator[None]:
    """A step that can't be done fails its run with the step's own words; trying again would not help."""
    try:
        yield
    except (CannotRun, RegistryError) as error:
        raise dg.Failure(str(error), allow_retries=False) from None
