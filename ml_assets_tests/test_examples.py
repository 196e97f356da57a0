"""Every declared feature, tried on the example that stands beside it."""

import pytest

from ml_assets.features import Feature, FeatureSet
from ml_assets.features.proofs.example import try_example
from ml_assets.lake import connect
from ml_assets.project.project import Project

DECLARED = {
    f"{name}.{feature.name}": (group.features, feature)
    for name, group in Project.of("ml_assets.defs").groups.items()
    for feature in group.features.features
}


@pytest.mark.parametrize(("features", "feature"), DECLARED.values(), ids=DECLARED.keys())
def test_the_example_of_a_feature_holds(features: FeatureSet, feature: Feature) -> None:
    assert feature.example, "write an example: events, and what the feature gives for them"
    with connect() as con:
        assert try_example(con, features, feature) == []
