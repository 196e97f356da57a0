"""Leases of runs: who executes a run says so and goes on saying so, so that a run whose process is gone is found.

A lease is a value in the storage of the instance, which everybody who could end the run reads: host, process, and a
counter that the process moves every ``BEAT`` seconds. A process is judged by its pid on its own host alone. Elsewhere
it counts as gone once the observer has seen the same counter for as long as three renewals take, by the observer's own
clock, which nobody sets: clocks of different machines are never compared.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Protocol

from ml_assets.instance.processes import Leader

if TYPE_CHECKING:
    from dagster._core.storage.runs import RunStorage

BEAT = 10.0
"""Seconds between two renewals."""
MISSED = 3
"""So many renewals missed, and the process counts as gone."""
PREFIX = "ml_assets/lease/"
AT_ONCE = 500
"""Leases that are deleted in one statement."""


class Store(Protocol):
    """What the leases of an instance are kept in: the storage of its runs."""

    def get_cursor_values(self, keys: set[str]) -> Mapping[str, str]:
        """The values of those keys that have one."""

    def set_cursor_values(self, pairs: Mapping[str, str]) -> None:
        """Set values by key."""


@dataclass(frozen=True)
class Lease:
    """The process that executes a run."""

    host: str
    pid: int
    started: str
    beat: int = 0
    """How often it was renewed."""

    @classmethod
    def mine(cls) -> "Lease":
        """A new one of this process."""
        me = Leader.of(os.getpid())
        return cls(this_host(), me.pid, me.started)

    @property
    def is_here(self) -> bool:
        """Whether its process is one of this host."""
        return self.host == this_host()

    @property
    def process(self) -> Leader:
        """Its process, which means something on its own host."""
        return Leader(self.pid, self.started)


@cache
def this_host() -> str:
    """This machine or container; where several share a name, their processes have numbers of their own."""
    with suppress(OSError):
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()


def read(store: Store, run: str) -> Lease | None:
    """The lease of a run; None if nobody took one."""
    said = store.get_cursor_values({PREFIX + run}).get(PREFIX + run)
    return Lease(**json.loads(said)) if said else None


def _write(store: Store, run: str, lease: Lease) -> None:
    store.set_cursor_values({PREFIX + run: json.dumps(asdict(lease))})


def forget(store: "RunStorage", runs: Sequence[str]) -> None:
    """Delete the leases of runs that have ended."""
    from dagster._core.storage.runs.schema import KeyValueStoreTable
    from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

    assert isinstance(store, SqlRunStorage)
    for start in range(0, len(runs), AT_ONCE):
        keys = [PREFIX + run for run in runs[start : start + AT_ONCE]]
        with store.connect() as connection:
            connection.execute(KeyValueStoreTable.delete().where(KeyValueStoreTable.c.key.in_(keys)))


@contextmanager
def held(store: Store, run: str) -> Iterator[None]:
    """Hold the lease of a run for this process while the body runs."""
    lease, over = Lease.mine(), threading.Event()
    _write(store, run, lease)

    def renew() -> None:
        beat = 0
        while not over.wait(BEAT):
            beat += 1
            with suppress(Exception):  # A storage that can't be written for a moment is asked again.
                _write(store, run, replace(lease, beat=beat))

    renewing = threading.Thread(target=renew, name=f"lease of {run}", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join(1)


class Observer:
    """Says which processes are gone, by what it sees of their leases from one look to the next."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._seen: dict[str, tuple[Lease | None, float]] = {}

    def gone(self, run: str) -> str | None:
        """Why the process of a run counts as gone, in words; None if it doesn't.

        One without a lease gets the time of three renewals, too.
        """
        lease, now = read(self._store, run), self._clock()
        if lease is not None and lease.is_here:
            return None if lease.process.is_alive else f"process {lease.pid} of this machine is gone"
        before, since = self._seen.get(run, (None, now))
        if run not in self._seen or before != lease:
            before, since = self._seen[run] = lease, now
        if now - since < MISSED * BEAT:
            return None
        silent = f"for {now - since:.0f} s"
        return (
            f"no process has said {silent} that it executes the run"
            if lease is None
            else f"process {lease.pid} on {lease.host} has not been heard of {silent}"
        )
