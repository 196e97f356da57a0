"""A project that was copied or moved loads its own models."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ml_assets.instance.refusal import Refusal
from ml_assets.lake import Lake
from ml_assets.registry.aliases import repair
from ml_assets.registry.mlflow_registry import Registry, RegistryError, Version
from ml_assets.registry.moved import LOCATIONS, TAG
from ml_assets.registry.trial import DATA
from ml_assets.training.fit import fit
from ml_assets_tests.registry.test_in_use import NothingImported
from ml_assets_tests.training.estimators.examples import SCHEMA, TARGETS, make_frame, quick


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Version]:
    """A data folder with a version of `lapse`, and the version."""
    data = tmp_path_factory.mktemp("made") / "data"
    registry = Registry.below(data)
    registry.prepare()
    frame = make_frame("binary")
    predictor = fit(frame, SCHEMA, quick("logistic_regression"), TARGETS["binary"]).predictor
    with registry.run("lapse", "a", {}) as run:
        version = registry.log_model(
            "lapse", predictor, frame[list(SCHEMA)].head(2), {"cutoff": "2024-03-04"}, NothingImported()
        )
        registry.log_files(run, {"card.md": "a card"})
    return data, version


@pytest.fixture
def original(made: tuple[Path, Version], tmp_path: Path) -> Path:
    """A project's data folder of this test's own."""
    shutil.copytree(made[0], tmp_path / "original" / "data")
    Registry.below(tmp_path / "original" / "data").come_home()
    return tmp_path / "original" / "data"


def _locations(data: Path) -> set[str]:
    with closing(sqlite3.connect(data / "mlflow" / "mlflow.db")) as opened:
        return {
            location
            for table, column in LOCATIONS.items()
            for (location,) in opened.execute(f"SELECT {column} FROM {table}")
        } - {_default(opened)}


def _default(opened: sqlite3.Connection) -> str:
    [(location,)] = opened.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 0")
    return str(location)


def _changed(data: Path) -> None:
    for path in (data / "mlflow" / "artifacts").rglob(f"{DATA}/*"):
        path.write_bytes(b"{}")


@pytest.mark.slow
def test_a_copy_loads_its_own_model_whatever_becomes_of_the_original(
    made: tuple[Path, Version], original: Path, tmp_path: Path
) -> None:
    shutil.copytree(original, tmp_path / "copy" / "data")
    database, before = (original / "mlflow" / "mlflow.db").read_bytes(), _locations(original)
    _changed(original)
    copy, version = Registry.below(tmp_path / "copy" / "data"), made[1]
    assert copy.artifact(version).is_relative_to(tmp_path / "copy")
    assert copy.load(version).task.columns == SCHEMA
    with pytest.raises(RegistryError, match="are not those that were registered"):
        Registry.below(original).load(version)
    assert (original / "mlflow" / "mlflow.db").read_bytes() == database
    assert _locations(original) == before
    shutil.rmtree(original.parent)
    assert copy.load(version).task.columns == SCHEMA
    assert all(
        Path(place).is_relative_to(tmp_path / "copy") for place in _locations(tmp_path / "copy" / "data")
    )
    assert copy.come_home() == []


@pytest.mark.slow
def test_what_was_changed_is_told_and_on_record(original: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved" / "data"
    shutil.move(original.parent, moved.parent)
    registry = Registry.below(moved)
    before, after = original / "mlflow" / "artifacts", moved / "mlflow" / "artifacts"
    assert repair(Lake(str(moved / "lake")), registry) == (
        f"MLflow's database came with files of {before}: it names those of this project from now on, in {after}",
    )
    assert repair(Lake(str(moved / "lake")), registry) == ()
    found = registry.client().get_experiment(registry.experiment("lapse"))
    said = json.loads(found.tags[TAG])
    assert (said["from"], said["to"]) == (str(before), str(after))


@pytest.mark.slow
def test_files_left_behind_are_asked_for(original: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "data"
    (copy / "mlflow").mkdir(parents=True)
    shutil.copy(original / "mlflow" / "mlflow.db", copy / "mlflow")
    before = _locations(copy)
    with pytest.raises(Refusal, match="the files of version 1 of lapse are in another project"):
        Registry.below(copy).versions()
    assert _locations(copy) == before


@pytest.mark.slow
def test_the_same_folder_by_another_name_and_an_experiment_elsewhere_are_left_alone(
    original: Path, tmp_path: Path
) -> None:
    elsewhere = str(tmp_path / "team" / "tries")
    Registry.below(original).client().create_experiment("tries", artifact_location=elsewhere)
    (tmp_path / "link").symlink_to(original)
    before = _locations(original)
    assert elsewhere in before
    assert Registry.below(tmp_path / "link").come_home() == []
    assert _locations(original) == before
