"""A scratch project: whose files, whose environment, and what a base follows from."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from ml_assets.instance.refusal import Refusal
from ml_assets.landing import LandingFolder, by_day
from ml_assets.operations.scratch import WHOLE, Scratch, base_of, copy_of, fetch_into
from ml_assets.project.project import Project
from ml_assets_tests import visits
from ml_assets_tests.house import MINI


@pytest.fixture
def producer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the producer of the mini use case leaves its files; five have landed."""
    folder = tmp_path / "producer"
    visits.land(folder, visits.day(0), visits.day(4))
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(folder))
    return folder


def made(root: Path) -> Scratch:
    (root / "data" / "lake" / "t").mkdir(parents=True)
    (root / "data" / "mlflow").mkdir()
    (root / "data" / "lake" / "t" / "rows.parquet").write_bytes(b"rows")
    (root / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (root / WHOLE).write_text("{}")
    with closing(sqlite3.connect(root / "data" / "mlflow" / "mlflow.db")) as con, con:
        con.execute("CREATE TABLE experiments (experiment_id INTEGER, name TEXT, artifact_location TEXT)")
        con.execute("CREATE TABLE experiment_tags (key TEXT, value TEXT, experiment_id INTEGER)")
        con.execute("CREATE TABLE model_versions (name TEXT, version INTEGER, storage_location TEXT)")
        con.execute("CREATE TABLE logged_models (artifact_location TEXT)")
        con.execute("CREATE TABLE runs (id INTEGER, artifact_uri TEXT)")
        con.execute("INSERT INTO experiments VALUES (1, 'm', ?)", (f"{root}/data/mlflow/artifacts/m",))
        con.execute("INSERT INTO runs VALUES (1, ?)", (f"{root}/data/mlflow/artifacts/m/1",))
    return Scratch(root, MINI)


def test_a_copy_has_rows_paths_and_nothing_of_an_older_copy(tmp_path: Path) -> None:
    base = made(tmp_path / "base")
    copy = copy_of(base, tmp_path / "copy")
    (copy.root / "data" / "left over").write_text("by a drill")
    copy = copy_of(base, tmp_path / "copy")
    assert not (copy.root / "data" / "left over").exists()
    with closing(sqlite3.connect(copy.root / "data" / "mlflow" / "mlflow.db")) as con:
        rows = con.execute("SELECT * FROM runs").fetchall()
    assert rows == [(1, f"{copy.root}/data/mlflow/artifacts/m/1")]
    (copy.root / "data" / "lake" / "t" / "rows.parquet").unlink()
    assert (base.root / "data" / "lake" / "t" / "rows.parquet").read_bytes() == b"rows"


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(Refusal, match="is no scratch project and not empty; name another folder"):
        copy_of(made(tmp_path / "base"), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_the_producers_file_stays_as_it_is(producer: Path, tmp_path: Path) -> None:
    landing = LandingFolder(producer)
    item = by_day(landing.listed())[visits.day(2)]
    before = (producer / item.name).read_bytes()
    path = fetch_into(landing, item, tmp_path / "staged")
    assert path == tmp_path / "staged" / item.name
    path.write_bytes(b"an incident")
    assert (producer / item.name).read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [item.name]


def test_inside_nothing_real_is_within_reach(
    producer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_LAKE", "s3://the/real/lake")
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", "https://pager.invalid")
    monkeypatch.setenv("ML_ASSETS_ALERTS", "json://pager.invalid")
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path / "real"))
    before = dict(os.environ)
    scratch = made(tmp_path / "base")
    visits.land(scratch.staged("visits"), visits.day(0), visits.day(1))
    with scratch.opened() as (defs, instance):
        assert Path(instance.root_directory) == scratch.root / ".dagster"
        assert not {"ML_ASSETS_LAKE", "ML_ASSETS_WEBHOOK", "ML_ASSETS_ALERTS"} & os.environ.keys()
        (source,) = Project.of(MINI).sources.values()
        assert sorted(by_day(source.landing.listed())) == [visits.day(0), visits.day(1)]
        assert source.landing.place == str(scratch.staged("visits"))
        lake = defs.get_repository_def().get_top_level_resources()["lake"]
        assert lake is not None
    assert dict(os.environ) == before
    (source,) = Project.of(MINI).sources.values()
    assert source.landing.place == str(producer)


def test_a_base_is_made_once_and_again_when_a_file_changes(
    producer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[list[str]] = []

    def build(scratch: Scratch) -> None:
        built.append(sorted(path.name for path in scratch.staged("visits").iterdir()))

    monkeypatch.setattr("ml_assets.operations.scratch._materialize", build)

    def made_again(until: date) -> Path:
        return base_of(Project.of(MINI), until, tmp_path / "drills").root

    first = made_again(visits.day(3))
    assert made_again(visits.day(3)) == first
    assert built == [[f"{visits.day(n)}.parquet" for n in range(3)]]
    visits.land(producer, visits.day(3), visits.day(4), salt="later days don't count")
    assert made_again(visits.day(3)) == first
    visits.land(producer, visits.day(1), visits.day(1), salt="corrected")
    second = made_again(visits.day(3))
    assert second != first
    assert not first.exists(), "what nobody can use any more goes"
    assert made_again(visits.day(4)) not in (first, second)
    assert second.exists()
