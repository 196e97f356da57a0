"""Whether the champion can be used, and what to do if it can't."""

import json
from pathlib import Path

import pytest

from ml_assets.registry.book import Book
from ml_assets.registry.in_use import trouble
from ml_assets.registry.mlflow_registry import Registry, RegistryError
from ml_assets.registry.promotion import override
from ml_assets.registry.trial import DATA, TrialProcess
from ml_assets.training.fit import fit
from ml_assets_tests.registry.shelf import Shelf
from ml_assets_tests.training.estimators.examples import SCHEMA, TARGETS, make_frame, quick


class NothingImported(TrialProcess):
    """A trial process that isn't asked."""

    def __init__(self) -> None: ...

    def imports(self, *_: object) -> tuple[str, ...]:
        return ()


@pytest.fixture
def three(book: Book) -> Book:
    """A model with the champions 1, 2 and 3."""
    for version in (1, 2, 3):
        override(book, who="ada", reason="a drill", version=version)
    return book


def test_a_champion_as_it_was_registered_is_no_trouble(book: Book, three: Book, shelf: Shelf) -> None:
    assert trouble(shelf, three.log()) is None


def test_without_a_champion_there_is_no_trouble(book: Book, shelf: Shelf) -> None:
    shelf.gone.update(range(10))
    assert trouble(shelf, book.log()) is None


@pytest.mark.parametrize("lost", [True, False])
def test_the_ways_out_name_the_newest_champion_that_can_be_used(
    three: Book, shelf: Shelf, lost: bool
) -> None:
    (shelf.gone if lost else shelf.spoilt).add(3)
    shelf.spoilt.add(2)
    said = trouble(shelf, three.log()) or ""
    why = (
        "Model lapse has no version 3."
        if lost
        else "The files of version 3 are not those that were registered."
    )
    assert said.startswith(
        f"The champion of lapse, version 3, can't be used. {why} Restore MLflow's database"
    )
    assert "; or go back: ml-assets models rollback lapse --to 1 --why TEXT; or train again: " in said


def test_without_any_other_there_is_no_going_back(three: Book, shelf: Shelf) -> None:
    shelf.gone.update((1, 2, 3))
    said = trouble(shelf, three.log()) or ""
    assert "from a backup; or train again: materialize lapse/candidate" in said


@pytest.mark.slow
def test_a_model_whose_files_have_changed_is_not_loaded(prepared: Registry) -> None:
    import mlflow.pyfunc

    predictor = fit(make_frame("binary"), SCHEMA, quick("logistic_regression"), TARGETS["binary"]).predictor
    rows = make_frame("binary")[list(SCHEMA)].head(5)
    with prepared.run("spoilt", "a", {}):
        version = prepared.log_model(
            "spoilt", predictor, rows, {"cutoff": "2024-03-04"}, NothingImported(), after=3
        )
    assert version.number == 4, "after the numbers on record"
    folder = prepared.artifact(version)
    assert list(prepared.load(version).score(rows).expected) == list(predictor.score(rows).expected)
    assert mlflow.pyfunc.load_model(str(folder)).predict(rows).shape == (5, 1)
    changed = folder / DATA / "estimator.json"
    changed.write_text(json.dumps(json.loads(changed.read_text()) | {"class_weights": [1.0, 9.0]}))
    with pytest.raises(
        RegistryError, match=r"The files of version 4 of spoilt in .* are not those that were registered"
    ):
        prepared.load(version)
    with pytest.raises(RegistryError, match="are not those that were registered"):
        mlflow.pyfunc.load_model(str(folder))
    gone: list[Path] = [path for path in folder.rglob("*") if path.is_file()]
    for path in gone:
        path.unlink()
    with pytest.raises(RegistryError, match="version 4 of spoilt"):
        prepared.load(version)
