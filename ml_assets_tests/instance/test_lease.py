"""Leases of runs: whose process counts as gone, and when."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest

from ml_assets.instance import lease
from ml_assets.instance.lease import BEAT, MISSED, Lease, Observer, held, read

PATIENCE = MISSED * BEAT


class Values:
    """A store in memory."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get_cursor_values(self, keys: set[str]) -> Mapping[str, str]:
        return {key: self.values[key] for key in keys if key in self.values}

    def set_cursor_values(self, pairs: Mapping[str, str]) -> None:
        self.values.update(pairs)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> Values:
    return Values()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def elsewhere() -> Lease:
    """The lease of a process of another machine that has the pid of this one."""
    return replace(Lease.mine(), host="another machine")


def gone_process() -> Lease:
    """A lease of a process of this machine that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        mine = lease.Leader.of(process.pid)
        process.communicate(b"\n")
    return Lease(lease.this_host(), mine.pid, mine.started)


def test_here_a_process_is_judged_by_itself_at_once_and_for_as_long_as_it_takes(
    store: Values, clock: Clock
) -> None:
    observer = Observer(store, clock)
    lease._write(store, "mine", Lease.mine())
    lease._write(store, "gone", gone_process())
    lease._write(store, "number given anew", replace(Lease.mine(), started="0.01 s after boot"))
    assert "of this machine is gone" in str(observer.gone("gone"))
    assert "of this machine is gone" in str(observer.gone("number given anew"))
    for clock.now in (0.0, PATIENCE, 100 * PATIENCE):
        assert observer.gone("mine") is None


def test_elsewhere_a_process_is_judged_by_its_counter_and_the_observers_own_clock(
    store: Values, clock: Clock
) -> None:
    observer = Observer(store, clock)
    for beat in range(20):
        lease._write(store, "run", replace(elsewhere(), beat=beat))
        assert observer.gone("run") is None
        clock.now += PATIENCE - 1
        assert observer.gone("run") is None
    clock.now += 1
    assert "on another machine has not been heard of for 30 s" in str(observer.gone("run"))
    assert Observer(store, clock).gone("run") is None, "another observer looks for itself"
    lease._write(store, "run", replace(elsewhere(), beat=20))
    assert observer.gone("run") is None


def test_a_run_that_nobody_has_taken_gets_the_same_time(store: Values, clock: Clock) -> None:
    observer = Observer(store, clock)
    assert observer.gone("run") is None
    clock.now = PATIENCE
    assert "no process has said for 30 s" in str(observer.gone("run"))


def test_who_holds_a_lease_renews_it_until_the_end(store: Values, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.01)
    with held(store, "run"):
        first = read(store, "run")
        assert first is not None
        assert (first.pid, first.is_here, first.process.is_alive) == (os.getpid(), True, True)
        while read(store, "run") == first:
            pass
    last = read(store, "run")
    assert last is not None
    assert last.beat > first.beat
    assert not any("lease" in thread.name for thread in lease.threading.enumerate())


def test_a_storage_that_fails_for_a_moment_costs_a_beat_and_no_more(
    store: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.01)
    with held(store, "run"):
        first = read(store, "run")
        write, failed = store.set_cursor_values, []

        def locked(pairs: Mapping[str, str]) -> None:
            failed.append(pairs)
            monkeypatch.setattr(store, "set_cursor_values", write)
            raise OSError("database is locked")

        monkeypatch.setattr(store, "set_cursor_values", locked)
        while read(store, "run") == first:
            pass
    assert len(failed) == 1
