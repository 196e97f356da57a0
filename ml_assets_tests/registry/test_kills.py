"""Killed between candidate and champion: whatever starts next leaves nothing apart.

``ML_ASSETS_KILLS=200`` kills so often in each of the two.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import duckdb
import pytest

from ml_assets.lake import Lake, Table
from ml_assets.pipeline.steps.drift import profiles_of
from ml_assets.project.model import DeclaredModel
from ml_assets.project.project import Project
from ml_assets.registry.in_use import trouble
from ml_assets.registry.mlflow_registry import Registry
from ml_assets.registry.promotion_log import read_log
from ml_assets_tests.places import USE_CASES
from ml_assets_tests.registry.shelf import book_of, week

KILLS, SEED = int(os.environ.get("ML_ASSETS_KILLS", "30")), 20260711
CHAINS = int(os.environ.get("ML_ASSETS_KILLS", "12"))
CUTOFF = date(2024, 3, 4)
KEPT = ("visits", "visitor_features", "churn/labels", "churn/training_set")
"""What is in the lake before a candidate is trained."""
STARTS = ("command", "run", "promotion")
LATEST = 0.04
"""Seconds after the log's commit until which a child is killed, if not as it sets an alias."""


class Killer:
    """The process that forks what is to be killed."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ml_assets_tests.registry.killer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, home: Path, **asked: Any) -> int:
        """Have something done in a home; its exit code."""
        assert self.process.stdin
        assert self.process.stdout
        given = {"home": str(home), **vars(registry_in(home)), "lake": lake_in(home).root, **asked}
        print(json.dumps(given), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


@pytest.fixture
def killer() -> Iterator[Killer]:
    made = Killer()
    yield made
    made.process.communicate(timeout=60)


def registry_in(home: Path) -> Registry:
    return Registry.below(home / "data")


def lake_in(home: Path) -> Lake:
    return Lake(str(home / "data" / "lake"))


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_killed_between_log_and_alias_whatever_starts_next_puts_it_right(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, killer: Killer
) -> None:
    registry = registry_in(tmp_path)
    register(registry)
    book = book_of(con, lake_in(tmp_path), registry, "killed")
    chance, behind = random.Random(SEED), Counter[str]()
    for number in range(KILLS):
        deadly = ("champion", "", "previous" if number > 2 else "champion", "")[number % 4]
        version, start = number % 2 + 1, STARTS[number % len(STARTS)]
        after = chance.uniform(0, LATEST)
        killed = killer.ask(tmp_path, model="killed", version=version, deadly=deadly, after=after)
        log, left = book.log(), registry.aliases_by_model()["killed"]
        assert (killed, len(log.moves), log.champion) == (-signal.SIGKILL, number + 1, version)
        behind[start] += left.get("champion") != version
        assert killer.ask(tmp_path, start=start, model="killed") == 0, start
        now = registry.aliases_by_model()["killed"]
        assert now == {"champion": version} | ({"previous": log.previous} if log.previous else {}), start
    print(f"of {KILLS} kills {behind.total()} left the alias behind: {dict(behind)}")
    assert min(behind[start] for start in STARTS) > KILLS // 10


@pytest.mark.proof
@pytest.mark.timeout(3000)
def test_killed_from_candidate_to_champion_nothing_is_apart_after_the_next_start(
    con: duckdb.DuckDBPyConnection,
    finished_home: Path,
    tmp_path: Path,
    killer: Killer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(tmp_path / "landing"))
    model = Project(USE_CASES / "mini" / "defs").models["churn"]
    ready = tmp_path / "ready"
    for table in KEPT:
        copytree(finished_home / "data" / "lake" / table, ready / "data" / "lake" / table)
    registry_in(ready).prepare()

    def home(name: object) -> Path:
        return copytree(ready, tmp_path / str(name))

    def chain(at: Path, after: float | None) -> int:
        return killer.ask(at, cutoff=str(CUTOFF), training=str(at / "training"), after=after)

    seconds = []
    for name in ("first", "second"):
        started = time.monotonic()
        assert chain(whole := home(name), None) == 0
        seconds.append(time.monotonic() - started)
        assert found_apart(con, model, whole) == "champion"
    chance, reached = random.Random(SEED), Counter[str]()
    for number in range(CHAINS):
        at, start = home(number), STARTS[number % 2]
        killed = chain(at, chance.uniform(0, seconds[-1]))
        assert killed in (0, -signal.SIGKILL)
        assert killer.ask(at, start=start, model="churn") == 0
        reached[found_apart(con, model, at)] += 1
        if number % 6 == 0:
            assert chain(at, None) == 0, "it goes on"
            assert found_apart(con, model, at) == "champion"
        rmtree(at)
    print(f"of {CHAINS} kills within {seconds[-1]:.1f} s, on record afterwards: {dict(reached)}")


def found_apart(con: duckdb.DuckDBPyConnection, model: DeclaredModel, home: Path) -> str:
    """What is on record, the last first; fails where that lacks what it stands on."""
    lake, registry = lake_in(home), registry_in(home)
    tables, log = model.tables(lake), read_log(con, model.tables(lake).promotions, model.name)
    registered = {version.number: version for version in registry.versions(model.name)}
    named = {name: number for name, number in registry.aliases(model.name).items() if name != "previous"}

    def of(table: Table) -> set[int]:
        found = table.read(con).filter("model_version IS NOT NULL") if table.exists else None
        return (
            {number for (number,) in found.select("model_version").distinct().fetchall()} if found else set()
        )

    trained, decided = of(tables.candidate), of(tables.decisions)
    for number in trained:
        assert number in registered
        assert profiles_of(con, tables, number)
        registry.load(registered[number])
    assert decided <= of(tables.evaluation) & of(tables.references) & of(tables.slices)
    assert decided <= set(registered)
    for move in log.moves:
        assert move.evidence, (
            "a decision record, as it was then: its cutoff may have been trained again since"
        )
        leant_on = tables.decisions.read(con, version=move.evidence["decisions"])
        assert (move.to_version,) in leant_on.select("model_version").fetchall()
    assert named == ({"champion": log.champion} if log.champion else {})
    assert trouble(registry, log) is None
    steps = (
        ("champion", log.champion),
        ("decision", decided),
        ("candidate", trained),
        ("version", registered),
    )
    return next((step for step, there in steps if there), "nothing")


def register(registry: Registry) -> None:
    registry.prepare()
    client = registry.client()
    client.create_registered_model("killed")
    for number in (1, 2):
        client.create_model_version(
            "killed", f"{registry.artifact_root}/none", tags={"cutoff": str(week(number))}
        )
