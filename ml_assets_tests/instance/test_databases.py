"""Databases of Dagster and MLflow: whole at once for whoever comes first, and mended where an attempt was cut off."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from shutil import copyfile

import dagster as dg
import pytest
from mlflow.store.db.utils import _get_latest_schema_revision

from ml_assets.instance.databases import DAGSTERS, MADE, is_half_made, is_marked, make_dagsters
from ml_assets.instance.home import CHECKOUT
from ml_assets.registry.mlflow_registry import Registry

FIRST = """
import sys
from pathlib import Path
from ml_assets.instance.databases import make_dagsters
import dagster as dg
from ml_assets.registry.mlflow_registry import Registry
import mlflow
input()
make_dagsters(Path(sys.argv[1]))
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    instance.get_runs(), instance.all_instigator_state()
Registry.below(Path(sys.argv[1])).prepare()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    copyfile(CHECKOUT / "dagster.yaml", tmp_path / "dagster.yaml")
    return tmp_path


def run(database: Path, *statements: str) -> list[tuple[object, ...]]:
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(database)) as opened:
        found = [opened.execute(statement).fetchall() for statement in statements]
        opened.commit()
    return found[-1]


def works(home: Path) -> None:
    """Dagster opens what is there and stores a run; each database has one revision."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_run(dg.DagsterRun("job"))
        instance.event_log_storage.get_latest_asset_check_execution_by_key([])
        instance.all_instigator_state()
    for name in DAGSTERS:
        assert run(home / name, "SELECT count(*) FROM alembic_version") == [(1,)]


@pytest.mark.slow
def test_first_commands_at_once_find_whole_databases(home: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST, str(home)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 3, said
    works(home)
    assert is_marked(home / "mlflow" / "mlflow.db")
    assert not list(home.rglob("making-*"))


@pytest.mark.parametrize(
    "left",
    [
        ("CREATE TABLE {table} (id INTEGER)",),
        ("CREATE TABLE alembic_version (version_num TEXT)", "CREATE TABLE {table} (id INTEGER)"),
        (
            "CREATE TABLE {table} (id INTEGER)",
            "CREATE TABLE alembic_version (version_num TEXT)",
            "INSERT INTO alembic_version VALUES ('16e3115a602a'), ('7e2f3204cf8e')",
        ),
    ],
    ids=["no revision", "none written", "two heads"],
)
def test_what_an_attempt_left_half_made_is_made_anew(home: Path, left: tuple[str, ...]) -> None:
    for name, table in DAGSTERS.items():
        run(home / name, *(statement.format(table=table) for statement in left))
        (home / f"{name}-wal").write_bytes(b"of the attempt")
    (home / "making-killed").mkdir()
    make_dagsters(home)
    works(home)
    assert not list(home.glob("making-*"))


def test_what_has_rows_or_is_whole_stays(home: Path) -> None:
    works(home)
    before = {name: (home / name).stat().st_ino for name in DAGSTERS}
    make_dagsters(home)
    assert {name: (home / name).stat().st_ino for name in DAGSTERS} == before
    assert run(home / "history/runs.db", "SELECT count(*) FROM runs") == [(1,)]
    run(home / "history/runs.db", "INSERT INTO alembic_version VALUES ('another')")
    assert not is_half_made(home / "history/runs.db", "runs"), "a person has to look at it"
    (home / MADE).unlink()
    make_dagsters(home)
    assert (home / "history/runs.db").stat().st_ino == before["history/runs.db"]


@pytest.mark.parametrize(
    "left",
    [
        (),
        ("CREATE TABLE experiments (id INTEGER)",),
        (
            "CREATE TABLE alembic_version (version_num TEXT)",
            "INSERT INTO alembic_version VALUES ('451aebb31d03')",
            "CREATE TABLE runs (run_uuid TEXT)",
            "CREATE TABLE registered_models (name TEXT)",
        ),
    ],
    ids=["nothing", "first table", "some migrations"],
)
def test_mlflows_half_made_database_is_made_anew(tmp_path: Path, left: tuple[str, ...]) -> None:
    registry, database = Registry.below(tmp_path), tmp_path / "mlflow" / "mlflow.db"
    run(database, "SELECT 1", *left)
    registry.prepare()
    assert run(database, "SELECT version_num FROM alembic_version") == [(_get_latest_schema_revision(),)]
    assert registry.experiment("churn") == registry.experiment("churn")
    before = database.stat().st_ino
    registry.prepare()
    assert database.stat().st_ino == before


def test_mlflows_database_with_a_model_stays_what_it_is(tmp_path: Path) -> None:
    registry, database = Registry.below(tmp_path), tmp_path / "mlflow" / "mlflow.db"
    database.parent.mkdir()
    registry.client().create_registered_model("churn")
    before = database.stat().st_ino
    registry.prepare()
    assert is_marked(database)
    assert (database.stat().st_ino, registry.aliases_by_model()) == (before, {"churn": {}})
