"""What other processes do to a model's champion; importable without pytest, so that they start fast."""

import os
import signal
from dataclasses import dataclass
from datetime import date
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

from ml_assets.lake import Lake, connect
from ml_assets.registry.mlflow_registry import Registry, RegistryError, Version
from ml_assets.registry.promotion import promote
from ml_assets_tests.registry.shelf import HOLDOUT, book_of, under


@dataclass(frozen=True)
class Deadly(Registry):
    """A registry whose user is killed as it sets an alias."""

    def set_alias(self, version: Version, name: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def promote_all(
    lake: str,
    registry: Registry,
    models: list[str],
    last: str | None,
    together: Barrier,
    told: "Queue[tuple[str, str]]",
) -> None:
    """Promote what every model has, each at the same moment as another process, and tell how it went.

    Both have read the log when they meet: the holdout is asked for after it. The process is killed as it promotes
    ``last``, once the log is written.
    """

    def meet(cutoff: date) -> str:
        together.wait(120)
        return HOLDOUT

    registry.client()
    with connect() as con:
        for model in models:
            book = under(book_of(con, Lake(lake), registry, model), holdout=meet)
            try:
                outcome = promote(book, who=str(os.getpid()), run="race")
            except RegistryError as error:
                told.put((model, str(error)))
            else:
                told.put((model, f"promoted {len(outcome.plan.promote)}"))
        if last:
            told.close()
            told.join_thread()
            deadly = Deadly(registry.tracking_uri, registry.artifact_root)
            promote(book_of(con, Lake(lake), deadly, last), who="ada", run="killed")


def die_in_a_run(registry: Registry, model: str, dagster_run: str) -> None:
    """Be killed within the MLflow run of a Dagster run."""
    with registry.parent_run(model, dagster_run, "train"):
        os.kill(os.getpid(), signal.SIGKILL)
