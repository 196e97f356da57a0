"""Dagster for a project: its code servers, its daemon, and its webserver behind the guard.

``python -m ml_assets.instance.webserver PORT WORKSPACE`` runs them until SIGTERM or Ctrl-C. It is what ``dagster dev``
does, but for the guard: the stock webserver launches runs for any page in the browser.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
import yaml
from dagster import DagsterInstance, TimeWindowPartitionsDefinition
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._utils.log import configure_loggers
from dagster_webserver.cli import _lifespan
from dagster_webserver.version import __version__
from dagster_webserver.webserver import DagsterWebserver

from ml_assets.instance.guard import Guard

HOST = "127.0.0.1"
POLL_MS = 2000
"""How often the UI asks what is new."""
DATABASE_MS, RECYCLE_SECONDS, OVERFLOW = 15_000, 3600, 20
"""What `dagster-webserver` sets: a statement's time, a connection's age, connections beyond the pool's."""
DAEMON_SECONDS = 10.0
"""How long the daemon may take to end."""


def run(port: int, workspace: Path) -> None:
    """Serve the code locations of a workspace file on a port of this machine, until asked to stop.

    Raises SystemExit if the daemon ends by itself: nothing would be launched any more.
    """
    os.environ |= {
        "DAGSTER_IS_DEV_CLI": "1",
        "DAGSTER_verbose": "",
    }  # errors in YAML without Dagster's own frames
    configure_loggers(formatter="rich", log_level="INFO")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    list_newest_partitions_that_exist()
    with DagsterInstance.get() as instance, _code_servers(instance, workspace) as served:
        instance.optimize_for_webserver(DATABASE_MS, RECYCLE_SECONDS, OVERFLOW)
        target = WorkspaceFileTarget([str(served)])
        with (
            WorkspaceProcessContext(instance, target, version=__version__) as context,
            _daemon(served) as daemon,
        ):
            app = DagsterWebserver(context, "", POLL_MS).create_asgi_app(lifespan=_lifespan)
            server = uvicorn.Server(uvicorn.Config(Guard(app), host=HOST, port=port, log_level="warning"))
            threading.Thread(target=_end_with, args=(daemon, server), daemon=True).start()
            server.run()
            if daemon.poll() is not None:
                raise SystemExit(f"Dagster's daemon ended by itself, exit code {daemon.returncode}.")


def list_newest_partitions_that_exist() -> None:
    """Let the newest partitions of a calendar that has ended be its last ones, for this process.

    Dagster counts them back from today, past the end, so that its plots of past years are empty.
    """
    stock = TimeWindowPartitionsDefinition._get_current_timestamp

    def no_later_than_its_end(partitions: TimeWindowPartitionsDefinition) -> float:
        now, end = stock(partitions), partitions.end_timestamp
        return now if end is None else min(now, end)

    TimeWindowPartitionsDefinition._get_current_timestamp = no_later_than_its_end  # type: ignore[method-assign, assignment]


@contextmanager
def _code_servers(instance: DagsterInstance, workspace: Path) -> Iterator[Path]:
    """The code servers of a workspace, and a workspace file that says where they are: one for webserver and daemon."""
    target = WorkspaceFileTarget([str(workspace)])
    with ProxyServerManager(instance, target, "warning") as servers, TemporaryDirectory() as folder:
        path = Path(folder) / "workspace.yaml"
        path.write_text(yaml.safe_dump({"load_from": list(servers.get_code_server_specs())}))
        yield path


@contextmanager
def _daemon(workspace: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = (sys.executable, "-m", "dagster._daemon", "run", "-w", str(workspace), "--log-format", "rich")
    daemon = subprocess.Popen(command)
    try:
        yield daemon
    finally:
        daemon.terminate()
        try:
            daemon.wait(DAEMON_SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _end_with(daemon: subprocess.Popen[bytes], server: uvicorn.Server) -> None:
    daemon.wait()
    server.should_exit = True


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        run(int(sys.argv[1]), Path(sys.argv[2]))
