"""Run a program as a process of its own, and say how long it took and how much memory it held at most."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True)
class Measured:
    """Seconds from start to end, and the greatest resident memory in megabytes (10^6 bytes)."""

    seconds: float
    megabytes: float


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measured:
    """Run it to its end; CalledProcessError if it fails."""
    started = perf_counter()
    process = subprocess.Popen(command, env=environment and dict(environment))
    _, status, usage = os.wait4(process.pid, 0)
    seconds = perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return Measured(seconds, usage.ru_maxrss * 1024 / 1e6)
