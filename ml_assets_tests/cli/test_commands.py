"""What the command line says of itself: help, old spellings, names, completion, its page."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ml_assets.cli import show
from ml_assets.cli.app import main
from ml_assets.cli.docs import page
from ml_assets.cli.exit_codes import EXIT_CODES
from ml_assets.cli.gone import NOW
from ml_assets.cli.shared import known
from ml_assets.instance.home import CHECKOUT
from ml_assets.instance.refusal import Refusal
from ml_assets_tests.house import MINI, scratch_defs

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No word about being at work."""
    monkeypatch.setattr(show, "PATIENCE", 600)


def test_the_page_of_commands_is_current() -> None:
    assert (CHECKOUT / "docs" / "commands.md").read_text() == page(), (
        "python -m ml_assets.cli.docs > docs/commands.md"
    )


def test_help_names_groups_and_exit_codes(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for word in ("materialize", "data", "features", "models", "monitor", "install-completion"):
        assert word in said
    for code, (word, _) in EXIT_CODES.items():
        assert f"{code} {word}" in said


@pytest.mark.parametrize(("old", "new"), NOW.items())
def test_an_old_spelling_answers_with_the_new_one(old: str, new: str, capsys: Capture) -> None:
    assert main([*old.split(), "lapse", "--why", "x"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"ml-assets: `ml-assets {old}` is now `ml-assets {new}`.\n")
    assert main([*new.split(), "--help"]) == 0, "and that one is there"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["features", "lst"],
            "No such command 'lst'. Did you mean 'list'?\nSee `ml-assets features --help`.",
        ),
        (["models", "show", "lapse"], "Missing argument 'VERSION'."),
        (["models", "show", "lapse", "one"], "Invalid value for 'VERSION': "),
        (["models", "list", "--jsn"], "No such option: --jsn"),
        (["data", "waive", "x", "2017-13-01", "--why", "y", "--until", "2018-01-01"], "2017-13-01"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_wrong_usage_is_2_and_names_the_help(words: list[str], said: str, capsys: Capture) -> None:
    assert main(words) == 2
    err = capsys.readouterr().err
    assert said in err, err
    assert "Traceback" not in err


def test_a_name_that_is_nearly_right_is_offered() -> None:
    assert known("model", "lapse", ["lapse", "spend"]) == "lapse"
    with pytest.raises(Refusal, match=r"there is no model laspe; did you mean lapse\?"):
        known("model", "laspe", ["lapse", "spend"])
    with pytest.raises(Refusal, match="there is no model x; there are lapse, spend"):
        known("model", "x", ["lapse", "spend"])


def test_a_fault_says_how_to_see_more_and_no_stack_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from ml_assets.monitoring.rehearse.drills import incidents

    monkeypatch.setattr(incidents, "INCIDENTS", None)
    assert main(["monitor", "drills"]) == 70
    err = capsys.readouterr().err
    assert err.startswith("ml-assets: AttributeError: ")
    assert "ML_ASSETS_TRACEBACK=1" in err
    assert "Traceback" not in err
    monkeypatch.setenv("ML_ASSETS_TRACEBACK", "1")
    with pytest.raises(AttributeError):
        main(["monitor", "drills"])


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("mod", ["models"]), ("models re", ["rebuild", "reproduce"]), ("models show ch", ["churn"])],
)
def test_the_shell_completes_commands_and_names(typed: str, offered: list[str]) -> None:
    words = ["ml-assets", *typed.split()]
    asked = {
        "_ML_ASSETS_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "ML_ASSETS_DEFS": MINI,
        "ML_ASSETS_MINI_LANDING": "nowhere",
    }
    done = subprocess.run(
        [sys.executable, "-m", "ml_assets.cli"],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout.split(), done.stderr) == (offered, "")


def test_importing_the_commands_imports_nothing_that_takes_time() -> None:
    program = "import sys, ml_assets.cli.commands; print(*sorted({n.split('.')[0] for n in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    slow = {"dagster", "duckdb", "deltalake", "mlflow", "numpy", "pandas", "pydantic", "rich", "yaml"}
    assert slow & set(done.stdout.split()) == set()


@pytest.mark.parametrize(
    "words", [["materialize"], ["check"], ["data", "replay", "visits"], ["models", "list"]], ids=" ".join
)
def test_a_mistake_in_a_declaration_is_told_by_every_command(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    module = scratch_defs(
        tmp_path / f"mistaken_{words[-1]}", {"churn/defs.yaml": ("population:", "populaton:")}
    )
    monkeypatch.setenv("ML_ASSETS_DEFS", module)
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(tmp_path / "landing"))
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "churn/defs.yaml:6: populaton: there is no such key; did you mean population?" in said
    assert "fault" not in said


def test_a_module_that_is_not_there(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("ML_ASSETS_DEFS", "nowhere.defs")
    assert main(["features", "list"]) == 1
    assert "nowhere.defs is no folder of Python modules" in capsys.readouterr().err
