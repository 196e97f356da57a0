"""The hashes of what a model is taught: its label, its population, and how training sets are put together.

``read`` is how the columns of the label's source are read, ``features`` are the definitions of the snapshot.
"""

from typing import Any

from ml_assets.features import Entity
from ml_assets.features.definitions import TIMES
from ml_assets.features.sql import columns_of
from ml_assets.lake.definition import ROWS, Definitions, hash_of, syntax
from ml_assets.training.spec import LABELS, Cutoffs, Label, Train


def label_definition(label: Label, entity: Entity, source: str, read: Definitions) -> str:
    """What is predicted: the label with the columns of events that it names."""
    said = {name: _condition(getattr(label, name)) for name in (*LABELS, "where")}
    named = [column for text in label.expressions for column in columns_of(text, "label")]
    return hash_of(
        {
            **said,
            "classes": label.classes,
            "within": label.within,
            "source": source,
            "reads": {column: read[column] for column in (*entity, *TIMES, *named) if column in read},
        }
    )


def population_definition(population: str, features: Definitions) -> str:
    """Who is scored: the condition, with the features that it names and whom a snapshot knows."""
    named = columns_of(population, "population")
    reads = {column: features[column] for column in (ROWS, *named) if column in features}
    return hash_of({"population": syntax(population), "reads": reads})


def training_definition(
    train: Train, cutoffs: Cutoffs, *, label: str, population: str, features: Definitions
) -> str:
    """How a training set is made, of what: of the hashes of a label, a population and the features."""
    said: dict[str, Any] = train.model_dump(mode="json", exclude_defaults=True)
    for name in ("weight", "after_each"):
        said[name] = syntax(getattr(train, name))
    return hash_of(
        {
            "train": said,
            "cutoffs": {"every": cutoffs.every, "start": cutoffs.start},
            "label": label,
            "population": population,
            "features": features,
        }
    )


def _condition(text: str | None) -> Any:
    return text if text == "*" else syntax(text)
