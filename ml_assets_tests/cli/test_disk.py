"""A home on a disk that is full or can't be written, a real one where disks may be mounted: as root."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ml_assets.cli import show
from ml_assets.cli.app import main
from ml_assets_tests.house import MINI

pytestmark = pytest.mark.slow
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Mount the home's disk with options, or change those it has; gives the home."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(show, "PATIENCE", 600)
    monkeypatch.setenv("ML_ASSETS_HOME", str(home))
    monkeypatch.setenv("ML_ASSETS_DEFS", MINI)
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(tmp_path / "landing"))

    def mount(options: str) -> Path:
        again = ["-o", f"remount,{options}"] if os.path.ismount(home) else ["-t", "tmpfs", "-o", options]
        done = subprocess.run(["mount", *again, "tmpfs", str(home)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("no disk can be mounted here")
        return home

    yield mount
    if os.path.ismount(home):
        subprocess.run(["umount", "-l", str(home)], check=True)


def test_init_on_a_full_disk_makes_nothing_by_halves_and_works_once_there_is_room(
    disk: Callable[[str], Path], capsys: Capture
) -> None:
    home = disk("size=200k")
    assert main(["init"]) == 1
    said = capsys.readouterr().err
    assert "disk is full" in said
    assert "Traceback" not in said
    assert list(home.rglob("*.db")) == []
    assert list(home.rglob("making-*")) == []
    disk("size=20m")
    assert main(["init"]) == 0
    assert (home / "data" / "mlflow" / "mlflow.db").exists()


def test_a_disk_that_cannot_be_written_is_told_with_the_folder(
    disk: Callable[[str], Path], capsys: Capture
) -> None:
    home = disk("size=1m,ro")
    assert main(["init"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"ml-assets: {home}/.dagster can't be written: Read-only file system. Mount its disk writable, or name another "
        "folder in ML_ASSETS_HOME, then run it again"
    )
    assert main(["models", "list"]) == 1
    assert "no model has been trained" in capsys.readouterr().err
