from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets_tests.components.house import SOURCE, House, opened

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


@pytest.fixture(scope="session")
def landed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a project with the days 0 to 29 from landing to snapshot."""
    home = tmp_path_factory.mktemp("landed") / "home"
    with opened(home) as made:
        made.land(0, 29)
        assert made.run(SOURCE, 0, 29).success
        assert made.run(["visitor_features/tiles"], 0, 29).success
        assert made.run(["visitor_features/snapshot"], 1, 30).success
    return home


@pytest.fixture(scope="session")
def finished_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a project with everything materialized: a champion of 2024-03-04."""
    home = tmp_path_factory.mktemp("finished") / "home"
    with opened(home) as made:
        made.land(0, LANDED)
        done = made.materialize(cutoffs=1)
        assert all(phase.success for phase in done), [p.messages for p in done]
    return home


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
