"""Processes of this machine: which belong to a group we started, who listens on a port, how to end them.

Read from /proc where there is one, from ``ps`` and ``lsof`` elsewhere. Nothing here ends a process that it
can't show to be ours.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
GENTLE_SECONDS = 20.0
FIRM_SECONDS = 5.0


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
        for process in processes():
            if process.pid == pid:
                return cls(pid, process.started)
        raise ProcessLookupError(f"process {pid} has ended")


def processes() -> list[Process]:
    """All living processes that can be read; zombies are not living."""
    return list(_from_proc() if (PROC / "self" / "stat").exists() else _from_ps())


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


def _from_proc() -> Iterator[Process]:
    boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text()
            command = (
                (folder / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
            )
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # It ended while being read, or is not ours to read.
        state, _, group, *rest = stat.rpartition(")")[2].split()
        if state not in "ZX":
            yield Process(int(folder.name), int(group), f"{boot} {rest[16]}", command)


def _from_ps() -> Iterator[Process]:
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,pgid=,stat=,lstart=,args="],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in listed.stdout.splitlines():
        pid, group, state, *rest = line.split(maxsplit=8)
        if not state.startswith("Z"):
            yield Process(int(pid), int(group), " ".join(rest[:5]), rest[5] if len(rest) > 5 else "")


def _listening_pid(port: int) -> int | None:
    if not (PROC / "net" / "tcp").exists():
        return _listening_pid_by_lsof(port)
    listening = "0A"
    sockets = set()
    for table in (PROC / "net" / "tcp", PROC / "net" / "tcp6"):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == listening and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    for process in processes():
        try:
            if any(os.readlink(fd) in sockets for fd in (PROC / str(process.pid) / "fd").iterdir()):
                return process.pid
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # It ended while being read, or is not ours to read.
    return None


def _listening_pid_by_lsof(port: int) -> int | None:
    if shutil.which("lsof") is None:
        return None
    found = subprocess.run(
        ["lsof", "-t", f"-iTCP:{port}", "-sTCP:LISTEN"], capture_output=True, text=True, check=False
    )
    pids = found.stdout.split()
    return int(pids[0]) if pids else None
