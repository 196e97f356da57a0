"""The queue and the launcher of dagster.yaml: commands take no place of the queue, runs without a process are ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.launcher import WorkerStatus
from dagster._core.remote_origin import RemoteRepositoryOrigin
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from ml_assets.components.shared.executor import leased_in_process
from ml_assets.instance import lease
from ml_assets.instance.daemon import QUEUED, Launcher, Queue, end_abandoned
from ml_assets.instance.home import CHECKOUT
from ml_assets.instance.lease import Lease, held, read
from ml_assets_tests.instance.test_lease import elsewhere, gone_process

STARTED = dg.DagsterRunStatus.STARTED
HOLDER = """
import signal, sys, time
import dagster as dg
from ml_assets.instance.lease import held
signal.signal(signal.SIGINT, signal.default_int_handler)
with dg.DagsterInstance.from_config(sys.argv[1]) as instance, held(instance.run_storage, sys.argv[2]):
    print("held", flush=True)
    time.sleep(600)
"""


@dg.op
def nothing() -> None:
    pass


@dg.job(executor_def=leased_in_process)
def work() -> None:
    nothing()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """One with the project's dagster.yaml."""
    (tmp_path / "dagster.yaml").write_bytes((CHECKOUT / "dagster.yaml").read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def put(instance: dg.DagsterInstance, held_by: Lease | None = None, **tags: str) -> dg.DagsterRun:
    """A run in progress that another process executes, or executed."""
    run = instance.create_run_for_job(work, status=STARTED, tags=tags)
    if held_by:
        lease._write(instance.run_storage, run.run_id, held_by)
    return run


def submit(instance: dg.DagsterInstance) -> str:
    """Ask for a run as sensors do."""
    (location,) = WorkspaceFileTarget([str(CHECKOUT / "workspace.yaml")]).create_origins()
    origin = RemoteRepositoryOrigin(location, "__repository__").get_job_origin(work.name)
    run = instance.create_run_for_job(work, status=dg.DagsterRunStatus.NOT_STARTED, remote_job_origin=origin)
    return instance.run_coordinator.submit_run(SubmitRunContext(run, None)).run_id  # type: ignore[arg-type]


def next_up(instance: dg.DagsterInstance) -> list[str]:
    """The runs that the daemon would launch now."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    found = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)
    return [run.run_id for run in found]


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_the_runs_of_commands_take_no_place_of_the_queue(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_coordinator, Queue)
    for _ in range(5):
        put(instance)
    asked = [submit(instance) for _ in range(3)]
    assert next_up(instance) == asked[:2]
    (limit,) = yaml.safe_load((CHECKOUT / "dagster.yaml").read_text())["concurrency"]["runs"][
        "tag_concurrency_limits"
    ]
    assert limit == {"key": QUEUED, "limit": 2}
    put(instance, **{QUEUED: "yes"})
    assert next_up(instance) == asked[:1]


def test_whoever_starts_ends_the_runs_of_this_machine_whose_process_is_gone(
    instance: dg.DagsterInstance,
) -> None:
    gone, lives = put(instance, gone_process()), put(instance, Lease.mine())
    away, untaken, waiting = put(instance, elsewhere()), put(instance), submit(instance)
    (said,) = end_abandoned(instance)
    assert said.startswith(f"run {gone.run_id[:8]} of work is marked as failed: process ")
    assert status(instance, gone) is dg.DagsterRunStatus.FAILURE
    assert {status(instance, run) for run in (lives, away, untaken)} == {STARTED}
    assert instance.get_run_by_id(waiting).status is dg.DagsterRunStatus.QUEUED  # type: ignore[union-attr]
    assert end_abandoned(instance) == []


def test_a_killed_process_is_found_and_ended(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run = put(instance)
    words = [sys.executable, "-c", HOLDER, str(tmp_path), run.run_id]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert end_abandoned(instance) == []
        assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
        holder.kill()
    found = instance.run_launcher.check_run_worker_health(run)
    assert (found.status, found.msg) == (WorkerStatus.FAILED, f"process {holder.pid} of this machine is gone")
    assert len(end_abandoned(instance)) == 1


def test_the_daemon_judges_runs_by_their_lease_and_leaves_others_to_their_code_server(
    instance: dg.DagsterInstance,
) -> None:
    launcher = instance.run_launcher
    assert isinstance(launcher, Launcher)
    assert launcher.supports_check_run_worker_health
    launched = {GRPC_INFO_TAG: '{"host": "localhost", "socket": "/nowhere"}'}
    expected = [
        (put(instance, gone_process()), WorkerStatus.FAILED),
        (put(instance, gone_process(), **launched), WorkerStatus.FAILED),
        (put(instance, Lease.mine(), **launched), WorkerStatus.RUNNING),
        (put(instance, **launched), WorkerStatus.RUNNING),
        (put(instance, elsewhere()), WorkerStatus.RUNNING),
        (put(instance), WorkerStatus.RUNNING),
    ]
    for run, wanted in expected:
        assert launcher.check_run_worker_health(run).status is wanted


def test_terminate_interrupts_the_command_that_executes_a_run(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run = put(instance)
    words = [sys.executable, "-c", HOLDER, str(tmp_path), run.run_id]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert instance.run_launcher.terminate(run.run_id)
        holder.communicate(timeout=30)
    assert holder.returncode == -signal.SIGINT
    assert status(instance, run) is dg.DagsterRunStatus.CANCELING
    assert instance.run_launcher.terminate(run.run_id)
    assert status(instance, run) is dg.DagsterRunStatus.CANCELED
    assert not instance.run_launcher.terminate(put(instance, elsewhere()).run_id)


def test_a_run_holds_its_lease_while_it_is_executed(instance: dg.DagsterInstance) -> None:
    seen = []

    @dg.op
    def looks(context: dg.OpExecutionContext) -> None:
        seen.append(read(instance.run_storage, context.run_id))

    @dg.job(executor_def=leased_in_process)
    def looking() -> None:
        looks()

    run = instance.create_run_for_job(looking)
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.api import execute_run

    assert execute_run(InMemoryJob(looking), run, instance).success
    assert [found and found.pid for found in seen] == [os.getpid()]


def test_a_lease_takes_no_part_in_what_happens_to_the_run(instance: dg.DagsterInstance) -> None:
    with pytest.raises(ZeroDivisionError), held(instance.run_storage, "run"):
        raise ZeroDivisionError
