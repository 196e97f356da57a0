"""What a model's tables are made by: what is declared now, and whether rows on record were made by that."""

from collections.abc import Iterable

from ml_assets.lake import Marks, Slot, Table
from ml_assets.lake.definition import Definitions, redefined, short
from ml_assets.pipeline.run import CannotRun
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.pins import LABEL, POPULATION, TRAINING


def of_labels(model: DeclaredModel) -> Definitions:
    """The hashes of what labels are made by: the label and the population, each with the columns it names."""
    return {LABEL: model.label_definition, POPULATION: model.population_definition}


def of_features(model: DeclaredModel) -> Definitions:
    """The hashes of the features that the model learns from, by column."""
    return {column: model.group.definitions[column] for column in model.group.features.columns}


def of_training(model: DeclaredModel) -> Definitions:
    """The hashes of all that a training set, and a version trained on it, are made by."""
    return {**of_features(model), **of_labels(model), TRAINING: model.training_definition}


def made_otherwise(marks: Marks, declared: Definitions, slots: Iterable[Slot]) -> set[Slot]:
    """Those of ``slots`` that were made by another definition than is declared."""
    return {slot for slot in slots if slot in marks and redefined(marks[slot].definitions, declared)}


def check_made_by(declared: Definitions, table: Table, slots: Iterable[Slot]) -> None:
    """Raise CannotRun where rows of these slots were made by another definition than is declared.

    Of slots whose commits name no definition nothing is known, and they are taken for what is declared.
    """
    marks = table.marks()
    older: dict[str, list[Slot]] = {}
    for slot in sorted(slots):
        made_by = marks[slot].definitions if slot in marks else None
        for name in sorted(redefined(made_by, declared)):
            then = f"by {short(made_by[name])}" if made_by and name in made_by else "missing"
            older.setdefault(f"{name} {then}, declared is {short(declared[name])}", []).append(slot)
    if older:
        first, last = min(map(min, older.values())), max(map(max, older.values()))
        raise CannotRun(
            f"{table.name} of {first} to {last} was made by definitions that have changed since, and definitions don't "
            f"mix: {'; '.join(older)}. Build it again first: ml-assets materialize, or materialize {table.name} of these "
            "partitions."
        )
