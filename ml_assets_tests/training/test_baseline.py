import numpy as np
import pandas as pd
import pytest

from ml_assets.training.baseline import Baseline, fit_baseline
from ml_assets.training.target import BINARY, REGRESSION, Target
from ml_assets_tests.training.estimators.examples import CLASSES, TARGETS, make_frame


@pytest.mark.parametrize("kind", TARGETS)
def test_the_baseline_follows_one_feature(kind: str) -> None:
    baseline = fit_baseline(make_frame(kind), "recency", TARGETS[kind])
    low, high = baseline.score(pd.DataFrame({"recency": [1.0, 55.0]})).expected
    assert 0 < low < high
    assert len(baseline.means) == len(baseline.edges) + 1 == 10
    assert list(baseline.edges) == sorted(set(baseline.edges))


def test_the_baseline_is_the_shrunk_share_of_a_bin() -> None:
    labelled = pd.DataFrame(
        {"split": "train", "x": [1.0] * 30 + [2.0] * 10, "label": [0] * 24 + [1] * 6 + [1] * 10}
    )
    overall, inputs = 16 / 40, pd.DataFrame({"x": [1.0, 2.0]})
    shrunk = [(6 + 20 * overall) / 50, (10 + 20 * overall) / 30]
    for target in (BINARY, REGRESSION):
        scores = fit_baseline(labelled, "x", target, bins=4).score(inputs)
        np.testing.assert_allclose(scores.expected, shrunk)
        assert scores.classes is None


def test_shares_of_several_classes_sum_to_1() -> None:
    frame = make_frame("multiclass")
    scores = fit_baseline(frame, "recency", CLASSES).score(frame)
    assert scores.classes is not None
    assert scores.classes.shape == (len(frame), 3)
    np.testing.assert_allclose(scores.classes.sum(axis=1), 1)
    np.testing.assert_allclose(scores.expected, scores.classes @ [0, 1, 2])


def test_the_baseline_learns_from_train_alone() -> None:
    frame = make_frame()
    changed = frame.copy()
    changed.loc[changed["split"] == "tune", ["label", "recency"]] = [1, 999.0]
    assert fit_baseline(changed, "recency", BINARY) == fit_baseline(frame, "recency", BINARY)


def test_nulls_have_a_share_of_their_own() -> None:
    labelled = pd.DataFrame(
        {"split": "train", "x": [1.0, 2.0, 3.0, 4.0] * 25 + [np.nan] * 100, "label": [0] * 100 + [1] * 100}
    )
    baseline = fit_baseline(labelled, "x", BINARY)
    known, missing = baseline.score(pd.DataFrame({"x": [2.0, np.nan]})).expected
    assert missing == pytest.approx((100 + 10) / 120) == baseline.missing[1]
    assert known < 0.5 < missing


def test_a_feature_of_nulls_only_gives_one_mean() -> None:
    labelled = pd.DataFrame({"split": "train", "x": [np.nan] * 4, "label": [0, 0, 0, 10]})
    baseline = fit_baseline(labelled, "x", REGRESSION)
    assert baseline.edges == ()
    np.testing.assert_allclose(baseline.score(pd.DataFrame({"x": [np.nan, 3.0]})).expected, [2.5, 2.5])


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0, 4.0], [1.0, np.nan, np.nan, 2.0], [np.nan] * 4], ids=str)
def test_the_baseline_survives_json(values: list[float], target: Target) -> None:
    labelled = pd.DataFrame({"split": "train", "x": values, "label": [0, 1, 1, 0]})
    baseline = fit_baseline(labelled, "x", target, bins=3)
    again = Baseline.from_json(baseline.to_json())
    assert again == baseline
    inputs = pd.DataFrame({"x": [-1.0, 1.5, 9.0, np.nan]})
    np.testing.assert_array_equal(again.score(inputs).expected, baseline.score(inputs).expected)
