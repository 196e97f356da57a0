import pytest

from ml_assets.monitoring.loss.diagnosis import MEANING, diagnose, explain


@pytest.mark.parametrize(
    ("moved", "worse", "name"),
    [
        (False, False, "stable"),
        (True, False, "data drift"),
        (False, True, "concept drift"),
        (True, True, "data drift with loss"),
    ],
)
def test_every_case_has_its_name_and_its_sentence(moved: bool, worse: bool, name: str) -> None:
    found = diagnose(moved, worse)
    assert found == name
    words = explain(found, 0.31, unexpected=None)
    assert words.startswith(f"{name.capitalize()}: {MEANING[found]}")
    assert words.endswith("moved features carry 31% of its weight.")


def test_loss_beyond_what_the_features_explain_is_said() -> None:
    assert "more than that explains" in explain("data drift with loss", 0.5, unexpected=True)
    assert "which explains the loss" in explain("data drift with loss", 0.5, unexpected=False)
    assert "explain" not in explain("data drift", 0.5, unexpected=True)
