"""Run a program as a process of its own, and say how long it took and how much memory it held at most."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

LAUNCH = """
import json, os, sys, time
started = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as out:
    json.dump([time.perf_counter() - started, usage.ru_maxrss, os.waitstatus_to_exitcode(status)], out)
"""
"""A small process between: what its parent holds counts for a process too, until it runs its own program."""


@dataclass(frozen=True)
class Measured:
    """Seconds from start to end, and the greatest resident memory in megabytes (10^6 bytes)."""

    seconds: float
    megabytes: float


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measured:
    """Run it to its end; CalledProcessError if it fails."""
    with NamedTemporaryFile() as out:
        launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, out.name, *command]
        subprocess.run(launcher, env=environment and dict(environment), check=True)
        seconds, kilobytes, code = json.loads(Path(out.name).read_text())
    if code:
        raise subprocess.CalledProcessError(code, list(command))
    return Measured(seconds, kilobytes * 1024 / 1e6)
