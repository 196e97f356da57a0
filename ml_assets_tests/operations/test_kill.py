"""Kill ``ml-assets materialize`` at any moment: every table still reads, and the rest is made by the next one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable

from ml_assets.lake import connect
from ml_assets_tests import visits
from ml_assets_tests.house import KEYS, MINI, opened

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]
KILLS = 8
SEED = 20240101
LAST = 56
"""Days to land: enough for one cutoff with a champion."""


def start(home: Path) -> "subprocess.Popen[bytes]":
    """The command in a process of its own."""
    environment = os.environ | {
        "ML_ASSETS_HOME": str(home),
        "ML_ASSETS_MINI_LANDING": str(home / "landing"),
        "ML_ASSETS_DEFS": MINI,
        "DAGSTER_HOME": str(home / ".dagster"),
    }
    command = [sys.executable, "-m", "ml_assets.cli", "materialize", "--cutoffs", "1"]
    with (home / "log.txt").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)


def tables_of(home: Path) -> dict[str, int]:
    """Every table with its number of rows, each read in full."""
    found = {}
    with connect() as con:
        for log in sorted((home / "data" / "lake").glob("*/*/_delta_log")):
            if not any(log.glob("*.json")):
                continue
            table = DeltaTable(str(log.parent))
            files = table.file_uris()
            rows = con.read_parquet(files).fetchall() if files else []
            found["/".join(log.parent.parts[-2:])] = len(rows)
    return found


def commits(home: Path) -> int:
    """How many commits all tables have together."""
    return len(list((home / "data" / "lake").glob("*/*/_delta_log/*.json")))


def kill_after(home: Path, more: int, seconds: float) -> bool:
    """Start the command and kill it some seconds after its so-manieth commit; False if it ended before.

    Counted in commits, because how long the command takes depends on what else the machine does.
    """
    target, process = commits(home) + more, start(home)
    while process.poll() is None and commits(home) < target:
        time.sleep(0.01)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one run without a kill makes."""
    home = tmp_path_factory.mktemp("undisturbed")
    visits.land(home / "landing", visits.day(0), visits.day(LAST))
    assert start(home).wait() == 0, (home / "log.txt").read_text()
    with opened(home) as made:
        champion = made.champion
        assert champion is not None
        return made.hashes() | {"champion": str(champion.cutoff)}


def test_killed_at_any_moment_the_next_run_makes_the_same(
    undisturbed: dict[str, str], tmp_path: Path
) -> None:
    visits.land(tmp_path / "landing", visits.day(0), visits.day(LAST))
    chance = random.Random(SEED)
    before: dict[str, int] = {}
    for number in range(KILLS):
        was_killed = kill_after(tmp_path, chance.randint(1, 6), chance.uniform(0, 0.3))
        assert was_killed or number >= KILLS // 2, (tmp_path / "log.txt").read_text()
        found = tables_of(tmp_path)
        assert set(before) <= set(found)
        before = found
    assert start(tmp_path).wait() == 0, (tmp_path / "log.txt").read_text()
    with opened(tmp_path) as made:
        champion = made.champion
        assert champion is not None
        assert made.hashes() | {"champion": str(champion.cutoff)} == undisturbed
        assert set(tables_of(tmp_path)) >= set(KEYS)
        drift = made.churn.tables(made.lake)
        with connect() as con:
            watched, scored = (
                {day for (day,) in table.read(con, columns=["as_of"]).distinct().fetchall()}
                for table in (drift.drift_days, drift.predictions)
            )
        assert watched == scored
    assert start(tmp_path).wait() == 0
    assert "nothing is left to materialize" in (tmp_path / "log.txt").read_text().splitlines()[-1]
