"""The command line as a process: exit codes, what is on stdout and what on stderr, Ctrl-C, closed pipes, warnings."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import psutil
import pytest

from ml_assets.instance.home import CHECKOUT
from ml_assets_tests import visits
from ml_assets_tests.house import MINI

DAGSTERS = re.compile(r"(Beta|Preview|Supersession)Warning")


def environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "ML_ASSETS_HOME": str(home),
        "ML_ASSETS_DEFS": MINI,
        "ML_ASSETS_MINI_LANDING": str(home / "landing"),
        "DAGSTER_HOME": str(home / ".dagster"),
    }


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "ml_assets.cli", *words]


def run(home: Path, words: Sequence[str], **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        list(words), env=environment(home) | more, capture_output=True, text=True, check=False, cwd=CHECKOUT
    )


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (("--version",), 0, r"ml-assets \d", ""),
        (("monitor", "drills", "--json"), 0, r"\[", ""),
        (("contract", "diff", "none.yaml", "none.yaml"), 1, "", "ml-assets: none.yaml.* can't be read"),
        (
            ("modls",),
            2,
            "",
            "ml-assets: No such command 'modls'. Did you mean 'models'\\?\nSee `ml-assets --help`",
        ),
    ],
    ids=["done", "json", "refused", "usage"],
)
def test_exit_codes_and_streams(
    tmp_path: Path, words: tuple[str, ...], code: int, out: str, err: str
) -> None:
    done = run(tmp_path, command(*words))
    assert done.returncode == code, done.stderr
    assert re.match(out, done.stdout)
    assert bool(done.stdout) is bool(out)
    assert re.search(err, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_a_command_that_is_stopped_says_one_line_leaves_no_run_in_progress_and_goes_on(
    tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    visits.land(tmp_path / "landing", visits.day(0), visits.day(3))
    words = command("materialize")
    with subprocess.Popen(
        words,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as started:
        assert started.stderr is not None
        for line in started.stderr:
            if "visits: raw" in line:
                break
        time.sleep(0.5)
        children = psutil.Process(started.pid).children(recursive=True)
        os.killpg(started.pid, sent)  # as a terminal does: children get it, too
        out, err = started.communicate(timeout=20)
    assert started.returncode == code, err
    assert out == ""
    assert "Traceback" not in err
    psutil.wait_procs(children, timeout=5)
    assert [child for child in children if child.is_running()] == []
    again = run(tmp_path, [*words, "--json"])
    assert again.returncode == 0, again.stderr
    assert {phase["outcome"] for phase in json.loads(again.stdout)} == {"done"}
    assert "visitor_features: snapshot  2024-01-02 to 2024-01-05" in again.stderr
    if sent == signal.SIGKILL:
        assert re.search(r"note: run \w{8} of \w+ is marked as failed: process \d+ of this", again.stderr)
    else:
        assert err.splitlines()[-1].startswith("stopped; what is written is whole, and the same command goes")
        assert "note: run" not in again.stderr
    with dg.DagsterInstance.from_config(str(tmp_path / ".dagster")) as instance:
        ended = [run.status for run in instance.get_runs()]
    assert set(ended) - {dg.DagsterRunStatus.SUCCESS} == {
        dg.DagsterRunStatus.FAILURE if sent == signal.SIGKILL else dg.DagsterRunStatus.CANCELED
    }
    assert not DAGSTERS.search(again.stderr)


def test_a_closed_pipe_is_no_fault(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("monitor", "drills"),
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        err = started.stderr.read()
    assert started.returncode == 141
    assert re.fullmatch(rb"(ml-assets monitor drills \.\.\.\n)?", err), err


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        (sys.executable, "-c", "import ml_assets.definitions as d; d.defs.get_repository_def()"),
        (str(Path(sys.executable).parent / "dagster"), "definitions", "validate", "-w", "workspace.yaml"),
        command("check"),
    ],
    ids=["code location", "validate", "check"],
)
def test_no_warning_of_dagsters_reaches_a_terminal(tmp_path: Path, words: Sequence[str]) -> None:
    """As `make` starts them."""
    (set_by_make,) = re.findall(r"^export PYTHONWARNINGS := (.*)$", (CHECKOUT / "Makefile").read_text(), re.M)
    (tmp_path / ".dagster").mkdir()
    (tmp_path / ".dagster" / "dagster.yaml").write_bytes((CHECKOUT / "dagster.yaml").read_bytes())
    done = run(tmp_path, words, PYTHONPATH=str(CHECKOUT), PYTHONWARNINGS=set_by_make)
    assert "Traceback" not in done.stderr
    assert not DAGSTERS.search(done.stdout + done.stderr), done.stderr
