"""What running the tests rests on: nothing loaded in vain, things made once, examples drawn by profile."""

import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ml_assets.instance.home import CHECKOUT
from ml_assets_tests.once import Once

ASK = """
import sys
import warnings
import pytest
assert pytest.main(["--collect-only", "-qq", "ml_assets_tests/lake/test_days.py", *sys.argv[1:]]) == 0
from hypothesis import settings
print(sorted({"dagster", "faker", "anyio.pytest_plugin", "typeguard", "mlflow"} & sys.modules.keys()))
print(settings().max_examples)
"""


def asked(*options: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", ASK, *options], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-2:]


def test_a_test_of_a_room_loads_neither_dagster_nor_plugins_that_nobody_uses() -> None:
    assert asked() == ["[]", "20"]


def test_all_examples_are_drawn_in_full_and_a_fifth_in_quick() -> None:
    assert asked("--hypothesis-profile=full") == ["[]", "100"]


def test_what_many_need_is_made_by_the_first_while_the_others_wait(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / "part").touch()
        made.append(folder)

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: Once(tmp_path)("thing", make), range(4)))
    assert found == {made[0]}
    assert len(made) == 1
    assert (made[0] / "part").exists()


def test_what_was_made_in_part_is_made_again(tmp_path: Path) -> None:
    def breaks(folder: Path) -> None:
        folder.mkdir()
        (folder / "part").touch()
        raise InterruptedError

    once = Once(tmp_path)
    with pytest.raises(InterruptedError):
        once("thing", breaks)
    whole = once("thing", lambda folder: folder.mkdir())
    assert list(whole.iterdir()) == []


def test_a_warning_fails_a_test_until_it_has_been_looked_at() -> None:
    warnings.warn(
        "Parameter `owners` of initializer `SensorDefinition.__init__` is currently in beta", stacklevel=1
    )
    with pytest.raises(FutureWarning, match="of another kind"):
        warnings.warn("of another kind", FutureWarning, stacklevel=1)
