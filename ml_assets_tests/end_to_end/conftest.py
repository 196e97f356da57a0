"""One finished year for all end-to-end tests, made by the command line as a user would."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ml_assets.lake import Lake, connect
from ml_assets.operations.scratch import Scratch, copy_of
from ml_assets_tests.end_to_end.browser import ARGUMENTS, ROOM_FOR_DETAILS, WAIT_MS, chromium
from ml_assets_tests.once import Once
from ml_assets_tests.tables import table_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

CLI = Path(sys.executable).parent / "ml-assets"


@dataclass(frozen=True)
class Home:
    """A project's root, and the command line on it."""

    root: Path
    environment: Mapping[str, str]

    def run(self, *words: str, timeout: float = 900) -> "subprocess.CompletedProcess[str]":
        """Run an `ml-assets` command and return what it printed, whatever its exit code."""
        return subprocess.run(
            [str(CLI), *words],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def make_home(root: Path, **environment: str) -> Home:
    root.mkdir(parents=True, exist_ok=True)
    own = {"ML_ASSETS_HOME": str(root), "DAGSTER_HOME": str(root / ".dagster")}
    return Home(root, own | environment)


def metrics(home: Home, model: str) -> dict[str, list[tuple[float, float]]]:
    """Role -> (AUC, average precision) by cutoff, oldest first."""
    with connect() as con:
        rows = table_of(Lake(str(home.root / "data" / "lake")), f"{model}/evaluation").read(con)
        found = rows.order("cutoff").to_arrow_table().to_pylist()
    return {
        role: [(r["auc"], r["average_precision"]) for r in found if r["role"] == role]
        for role in ("candidate", "champion", "baseline")
    }


@pytest.fixture(scope="session")
def year(once: Once) -> Path:
    """The root of the default project on its year of real transactions, with its three newest cutoffs trained."""

    def make(root: Path) -> None:
        home = make_home(root)
        for command in (("data", "land"), ("materialize", "--cutoffs", "3")):
            done = home.run(*command)
            assert done.returncode == 0, done.stdout + done.stderr

    return once("year", make)


@pytest.fixture(scope="module")
def shop(year: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A copy of the finished year."""
    copied = copy_of(Scratch(year, "ml_assets.defs"), tmp_path_factory.mktemp("shop") / "home")
    return make_home(copied.root)


@contextmanager
def serving(home: Home) -> Iterator[str]:
    """Dagster and MLflow over a project, on ports of their own, in the background: Dagster's URL."""
    dagster, mlflow = (str(port) for port in _free_ports(2))
    served = Home(home.root, {**home.environment, "ML_ASSETS_PORT": dagster, "ML_ASSETS_MLFLOW_PORT": mlflow})
    started = served.run("serve", "--background")
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield f"http://127.0.0.1:{dagster}"
    finally:
        served.run("down")


@pytest.fixture(scope="module")
def served(shop: Home) -> Iterator[str]:
    """The base URL of Dagster's web server over that project."""
    with serving(shop) as url:
        yield url


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture
def page() -> "Iterator[Page]":
    executable = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            shown = browser.new_page(viewport=ROOM_FOR_DETAILS)
            shown.set_default_timeout(WAIT_MS)
            yield shown
        finally:
            browser.close()
