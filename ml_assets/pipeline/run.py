"""The run that a step is part of: what a commit says of its maker, and where a step reports what it sees."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ml_assets.lake import Provenance, Table
from ml_assets.training.provenance import code_version


class CannotRun(Exception):
    """A step can't be done as things are; the message says what is missing and what to do next."""


class Log(Protocol):
    """Where a step reports: Dagster's log of the run, or Python's."""

    def info(self, message: str, /) -> object:
        """What was done."""
        ...

    def warning(self, message: str, /) -> object:
        """What somebody should look at."""
        ...

    def error(self, message: str, /) -> object:
        """What was refused."""
        ...


@dataclass(frozen=True)
class Run:
    """One run: its id, the assets it materializes as ``folder/asset``, its tags, and its log."""

    id: str
    assets: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    log: Log = field(default_factory=lambda: logging.getLogger("ml_assets"))

    def made(self, *read: Table, **facts: str) -> Provenance:
        """What a commit of this run says: who made it, by which code, and the versions of the tables that were ``read``."""
        return Provenance(
            run=self.id,
            asset=" ".join(sorted(self.assets)),
            code=code_version(),
            inputs={table.name: table.version for table in read if table.version is not None},
            facts=facts,
        )
