"""What steps print, stored as Dagster stores it. ``dagster.yaml`` names the class, and Dagster loads it by name.

Dagster starts four processes for each step that copy what it prints to the terminal, too. Ctrl-C reaches them as well
there, and each would print a stack trace: here they don't hear of it, and are ended with the step.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from dagster import DagsterInstance
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClassData

from ml_assets.instance.stopping import unheard


class ComputeLogs(LocalComputeLogManager):
    """The stock manager in its usual place, ``storage`` of the instance's folder."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing to set."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Called by Dagster when it opens the instance."""
        return cls(inst_data)

    def register_instance(self, instance: DagsterInstance) -> None:
        """Take the folder of the instance, which is known only now."""
        if not self.has_instance:
            super().__init__(instance.storage_directory(), inst_data=self._inst_data)
        super().register_instance(instance)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Store what the body prints, and copy it to the terminal."""
        with ExitStack() as stack:
            with unheard():
                captured = stack.enter_context(super().capture_logs(log_key))
            yield captured
