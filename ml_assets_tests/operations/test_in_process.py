"""Ctrl-C and SIGTERM while a job is executed: it stops in time, whatever a step makes of it, and the run is canceled."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import psutil
import pytest

from ml_assets.operations import in_process

PROGRAM = """
import os, subprocess, sys, time
import dagster as dg
from ml_assets.instance import stopping
from ml_assets.instance.stopping import noticed
from ml_assets.operations.in_process import execute

home, how = sys.argv[1:]
stopping.SECONDS = 60 if how != "deaf" else 0.5

def waits():
    print("begun", flush=True)
    time.sleep(60)

def swallows():
    try:
        waits()
    except BaseException:
        pass

def renames():
    try:
        waits()
    except BaseException:
        raise RuntimeError("the query was interrupted") from None

def deaf():
    subprocess.Popen(["sleep", "600"])
    while True:
        swallows()

@dg.op
def first():
    globals()[how]()

@dg.op
def second():
    print("never", flush=True)

@dg.job
def work():
    first()
    second()

with dg.DagsterInstance.from_config(home) as instance, noticed():
    try:
        execute(work, instance)
    except KeyboardInterrupt:
        print("stopped", flush=True)
        os._exit(stopping.exit_code())
print("went on", flush=True)
"""
SETTINGS = """\
telemetry: {enabled: false}
compute_logs: {module: ml_assets.instance.compute_logs, class: ComputeLogs}
"""


@pytest.mark.parametrize("how", ["waits", "swallows", "renames", "deaf"])
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_stops_the_run_and_nothing_begins_after_it(
    tmp_path: Path, how: str, sent: signal.Signals, code: int
) -> None:
    (tmp_path / "dagster.yaml").write_text(SETTINGS)
    words = [sys.executable, "-c", PROGRAM, str(tmp_path), how]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        assert started.stdout is not None
        while "begun" not in started.stdout.readline():
            assert started.poll() is None
        children = psutil.Process(started.pid).children(recursive=True)
        os.killpg(started.pid, sent)  # as a terminal does: children get it, too
        out, err = started.communicate(timeout=50)
    assert started.returncode == code, err
    assert "never" not in out
    assert "went on" not in out
    assert ("stopped; what is written is whole" in err) == (how == "deaf")
    assert "Traceback" not in err
    psutil.wait_procs(children, timeout=5)
    assert [child for child in children if child.is_running()] == []
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.CANCELED


@pytest.mark.parametrize(
    ("reason", "becomes"),
    [("UNEXPECTED_TERMINATION", dg.DagsterRunStatus.CANCELED), ("STEP_FAILURE", dg.DagsterRunStatus.FAILURE)],
)
def test_a_run_that_an_interrupt_broke_off_is_canceled(reason: str, becomes: dg.DagsterRunStatus) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(
            dg.JobDefinition(graph_def=dg.GraphDefinition("work")), tags={"dagster/failure_reason": reason}
        )
        instance.report_run_failed(run)
        in_process._cancel(instance, run.run_id)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status is becomes
