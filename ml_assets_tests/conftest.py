import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from ml_assets_tests.house import SOURCE, House, opened

LANDED = 70
"""The number of the last day that has landed in the finished project: 2024-03-11."""


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with nothing but a prepared Dagster instance."""
    home = tmp_path_factory.mktemp("empty") / "home"
    with opened(home):
        pass
    return home


@pytest.fixture
def house(empty_home: Path, tmp_path: Path) -> Iterator[House]:
    """A project where nothing has landed yet."""
    with opened(tmp_path / "home", template=empty_home) as made:
        yield made


def made_once(factory: pytest.TempPathFactory, worker: str, name: str, make: Callable[[House], None]) -> Path:
    """A home that the first of the test processes makes, while the others wait for it."""
    shared = factory.getbasetemp() if worker == "master" else factory.getbasetemp().parent
    home, done = shared / name / "home", shared / name / "done"
    home.parent.mkdir(exist_ok=True)
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            rmtree(home, ignore_errors=True)
            with opened(home) as house:
                make(house)
            done.touch()
    return home


@pytest.fixture(scope="session")
def landed_home(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The home of a project with the days 0 to 29 from landing to snapshot."""

    def make(house: House) -> None:
        house.land(0, 29)
        assert house.run(SOURCE, 0, 29).success
        assert house.run(["visitor_features/tiles"], 0, 29).success
        assert house.run(["visitor_features/snapshot"], 1, 30).success

    return made_once(tmp_path_factory, worker_id, "landed", make)


@pytest.fixture(scope="session")
def finished_home(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The home of a project with everything materialized: a champion of 2024-03-04."""

    def make(house: House) -> None:
        house.land(0, LANDED)
        done = house.materialize(cutoffs=1)
        assert all(phase.success for phase in done), [p.messages for p in done]

    return made_once(tmp_path_factory, worker_id, "finished", make)


@pytest.fixture
def landed(landed_home: Path, tmp_path: Path) -> Iterator[House]:
    """A copy of the landed home, runs and all."""
    with opened(tmp_path / "home", template=landed_home) as made:
        yield made


@pytest.fixture
def finished(finished_home: Path, tmp_path: Path) -> Iterator[House]:
    """A copy of the finished home, runs and all."""
    with opened(tmp_path / "home", template=finished_home) as made:
        yield made
