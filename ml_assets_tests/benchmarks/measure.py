"""Run a program as a process of its own, and say how long it took and how much memory it held at most."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

LAUNCH = """
import contextlib, json, os, sys, threading, time
out, most_seconds, most_bytes, *command = sys.argv[1:]
started = time.perf_counter()
child = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
over = []
def watch():
    with contextlib.suppress(OSError):
        while not over:
            time.sleep(0.2)
            if time.perf_counter() - started > float(most_seconds):
                over.append("time")
            elif int(open(f"/proc/{child}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") > float(most_bytes):
                over.append("memory")
        os.kill(child, 9)
threading.Thread(target=watch, daemon=True).start()
_, status, usage = os.wait4(child, 0)
with open(out, "w") as file:
    json.dump([time.perf_counter() - started, usage.ru_maxrss, os.waitstatus_to_exitcode(status), over], file)
"""
"""A small process between: what its parent holds counts for a process too, until it runs its own program.

What the program prints, DuckDB's bars of progress too, goes to stderr.
"""


@dataclass(frozen=True)
class Measured:
    """Seconds from start to end, and the greatest resident memory in megabytes (10^6 bytes)."""

    seconds: float
    megabytes: float


class OverLimit(Exception):
    """The program was ended because it took more time or memory than it may; the message says which."""


def measure(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    seconds: float = float("inf"),
    megabytes: float = float("inf"),
) -> Measured:
    """Run it to its end or to a limit: then OverLimit; CalledProcessError if it fails. On Linux memory is limited."""
    with NamedTemporaryFile() as out:
        limits = [str(seconds), str(megabytes * 1e6)]
        launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, out.name, *limits, *command]
        subprocess.run(launcher, env=environment and dict(environment), check=True)
        took, kilobytes, code, over = json.loads(Path(out.name).read_text())
    if over:
        raise OverLimit(f"over {seconds:.0f} s" if over == ["time"] else f"over {megabytes / 1000:.0f} GB")
    if code:
        raise subprocess.CalledProcessError(code, list(command))
    return Measured(took, kilobytes * 1024 / 1e6)
