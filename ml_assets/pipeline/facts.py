"""The model card of a version: what its declaration says, and what is on record."""

from typing import TYPE_CHECKING, Any

from ml_assets.lake import Lake
from ml_assets.pipeline.definitions import of_training
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.declared import DeclaredInWords, label_in_words, target_in_words
from ml_assets.registry.facts import ModelFacts, facts_of

if TYPE_CHECKING:
    from ml_assets.registry.book import Book
    from ml_assets.registry.mlflow_registry import Version

SHOWN = {
    "slice": ("column", "value", "n", "mean_label", "metric", "candidate", "champion", "baseline"),
    "group": ("column", "value", "n", "selection_rate", "true_positive_rate", "calibration_ratio"),
}


def facts(book: "Book", model: DeclaredModel, lake: Lake, version: "Version") -> ModelFacts:
    """What is declared and on record about a version."""
    tables = model.tables(lake)
    parts: dict[str, list[dict[str, Any]]] = {kind: [] for kind in SHOWN}
    if tables.slices.exists:
        rows = tables.slices.read(book.con).filter(f"model_version = {version.number}")
        for row in rows.to_arrow_table().to_pylist():
            parts[row["kind"]].append({name: row[name] for name in SHOWN[row["kind"]]})
    return facts_of(
        book,
        declared(model),
        version,
        training_set=tables.training_set,
        slices=parts["slice"],
        groups=parts["group"],
    )


def declared(model: DeclaredModel) -> DeclaredInWords:
    """What a card says of the declaration."""
    spec = model.spec
    features = model.group.features.features
    return DeclaredInWords(
        name=model.name,
        description=spec.description,
        owners=tuple(spec.owners),
        target=target_in_words(spec.label.target),
        label=label_in_words(spec.label),
        population=spec.population,
        features={column: feature.means or "" for feature in features for column in feature.columns},
        slices=tuple(spec.slices),
        groups=tuple(spec.groups),
        config=model.config,
        definitions=of_training(model),
    )
