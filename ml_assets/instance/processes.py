"""Processes of this machine: which belong to a group we started, who listens on a port, how to end them.

Nothing here ends a process that it can't show to be ours.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

GENTLE_SECONDS = 20.0
FIRM_SECONDS = 5.0
DEAD = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


@dataclass(frozen=True)
class Process:
    """A living process."""

    pid: int
    group: int
    started: str
    """When it started, as the system tells it: with the pid, what no other process shares."""
    command: str


@dataclass(frozen=True)
class Leader:
    """The first process of a group that we started; its pid is the group's id."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Leader":
        """The leader with that pid. Raises ProcessLookupError if it is gone already."""
        process = _process(pid)
        if process is None:
            raise ProcessLookupError(f"process {pid} has ended")
        return cls(pid, process.started)

    @property
    def is_alive(self) -> bool:
        """Whether it lives, and not another process that has its pid by now."""
        try:
            process = psutil.Process(self.pid)
            return _started(process) == self.started and process.status() not in DEAD
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


def processes() -> list[Process]:
    """All living processes that can be read; zombies are not living."""
    return list(_living())


def group_of(leader: Leader) -> list[Process]:
    """The living processes of the leader's group, itself included.

    Empty if the leader's pid belongs to another process by now. Where the leader has ended, those count
    that run this environment's Python: a group's id is not given anew while a process is left in it.
    """
    everyone = processes()
    first = next((p for p in everyone if p.pid == leader.pid), None)
    if first is not None and first.started != leader.started:
        return []
    members = [p for p in everyone if p.group == leader.pid]
    if first is not None:
        return members
    return [p for p in members if p.command.startswith((sys.executable, f"{sys.prefix}{os.sep}"))]


def end(leaders: Sequence[Leader]) -> list[Process]:
    """End the leaders and all of their groups; return what could not be ended (nothing, in practice).

    First the leaders are asked, so that they can close their children in order; then every process of the
    groups; then they are killed.
    """
    steps: list[tuple[signal.Signals, float, Callable[[], list[Process]]]] = [
        (signal.SIGTERM, GENTLE_SECONDS, lambda: [p for p in _all(leaders) if p.pid == p.group]),
        (signal.SIGTERM, FIRM_SECONDS, lambda: _all(leaders)),
        (signal.SIGKILL, FIRM_SECONDS, lambda: _all(leaders)),
    ]
    for sent, patience, addressed in steps:
        for process in addressed():
            _send(process.pid, sent)
        deadline = time.monotonic() + patience
        while addressed() and time.monotonic() < deadline:
            time.sleep(0.1)
    return _all(leaders)


def listener(port: int) -> str | None:
    """Who listens on a TCP port of this machine, as "process 123 (python -m ...)"; None if nobody does.

    A listener of another user has no name here: "a process of another user".
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            pid = _listening_pid(port)
        else:
            return None
    found = next((p for p in processes() if p.pid == pid), None)
    return f"process {found.pid} ({found.command[:100]})" if found else "a process of another user"


def _all(leaders: Iterable[Leader]) -> list[Process]:
    return [process for leader in leaders for process in group_of(leader)]


def _send(pid: int, sent: signal.Signals) -> None:
    try:
        os.kill(pid, sent)
    except ProcessLookupError:
        return  # It ended by itself in the meantime, which is what was wanted.


def _living() -> Iterator[Process]:
    for pid in psutil.pids():
        if process := _process(pid):
            yield process


def _started(process: psutil.Process) -> str:
    """Both times move when the clock is set, what is between them doesn't."""
    return f"{process.create_time() - psutil.boot_time():.2f} s after boot"


def _process(pid: int) -> Process | None:
    """A living process; None if there is none, it ends while being read, or is not ours to read."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            if process.status() in DEAD:
                return None
            return Process(pid, os.getpgid(pid), _started(process), " ".join(process.cmdline()))
    except (psutil.Error, ProcessLookupError, PermissionError):
        return None


def _listening_pid(port: int) -> int | None:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return int(process.pid)
    return None
