"""Killed between the promotion log and the alias, fifty times: whatever starts next makes the alias follow."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ml_assets.lake import Lake
from ml_assets.registry.mlflow_registry import Registry
from ml_assets_tests.registry.shelf import book_of, week

KILLS, SEED = 50, 20260711
STARTS = ("command", "run", "promotion")
LATEST = 0.04
"""Seconds after the log's commit until which a child is killed, if not as it sets an alias."""


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_killed_between_log_and_alias_whatever_starts_next_puts_it_right(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    registry, lake = Registry.below(tmp_path / "data"), Lake(str(tmp_path / "data" / "lake"))
    register(registry)
    book = book_of(con, lake, registry, "killed")
    killer = subprocess.Popen(
        [sys.executable, "-m", "ml_assets_tests.registry.killer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ML_ASSETS_HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path / ".dagster")},
    )
    chance, behind = random.Random(SEED), Counter[str]()

    def ask(**asked: Any) -> int:
        assert killer.stdin
        assert killer.stdout
        print(json.dumps({**vars(registry), "lake": lake.root, **asked}), file=killer.stdin, flush=True)
        return int(killer.stdout.readline())

    try:
        for number in range(KILLS):
            deadly = ("champion", "", "previous" if number > 2 else "champion", "")[number % 4]
            version, start = number % 2 + 1, STARTS[number % len(STARTS)]
            killed = ask(model="killed", version=version, deadly=deadly, after=chance.uniform(0, LATEST))
            log, left = book.log(), registry.aliases_by_model()["killed"]
            assert (killed, len(log.moves), log.champion) == (-signal.SIGKILL, number + 1, version)
            behind[start] += left.get("champion") != version
            assert ask(start=start, model="killed") == 0, start
            now = registry.aliases_by_model()["killed"]
            assert now == {"champion": version} | ({"previous": log.previous} if log.previous else {}), start
    finally:
        killer.communicate(timeout=60)
    print(f"of {KILLS} kills {behind.total()} left the alias behind: {dict(behind)}")
    assert min(behind[start] for start in STARTS) > KILLS // 10


def register(registry: Registry) -> None:
    registry.prepare()
    client = registry.client()
    client.create_registered_model("killed")
    for number in (1, 2):
        client.create_model_version(
            "killed", f"{registry.artifact_root}/none", tags={"cutoff": str(week(number))}
        )
