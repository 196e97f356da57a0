"""The servers are started, found again and ended; stand-ins that serve HTTP take their place here."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ml_assets.instance import processes
from ml_assets.instance import servers as up
from ml_assets.instance.processes import Leader, end, group_of, listener

STAND_IN = """
import json, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
location = {"name": "ml_assets", "loadStatus": "LOADED", "locationOrLoadError": %s}
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"OK")
    def do_POST(self):
        body = json.dumps({"data": {"workspaceOrError": {"locationEntries": [location]}}}).encode()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
LOADED = '{"__typename": "RepositoryLocation"}'
BROKEN = '{"__typename": "PythonError", "message": "defs.yaml:3: no such column"}'
SERVE = "import sys; from ml_assets_tests.instance.test_servers import in_foreground; in_foreground(sys.argv)"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stand_ins(location: str, *ports: int) -> tuple[up.Server, ...]:
    code = STAND_IN % location
    return tuple(
        up.Server(name, port, "/", variable, (sys.executable, "-c", code, str(port)))
        for name, port, variable in zip(
            ("Dagster", "MLflow"), ports, ("ML_ASSETS_PORT", "ML_ASSETS_MLFLOW_PORT"), strict=True
        )
    )


def in_foreground(arguments: list[str]) -> None:
    """What the process of a foreground test runs: home, port, port."""
    home, *ports = arguments[1:]
    up._servers = lambda *_: stand_ins(LOADED, *map(int, ports))
    sys.exit(up.serve(Path(home), background=False))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    up.down(tmp_path)


@pytest.fixture
def ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture
def with_stand_ins(monkeypatch: pytest.MonkeyPatch, ports: tuple[int, int]) -> Callable[[str], None]:
    def use(location: str) -> None:
        monkeypatch.setattr(up, "_servers", lambda *_: stand_ins(location, *ports))

    return use


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def group_members(home: Path) -> list[int]:
    return [process.pid for server in up._read(home).values() for process in group_of(server.leader)]


def alive(pids: list[int]) -> set[int]:
    return {process.pid for process in processes.processes()} & set(pids)


def wait_until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_up_leaves_both_running_and_down_ends_every_process(
    home: Path, with_stand_ins: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with_stand_ins(LOADED)
    assert up.serve(home, background=True) == 0
    assert "What to try" in capsys.readouterr().out
    wait_until(lambda: len(group_members(home)) == 4)
    members = group_members(home)

    assert up.serve(home, background=True) == 0
    assert "Already running" in capsys.readouterr().out
    assert group_members(home) == members

    assert up.down(home) == 0
    assert capsys.readouterr().out == "Ended Dagster and MLflow.\n"
    assert alive(members) == set()
    assert up.down(home) == 0
    assert capsys.readouterr().out == "Nothing is running.\n"


def test_children_are_ended_even_if_their_parent_was_killed(
    home: Path, with_stand_ins: Callable[[str], None]
) -> None:
    with_stand_ins(LOADED)
    assert up.serve(home, background=True) == 0
    wait_until(lambda: len(group_members(home)) == 4)
    members = group_members(home)
    for server in up._read(home).values():
        os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: len(alive(members)) == 2)
    assert up.down(home) == 0
    assert alive(members) == set()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_the_foreground_ends_everything_when_asked(
    home: Path, ports: tuple[int, int], sent: signal.Signals
) -> None:
    command = [sys.executable, "-c", SERVE, str(home), *map(str, ports)]
    served = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert served.stdout is not None
    wait_until(lambda: len(group_members(home)) == 4)
    members = group_members(home)
    while "Ctrl-C" not in served.stdout.readline():
        assert served.poll() is None
    served.send_signal(sent)
    output, _ = served.communicate(timeout=40)
    assert served.returncode == 0
    assert "Ended Dagster and MLflow." in output
    assert alive(members) == set()


def test_a_server_that_ends_by_itself_takes_the_other_along(home: Path, ports: tuple[int, int]) -> None:
    command = [sys.executable, "-c", SERVE, str(home), *map(str, ports)]
    served = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert served.stdout is not None
    while "Ctrl-C" not in served.stdout.readline():
        assert served.poll() is None
    members = group_members(home)
    for process in group_of(up._read(home)["MLflow"].leader):
        os.kill(process.pid, signal.SIGKILL)
    _, errors = served.communicate(timeout=40)
    assert served.returncode == 1
    assert "MLflow has ended by itself" in errors
    assert alive(members) == set()


def test_a_project_that_does_not_load_is_an_error(
    home: Path, with_stand_ins: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with_stand_ins(BROKEN)
    assert up.serve(home, background=True) == 1
    assert "defs.yaml:3: no such column" in capsys.readouterr().err
    assert up._read(home) == {}


def test_a_server_that_does_not_start_is_quoted(
    home: Path, ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = stand_ins(LOADED, *ports)
    crash = "import time; time.sleep(1); raise SystemExit('no such table: experiments')"
    broken = up.Server(bad.name, bad.port, "/", bad.port_variable, (sys.executable, "-c", crash))
    monkeypatch.setattr(up, "_servers", lambda *_: (good, broken))
    assert up.serve(home, background=True) == 1
    message = capsys.readouterr().err
    assert "MLflow ended at once, exit code 1" in message
    assert "no such table: experiments" in message
    assert up._read(home) == {}
    assert listener(good.port) is None


def test_a_taken_port_names_its_process_and_the_way_out(
    home: Path,
    with_stand_ins: Callable[[str], None],
    ports: tuple[int, int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_stand_ins(LOADED)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[1]))
        taken.listen()
        assert up.serve(home, background=True) == 1
    message = capsys.readouterr().err
    assert f"port {ports[1]} for MLflow is taken by process {os.getpid()} (" in message
    assert f"ML_ASSETS_MLFLOW_PORT={ports[1] + 1000}" in message


def test_down_spares_a_process_that_only_has_the_number(
    home: Path, sleeper: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / ".dagster" / "servers.json"
    path.parent.mkdir()
    entry = {"pid": sleeper.pid, "started": "another boot 17", "url": "http://127.0.0.1:1"}
    path.write_text(json.dumps({"Dagster": entry}))
    assert up.down(home) == 0
    assert capsys.readouterr().out == "Nothing is running.\n"
    assert sleeper.poll() is None
    assert not path.exists()


def test_down_in_a_copy_spares_the_servers_of_the_original(
    home: Path, sleeper: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    path, leader = home / ".dagster" / "servers.json", Leader.of(sleeper.pid)
    path.parent.mkdir()
    entry = {
        "pid": leader.pid,
        "started": leader.started,
        "url": "http://127.0.0.1:1",
        "home": "/the/original",
    }
    path.write_text(json.dumps({"Dagster": entry}))
    assert up.down(home) == 0
    assert capsys.readouterr().out == "Nothing is running.\n"
    assert sleeper.poll() is None
    assert not path.exists()


def test_a_process_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GENTLE_SECONDS", 0.3)
    monkeypatch.setattr(processes, "FIRM_SECONDS", 1.0)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    leader = Leader.of(process.pid)
    assert group_of(leader)
    assert end([leader]) == []
    assert process.wait(5) == -signal.SIGKILL
    process.stdout.close()


def test_a_pid_file_that_makes_no_sense_is_explained(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / ".dagster" / "servers.json"
    path.parent.mkdir()
    path.write_text("[]")
    assert up.down(home) == 1
    assert "delete the file" in capsys.readouterr().err
    path.unlink()


def test_ports_come_from_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ML_ASSETS_PORT", "3210")
    monkeypatch.setenv("ML_ASSETS_MLFLOW_PORT", "5210")
    assert [server.url for server in up._servers(home, None, None)] == [
        "http://127.0.0.1:3210",
        "http://127.0.0.1:5210",
    ]
    monkeypatch.setenv("ML_ASSETS_PORT", "three")
    assert up.serve(home, background=True) == 1
    assert "ML_ASSETS_PORT is 'three'" in capsys.readouterr().err
