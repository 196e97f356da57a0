"""What a project costs while there is nothing to do, by its number of models: sensors, loading, and CPU of the servers.

The models are copies of ``lapse``. Both sizes in one run: CPU, not the clock, so that other work matters little.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from ml_assets.instance.home import CHECKOUT

MODELS = (2, 51)
SETTLED = 60.0
"""Seconds after which first ticks are over."""
WATCHED = 60.0
"""Seconds of which CPU is counted."""
LOADS = 3
COUNT = (
    "from ml_assets.definitions import defs; r = defs.get_repository_def(); "
    "print(len(r.sensor_defs), len(r.schedule_defs))"
)


@dataclass(frozen=True)
class Cost:
    """What a project of so many models costs."""

    models: int
    sensors: int
    schedules: int
    load: float
    """CPU seconds of a process that loads the code location, ``import dagster`` included."""
    daemon: float
    """Share of a core of the daemon."""
    code_server: float
    """Share of a core of the code server."""
    webserver: float
    """Share of a core of the webserver."""

    @property
    def idle(self) -> float:
        """Share of a core of all three."""
        return self.daemon + self.code_server + self.webserver


def main(sizes: Sequence[int] = MODELS) -> None:
    """Print a line a size, and the ratios of the last to the first."""
    print(
        "| models | sensors | schedules | load, CPU s | daemon | code server | webserver | idle, share of a core |"
    )
    print(f"|{'---:|' * 8}", flush=True)
    costs = []
    for models in sizes:
        cost = _measured(models)
        shares = " | ".join(
            f"{share:.1%}" for share in (cost.daemon, cost.code_server, cost.webserver, cost.idle)
        )
        print(f"| {models} | {cost.sensors} | {cost.schedules} | {cost.load:.2f} | {shares} |", flush=True)
        costs.append(cost)
    first, last = costs[0], costs[-1]
    print(f"\nRatios: load {last.load / first.load:.2f}, idle {last.idle / first.idle:.2f}")


def _measured(models: int) -> Cost:
    with TemporaryDirectory() as place:
        folder = Path(place)
        _declare(folder / "many" / "defs", models)
        home = folder / "home"
        home.mkdir()
        path = os.pathsep.join([str(folder), str(CHECKOUT)])
        environment = {
            **os.environ,
            "PYTHONPATH": path,
            "ML_ASSETS_DEFS": "many.defs",
            "ML_ASSETS_HOME": str(home),
        }
        counted = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", COUNT],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        sensors, schedules = map(int, counted.stdout.split())
        loading = [sys.executable, "-W", "ignore", "-c", "import ml_assets.definitions"]
        load = min(_cpu_of(loading, environment) for _ in range(LOADS))
        shares = _idle(home, environment)
    return Cost(models, sensors, schedules, load, *shares)


def _declare(folder: Path, models: int) -> None:
    """A package with the sources and features of the default project, and so many copies of its model ``lapse``."""
    defs = CHECKOUT / "ml_assets" / "defs"
    for name in ("transactions", "household_features"):
        shutil.copytree(defs / name, folder / name)
    for number in range(models):
        shutil.copytree(defs / "lapse", folder / f"lapse_{number:02}")
    for package in (folder, folder.parent):
        (package / "__init__.py").touch()


def _cpu_of(command: Sequence[str], environment: dict[str, str]) -> float:
    """CPU seconds of a process and its children."""
    before = os.times()
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def _idle(home: Path, environment: dict[str, str]) -> tuple[float, float, float]:
    """Serve the project, let it settle, and watch: the shares of a core of daemon, code server and webserver."""
    ports = {name: str(_free_port()) for name in ("ML_ASSETS_PORT", "ML_ASSETS_MLFLOW_PORT")}
    serve = [sys.executable, "-m", "ml_assets.cli", "serve", "--background"]
    try:
        subprocess.run(serve, env=environment | ports, check=True, capture_output=True)
        time.sleep(SETTLED)
        before, started = _spent(home), time.monotonic()
        time.sleep(WATCHED)
        after, seconds = _spent(home), time.monotonic() - started
    finally:
        down = [sys.executable, "-m", "ml_assets.cli", "down"]
        subprocess.run(down, env=environment, check=True, capture_output=True)
    daemon, code, web = (
        (after[kind] - before[kind]) / seconds for kind in ("daemon", "code server", "webserver")
    )
    return daemon, code, web


def _spent(home: Path) -> dict[str, float]:
    """CPU seconds of Dagster's processes so far, by what they are."""
    spent = {"daemon": 0.0, "code server": 0.0, "webserver": 0.0}
    for process in psutil.process_iter():
        try:
            if process.environ().get("ML_ASSETS_HOME") != str(home):
                continue
            said, times = " ".join(process.cmdline()), process.cpu_times()
        except psutil.Error:
            continue
        kind = "daemon" if "dagster._daemon" in said else "code server" if " grpc" in said else "webserver"
        if kind != "webserver" or "ml_assets.instance.webserver" in said:
            spent[kind] += times.user + times.system
    return spent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or MODELS)
