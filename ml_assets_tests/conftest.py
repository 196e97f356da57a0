from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ml_assets import REVIEWED_WARNINGS
from ml_assets_tests import profiles
from ml_assets_tests.kinds import kind_of
from ml_assets_tests.once import Once

if TYPE_CHECKING:
    from ml_assets_tests.house import House

LANDED = 70
"""The number of the last day that has landed in the finished project: 2024-03-11."""

profiles.register()


def pytest_configure(config: pytest.Config) -> None:
    """What the command line doesn't print fails no test either."""
    for message in REVIEWED_WARNINGS:
        config.addinivalue_line("filterwarnings", f"ignore:{message}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the report of a run say of which kind each test is."""
    for item in items:
        item.user_properties.append(("kind", kind_of(item)))


@contextmanager
def opened(home: Path, template: Path | None = None) -> Iterator["House"]:
    """A house; what has no need of one doesn't pay for Dagster."""
    from ml_assets_tests import house

    with house.opened(home, template=template) as made:
        yield made


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Once:
    """What all test processes of this session share."""
    own = tmp_path_factory.getbasetemp()
    return Once(own if worker_id == "master" else own.parent)


@pytest.fixture(scope="session")
def empty_home(once: Once) -> Path:
    """A home with nothing but a prepared Dagster instance."""
    return once("empty", by(lambda house: None))


@pytest.fixture(scope="session")
def landed_home(once: Once) -> Path:
    """The home of a project with the days 0 to 29 from landing to snapshot."""

    def make(house: "House") -> None:
        house.land(0, 29)
        assert house.run(["visits/raw", "visits/events", "visits/quarantine"], 0, 29).success
        assert house.run(["visitor_features/tiles"], 0, 29).success
        assert house.run(["visitor_features/snapshot"], 1, 30).success

    return once("landed", by(make))


@pytest.fixture(scope="session")
def finished_home(once: Once) -> Path:
    """The home of a project with everything materialized: a champion of 2024-03-04."""

    def make(house: "House") -> None:
        house.land(0, LANDED)
        done = house.materialize(cutoffs=1)
        assert all(phase.success for phase in done), [p.messages for p in done]

    return once("finished", by(make))


def by(make: Callable[["House"], None]) -> Callable[[Path], None]:
    """The same, of a folder in which a house is opened."""

    def fill(home: Path) -> None:
        with opened(home) as house:
            make(house)

    return fill


@pytest.fixture
def house(empty_home: Path, tmp_path: Path) -> Iterator["House"]:
    """A project where nothing has landed yet."""
    with opened(tmp_path / "home", empty_home) as made:
        yield made


@pytest.fixture
def landed(landed_home: Path, tmp_path: Path) -> Iterator["House"]:
    """A copy of the landed home, runs and all."""
    with opened(tmp_path / "home", landed_home) as made:
        yield made


@pytest.fixture
def finished(finished_home: Path, tmp_path: Path) -> Iterator["House"]:
    """A copy of the finished home, runs and all."""
    with opened(tmp_path / "home", finished_home) as made:
        yield made
