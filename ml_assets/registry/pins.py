"""What a version pins, in its tags: the hashes of the definitions of all it learnt from, and how features were declared."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ml_assets.features import Feature
from ml_assets.lake.definition import Definitions, is_comparable, redefined

if TYPE_CHECKING:
    from ml_assets.registry.mlflow_registry import Version

TAG = "definitions"
FEATURES = "features"
"""The tag that says how they were declared, as JSON."""
PROSE = {"means", "description", "owner", "expect", "example"}
LABEL, POPULATION, TRAINING = "the label", "the population", "the training"
"""What they are of, beside the columns of features; no column can have such a name."""


def as_tags(definitions: Definitions, features: Sequence[Feature]) -> dict[str, str]:
    """The tags of a version that pin them, and say how its features are declared; none where nothing is pinned."""
    if not definitions:
        return {}
    said = [feature.model_dump(mode="json", exclude=PROSE, exclude_defaults=True) for feature in features]
    return {TAG: json.dumps(dict(definitions), sort_keys=True), FEATURES: json.dumps(said)}


def pins_of(version: "Version") -> Definitions:
    """What a version pins, by name; empty of one from before this was recorded."""
    pinned: Mapping[str, str] = json.loads(version.tags.get(TAG, "{}"))
    return pinned


def feature_pins(version: "Version") -> Definitions:
    """The definitions of the features that a version was trained on, by column."""
    beside = (LABEL, POPULATION, TRAINING)
    return {name: hashed for name, hashed in pins_of(version).items() if name not in beside}


def features_of(version: "Version") -> list[Feature]:
    """The features as they were declared when a version was trained; none where that isn't on record."""
    return [Feature.model_validate(said) for said in json.loads(version.tags.get(FEATURES, "[]"))]


def declared_as(version: "Version", column: str) -> str | None:
    """The YAML by which a feature was declared when a version was trained, in one line; None if that isn't on record."""
    import yaml

    for feature in features_of(version):
        if column in feature.columns:
            said = feature.model_dump(mode="json", exclude_defaults=True)
            return str(yaml.safe_dump(said, default_flow_style=True, sort_keys=False, width=10_000)).strip()
    return None


def unlike(pinned: Definitions | None, found: Definitions | None) -> list[str]:
    """The names of what is pinned whose definition that is found is another, or missing.

    None where either isn't on record, or was hashed otherwise than today.
    """
    return sorted(redefined(found or None, pinned)) if pinned and is_comparable(pinned) else []
