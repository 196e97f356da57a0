"""The commands of every day: in which order `up` does things, and whose Dagster instance is used."""

import json
import socket
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy.exc

from ml_assets.cli import daily, show
from ml_assets.cli.app import main
from ml_assets.instance import servers
from ml_assets.operations import opened
from ml_assets.operations.materialize import Done, Phase
from ml_assets.pipeline.due import plan as due
from ml_assets.pipeline.due.cost import Cost
from ml_assets.pipeline.due.plan import Planned, Redefinition
from ml_assets_tests import visits
from ml_assets_tests.house import MINI
from ml_assets_tests.instance.test_servers import free_port

Capture = pytest.CaptureFixture[str]
FAILED = Done(Phase("churn: labels", (), None), False, 1.0, ("churn__labels: no such column",))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with landing files, of the mini project; nobody listens on its ports."""
    monkeypatch.setattr(show, "PATIENCE", 600)
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("ML_ASSETS_DEFS", MINI)
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(tmp_path / "landing"))
    for variable in ("ML_ASSETS_PORT", "ML_ASSETS_MLFLOW_PORT"):
        monkeypatch.setenv(variable, str(free_port()))
    (tmp_path / "data" / "landing" / "transactions").mkdir(parents=True)
    (tmp_path / "data" / "landing" / "transactions" / "2017-01-01.parquet").touch()
    return tmp_path


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The homes that servers were started for; none is."""
    homes: list[Path] = []
    monkeypatch.setattr(servers, "serve", lambda home, background: homes.append(home) or 0)
    monkeypatch.setattr(servers, "url", lambda home: "http://127.0.0.1:1234")
    monkeypatch.setattr(daily, "_loaded", lambda: None)
    return homes


def test_up_looks_at_the_ports_before_it_does_anything(
    monkeypatch: pytest.MonkeyPatch, served: list[Path], capsys: Capture
) -> None:
    monkeypatch.setattr(daily, "_loaded", lambda: pytest.fail("trained before it looked"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("ML_ASSETS_MLFLOW_PORT", str(taken.getsockname()[1]))
        assert main(["up"]) == 1
    assert "for MLflow is taken by process" in capsys.readouterr().err
    assert served == []


def test_up_serves_also_where_a_phase_fails_and_tells_that_in_the_end(
    monkeypatch: pytest.MonkeyPatch, served: list[Path], capsys: Capture, home: Path
) -> None:
    monkeypatch.setattr(daily, "_materialized", lambda defs, cutoffs: [FAILED])
    assert main(["up"]) == 1
    assert served == [home]
    last = capsys.readouterr().err.splitlines()[-3:]
    assert last == [
        "ml-assets: failed: churn: labels",
        "  churn__labels: no such column",
        "  its run: http://127.0.0.1:1234/runs; mended, `make up` goes on",
    ]


def test_up_serves_also_where_materializing_is_refused(
    monkeypatch: pytest.MonkeyPatch, served: list[Path], capsys: Capture, home: Path
) -> None:
    def refuses(defs: object, cutoffs: int) -> list[Done]:
        raise FileNotFoundError(f"the landing folder {home / 'landing'} does not exist")

    monkeypatch.setattr(daily, "_materialized", refuses)
    assert main(["up"]) == 1
    assert served == [home]
    assert capsys.readouterr().err.splitlines()[-1].startswith("ml-assets: the landing folder ")


def test_the_shells_dagster_home_is_another_projects_and_stays_empty(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, home: Path
) -> None:
    other = home / "another project"
    other.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(other))
    assert main(["init"]) == 0
    assert list(other.iterdir()) == []
    assert (home / ".dagster" / "history" / "runs.db").exists()
    said = f"note: DAGSTER_HOME={other} is not used, but the project's own: {home / '.dagster'}"
    assert capsys.readouterr().err.count(said) == 1
    monkeypatch.setenv("DAGSTER_HOME", str(home / ".dagster"))
    assert main(["init"]) == 0
    assert "note" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a[v2]", "a#b", "a?b", "a%41b", "a\\b"])
def test_a_home_that_some_would_take_for_a_pattern_or_a_url_is_refused_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "homes"
    (folder / name).mkdir(parents=True)
    for variable in ("ML_ASSETS_HOME", "ML_ASSETS_LAKE"):
        monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
        monkeypatch.setenv(variable, str(folder / name))
        assert main(["materialize"]) == 1
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith(f"ml-assets: {variable} is {str(folder / name)!r}: a folder with ")
        assert said.endswith("rename it, or name another folder in ML_ASSETS_HOME")
        monkeypatch.delenv(variable)
    assert [path.name for path in folder.iterdir()] == [name]
    assert list((folder / name).iterdir()) == []


@pytest.mark.parametrize(
    "said", ["database is locked", "attempt to write a readonly database", "disk is full"]
)
def test_a_database_that_cant_be_used_is_no_fault_of_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, home: Path, said: str
) -> None:
    def refused() -> tuple[str, ...]:
        try:
            raise sqlite3.OperationalError(said)
        except sqlite3.OperationalError as error:
            raise sqlalchemy.exc.OperationalError("SELECT 1", {}, error) from error

    monkeypatch.setattr(opened, "prepare", refused)
    assert main(["init"]) == 1
    words = capsys.readouterr().err.splitlines()[-1]
    assert words.startswith(
        f"ml-assets: a database of Dagster or MLflow below {home} can't be used: {said}. "
    )


@pytest.mark.parametrize("command", ["materialize", "check", "validate"])
def test_a_module_that_is_missing_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, command: str
) -> None:
    monkeypatch.setenv("ML_ASSETS_DEFS", "no.such.module")
    assert main([command]) == 1
    (said,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("  ")]
    assert said.startswith("ml-assets: no.such.module is no folder of Python modules; name one")


@pytest.mark.parametrize("command", ["init", "validate", "plan", "check", "materialize"])
def test_a_module_without_declarations_is_told_and_nothing_is_made(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, command: str
) -> None:
    (tmp_path / "modules" / "hollow").mkdir(parents=True)
    (tmp_path / "modules" / "hollow" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.setenv("ML_ASSETS_DEFS", "hollow")
    assert main([command]) == 1
    assert "/hollow has a defs.yaml, so there is nothing to build" in capsys.readouterr().err
    assert not (home / ".dagster").exists()
    assert not (home / "data" / "mlflow").exists()


def test_init_looks_at_the_declarations_first(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("ML_ASSETS_DEFS", "no.such.module")
    monkeypatch.setattr(opened, "prepare", lambda: pytest.fail("prepared"))
    assert main(["init"]) == 1
    assert "no.such.module is no folder of Python modules" in capsys.readouterr().err


def test_the_plan_names_what_is_missing_and_says_what_it_does_not_know(home: Path, capsys: Capture) -> None:
    visits.land(home / "landing", visits.day(0), visits.day(1))
    assert main(["plan"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "visits/events: 2 slots, 2024-01-01 to 2024-01-02, with 0 rows now",
        "  2 are missing, or what they are built from has changed",
        "  estimated: seconds not on record, bytes not on record",
    ]
    assert main(["plan", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "table": "visits/events",
            "slots": 2,
            "first": "2024-01-01",
            "last": "2024-01-02",
            "inputs_changed": 2,
            "redefined": [],
            "rows": 0,
            "note": "",
            "cost": {"bytes": None, "seconds": None},
            "is_due": True,
        }
    ]


def test_the_plan_prints_costs_changes_and_history(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    first, last = visits.day(0), visits.day(6)
    change = Redefinition("the label has changed", "aaaaaaaa", "bbbbbbbb", 2)
    found = [
        Planned("churn/labels", 2, first, last, 1, [change], 1200, cost=Cost(20480, 3.14)),
        Planned(
            "churn/predictions", 7, first, last, 0, [change], 70, "predictions are history", is_due=False
        ),
    ]
    monkeypatch.setattr(due, "plan", lambda *_: found)
    assert main(["plan"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "churn/labels: 2 slots, 2024-01-01 to 2024-01-07, with 1,200 rows now",
        "  1 are missing, or what they are built from has changed",
        "  2 by another definition: the label has changed (aaaaaaaa -> bbbbbbbb)",
        "  estimated: 3.1 s as the last run took, 20,480 bytes as the files of now",
        "not due: churn/predictions: 7 slots, 2024-01-01 to 2024-01-07, with 70 rows now",
        "  2 by another definition: the label has changed (aaaaaaaa -> bbbbbbbb)",
        "  predictions are history",
    ]
    found[:] = found[1:]
    assert main(["plan"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing is due"
