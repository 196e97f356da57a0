"""Starts and ends the two servers: Dagster (webserver, daemon, code server) and the MLflow UI.

Both listen on 127.0.0.1 only: neither has a login.
"""

import fcntl
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ml_assets.instance import progress, stopping
from ml_assets.instance.guard import OWN, further_hosts
from ml_assets.instance.home import config_file, prepare_dagster_home
from ml_assets.instance.processes import Leader, end, group_of, listener

HOST = "127.0.0.1"
START_SECONDS = 180.0
LOG_LINES = 20
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LOCATIONS = (
    "{workspaceOrError{... on PythonError{message} ... on Workspace{locationEntries{name loadStatus "
    "locationOrLoadError{__typename ... on PythonError{message}}}}}}"
)


class ServeError(Exception):
    """The servers can't be started or ended; the message says why and what to do."""


@dataclass(frozen=True)
class Server:
    """One of the two servers, before it is started."""

    name: str
    port: int
    health: str
    """The path that answers 200 as soon as it serves."""
    port_variable: str
    command: tuple[str, ...]

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"


@dataclass(frozen=True)
class Running:
    """What the pid file says of a server that was started."""

    pid: int
    started: str
    url: str
    home: str = ""
    """The project it serves; empty of one from before this was recorded."""

    @property
    def leader(self) -> Leader:
        """The first process of its group."""
        return Leader(self.pid, self.started)


def serve(
    home: Path, port: int | None = None, mlflow_port: int | None = None, *, background: bool = False
) -> int:
    """Start both servers for the project in ``home``, wait until they answer, say what to open.

    A port that is not given is that of ML_ASSETS_PORT and ML_ASSETS_MLFLOW_PORT, or else 3000 and 5000.
    In the background it returns then; in the foreground it stays until Ctrl-C, SIGTERM or ``down``, and
    leaves no process behind. If both run already, it says so. Returns an exit code: 0, or 1 if a server
    can't be started, can't load the project or ends by itself; the reason is on stderr. Raises KeyboardInterrupt where
    it is stopped before both serve, with nothing left running.
    """
    home = home.resolve()
    try:
        with stopping.asked() as stop:
            with _only_one(home):
                running = _read(home)
                if running and all(group_of(it.leader) and _answers(it.url) for it in running.values()):
                    print("Already running.\n" + _what_to_open(home, running, background=True), flush=True)
                    return 0
                _end(home, running)
                running = _start(home, _servers(home, port, mlflow_port), stop)
            print(_what_to_open(home, running, background=background), flush=True)
            if not background:
                _stay(home, running, stop)
    except ServeError as error:
        print(f"ml-assets: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def require_ports(home: Path) -> None:
    """Raise ServeError where ``serve`` would find a port taken by anybody but its own servers."""
    home = home.resolve()
    with _only_one(home):
        running = _read(home)
    for server in _servers(home, None, None):
        own = running.get(server.name)
        if own is None or own.url != server.url or not group_of(own.leader):
            _require_free(server)


def url(home: Path) -> str:
    """Where the Dagster that ``serve`` has started answers. Raises KeyError if there is none."""
    return _read(home.resolve())["Dagster"].url


def down(home: Path) -> int:
    """End the servers that ``serve`` started for the project in ``home``, and all their processes.

    Returns 0, also if nothing was running, or 1 if a process could not be ended. Only processes that
    ``serve`` started are touched.
    """
    home = home.resolve()
    try:
        with _only_one(home):
            running = _read(home)
            with progress.phase("end the servers"):
                ended = _end(home, running)
    except ServeError as error:
        print(f"ml-assets: {error}", file=sys.stderr, flush=True)
        return 1
    print(f"Ended {' and '.join(ended)}." if ended else "Nothing is running.", flush=True)
    return 0


def _port(given: int | None, variable: str, default: int) -> int:
    if given is not None:
        return given
    named = os.environ.get(variable) or str(default)
    if not named.isdecimal() or not 0 < int(named) < 65536:
        raise ServeError(f"{variable} is {named!r}: give a port from 1 to 65535")
    return int(named)


def _servers(home: Path, given_port: int | None, given_mlflow_port: int | None) -> tuple[Server, ...]:
    port = _port(given_port, "ML_ASSETS_PORT", 3000)
    mlflow_port = _port(given_mlflow_port, "ML_ASSETS_MLFLOW_PORT", 5000)
    models = home / "data" / "mlflow"
    models.mkdir(parents=True, exist_ok=True)
    workspace = config_file("workspace.yaml", home)
    dagster = ("ml_assets.instance.webserver", str(port), str(workspace))
    mlflow = ("mlflow", "server", "--host", HOST, "--port", str(mlflow_port), "--workers", "1", *_allowed())
    store = (
        *("--backend-store-uri", f"sqlite:///{models / 'mlflow.db'}"),
        *("--artifacts-destination", str(models / "artifacts")),
    )
    return (
        Server("Dagster", port, "/server_info", "ML_ASSETS_PORT", (sys.executable, "-m", *dagster)),
        Server(
            "MLflow", mlflow_port, "/health", "ML_ASSETS_MLFLOW_PORT", (sys.executable, "-m", *mlflow, *store)
        ),
    )


def _allowed() -> tuple[str, ...]:
    """What MLflow's own guard lets through; by itself it takes `10.evil.example` for an address of the house."""
    further = further_hosts()
    names = [name for host in (*OWN, *further) for name in (host, f"{host}:*")]
    origins = [f"http*://{host}{port}" for host in further for port in ("", ":*")]
    pages = ("--cors-allowed-origins", ",".join(origins)) if origins else ()
    return ("--allowed-hosts", ",".join(names), *pages)


def _start(home: Path, servers: tuple[Server, ...], stop: threading.Event) -> dict[str, Running]:
    """Start the servers and wait until they serve; on any failure, end what was started."""
    for server in servers:
        _require_free(server)
    environment = _environment(home, prepare_dagster_home(home), servers)
    running: dict[str, Running] = {}
    children: dict[str, subprocess.Popen[bytes]] = {}
    served = False
    try:
        for server in servers:
            children[server.name] = child = _spawn(home, server, environment)
            try:
                leader = Leader.of(child.pid)
            except ProcessLookupError as error:
                raise ServeError(f"{server.name}: {error}. {_tail(home, server.name)}") from error
            running[server.name] = Running(leader.pid, leader.started, server.url, str(home))
            _write(home, running)
        with progress.phase(f"start {' and '.join(server.name for server in servers)}"):
            for server in progress.counted(servers, "servers"):
                _wait(home, server, children[server.name], stop)
            _check_locations(home, servers[0].url, stop)
        served = True
    finally:
        if not served:
            _end(home, running)
            for child in children.values():
                child.wait()
    return running


def _require_free(server: Server) -> None:
    if taken := listener(server.port):
        raise ServeError(
            f"port {server.port} for {server.name} is taken by {taken}. End it, or choose another port: "
            f"{server.port_variable}={server.port + 1000} in front of the command."
        )


def _environment(home: Path, dagster_home: Path, servers: tuple[Server, ...]) -> dict[str, str]:
    ports = {server.port_variable: str(server.port) for server in servers}
    return (
        os.environ
        | ports
        | {
            "DAGSTER_HOME": str(dagster_home),
            "ML_ASSETS_HOME": str(home),
            "DO_NOT_TRACK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PYTHONUNBUFFERED": "1",
        }
    )


def _spawn(home: Path, server: Server, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    path = _log(home, server.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as log:
        return subprocess.Popen(
            server.command,
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait(home: Path, server: Server, child: subprocess.Popen[bytes], stop: threading.Event) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(server.url + server.health):
        if stop.wait(0.3):
            raise KeyboardInterrupt
        if child.poll() is not None:
            code = child.returncode
            raise ServeError(f"{server.name} ended at once, exit code {code}. {_tail(home, server.name)}")
        if time.monotonic() > deadline:
            raise ServeError(
                f"{server.name} does not answer at {server.url} after {START_SECONDS:.0f} s. "
                f"{_tail(home, server.name)}"
            )


def _check_locations(home: Path, url: str, stop: threading.Event) -> None:
    """Wait until the code locations are loaded; raise ServeError with the reason if one can't be."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        workspace = _ask(f"{url}/graphql", LOCATIONS)["workspaceOrError"]
        entries = workspace.get("locationEntries", [])
        failed = [
            f"{entry['name']}: {entry['locationOrLoadError']['message'].strip()}"
            for entry in entries
            if (entry["locationOrLoadError"] or {}).get("__typename") == "PythonError"
        ]
        if "message" in workspace:
            failed.append(workspace["message"].strip())
        if failed:
            raise ServeError(
                "the project can't be loaded:\n  " + "\n  ".join(failed) + "\nMend that, then start again; "
                "`dagster definitions validate -w workspace.yaml` checks it without a server."
            )
        if entries and all(entry["loadStatus"] == "LOADED" for entry in entries):
            return
        if stop.wait(0.3):
            raise KeyboardInterrupt
        if time.monotonic() > deadline:
            raise ServeError(
                f"the project is not loaded after {START_SECONDS:.0f} s. {_tail(home, 'Dagster')}"
            )


def _stay(home: Path, running: Mapping[str, Running], stop: threading.Event) -> None:
    """Return when asked to stop, or when ``down`` has ended the servers; raise if one ends by itself."""
    gone: list[str] = []
    while not gone and not stop.wait(0.5):
        gone = [name for name, server in running.items() if not group_of(server.leader)]
    with _only_one(home):
        if _read(home) != running:
            return
        ended = _end(home, running)
    if gone:
        raise ServeError(f"{gone[0]} has ended by itself. {_tail(home, gone[0])}")
    print(f"\nEnded {' and '.join(ended)}.", flush=True)


def _end(home: Path, running: Mapping[str, Running]) -> list[str]:
    """End what is left of ``running`` and forget it; the names of those that were alive."""
    alive = [name for name, server in running.items() if group_of(server.leader)]
    left = end([running[name].leader for name in alive])
    if left:
        names = ", ".join(f"{process.pid} ({process.command[:80]})" for process in left)
        raise ServeError(f"these processes don't end: {names}. End them by hand: kill -9 {left[0].pid} ...")
    _pid_file(home).unlink(missing_ok=True)
    return alive


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Let one process at a time start or end the servers of ``home``."""
    path = home / ".dagster" / "servers.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _pid_file(home: Path) -> Path:
    return home / ".dagster" / "servers.json"


def _read(home: Path) -> dict[str, Running]:
    """The servers of this project; those that a copy's file still names are the original's."""
    path = _pid_file(home)
    if not path.exists():
        return {}
    try:
        found = {name: Running(**server) for name, server in json.loads(path.read_text()).items()}
        return {name: server for name, server in found.items() if server.home in ("", str(home))}
    except (ValueError, TypeError, AttributeError) as error:
        raise ServeError(
            f"{path} is not a list of servers ({error}). End what runs by hand, and delete the file."
        ) from error


def _write(home: Path, running: Mapping[str, Running]) -> None:
    path = _pid_file(home)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps({name: asdict(server) for name, server in running.items()}, indent=1))
    partial.replace(path)


def _logs(home: Path) -> Path:
    """The servers' logs; not .dagster/logs, which Dagster empties when telemetry is off."""
    return home / ".dagster" / "servers"


def _log(home: Path, name: str) -> Path:
    return _logs(home) / f"{name.lower()}.log"


def _tail(home: Path, name: str) -> str:
    path = _log(home, name)
    lines = COLOURS.sub("", path.read_text(errors="replace")).splitlines()[-LOG_LINES:]
    return f"The last lines of {path}:\n  " + "\n  ".join(lines or ["(it is empty)"])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _ask(url: str, query: str) -> dict[str, dict]:  # type: ignore[type-arg]
    request = urllib.request.Request(
        url, json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        data: dict[str, dict] = json.loads(answer.read())["data"]  # type: ignore[type-arg]
    return data


def _what_to_open(home: Path, running: Mapping[str, Running], *, background: bool) -> str:
    dagster, mlflow = running["Dagster"].url, running["MLflow"].url
    return "\n".join(
        [
            "",
            f"  Dagster   {dagster:<24}assets, checks, runs, sensors",
            f"  MLflow    {mlflow:<24}training runs and model versions",
            f"  Logs      {_logs(home)}",
            "",
            "  What to try",
            f"  the whole graph           {dagster}/asset-groups",
            f"  why a model was promoted  {dagster}/assets/lapse/champion",
            f"  what the contract checks  {dagster}/assets/transactions/events?view=checks",
            "  a backfill                open an asset, press Materialize, choose its partitions",
            "",
            "  `make down` ends both." if background else "  Ctrl-C ends both.",
            "",
        ]
    )
