import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn import metrics as sk

from ml_assets.evaluation.metrics import (
    METRICS,
    binary_metrics,
    calibration_bins,
    furthest_ratio,
    metrics_of,
    multiclass_metrics,
    regression_metrics,
)
from ml_assets.evaluation.ranking import Ranking
from ml_assets.evaluation.spec import COMPARED_BY
from ml_assets.training.target import BINARY, REGRESSION
from ml_assets_tests.evaluation.holdouts import KINDS, SIZES, make_holdout, make_multiclass, make_regression
from ml_assets_tests.profiles import examples

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 4)), min_size=2, max_size=40)


def binary(label, score):
    return binary_metrics(np.array(label, dtype=float), np.array(score, dtype=float))


def test_agrees_with_sklearn_on_a_plain_holdout():
    frame = make_holdout()
    label, score = frame["label"].to_numpy(), frame["score_candidate"].to_numpy()
    assert metrics_of(BINARY, frame, "candidate") == {
        "n": 1500,
        "positives": label.sum(),
        "auc": pytest.approx(sk.roc_auc_score(label, score), abs=1e-12),
        "average_precision": pytest.approx(sk.average_precision_score(label, score), abs=1e-12),
        "log_loss": pytest.approx(sk.log_loss(label, score), abs=1e-12),
        "brier": pytest.approx(sk.brier_score_loss(label, score), abs=1e-12),
        "calibration_error": pytest.approx(0.02, abs=0.015),
        "calibration_ratio": pytest.approx(score.mean() / label.mean()),
        "base_rate": label.mean(),
    }


def test_a_regression_agrees_with_sklearn_and_scipy():
    frame = make_regression()
    label, score = frame["label"].to_numpy(), frame["score_champion"].round().to_numpy()
    assert metrics_of(REGRESSION, frame.assign(score_champion=score), "champion") == {
        "n": 1500,
        "r2": pytest.approx(sk.r2_score(label, score), abs=1e-12),
        "mae": pytest.approx(sk.mean_absolute_error(label, score)),
        "rmse": pytest.approx(sk.root_mean_squared_error(label, score)),
        "calibration_ratio": pytest.approx(score.mean() / label.mean()),
        "mean_label": label.mean(),
        "spearman": pytest.approx(spearmanr(label, score).statistic, abs=1e-12),
    }


def test_several_classes_agree_with_sklearn():
    frame = make_multiclass()
    label = frame["label"].to_numpy()
    shares = frame[[f"score_champion_{k}" for k in range(3)]].to_numpy()
    constant = np.tile(np.bincount(label) / len(label), (len(label), 1))
    loss = sk.log_loss(label, shares)
    ratios = shares.mean(axis=0) / constant[0]
    assert metrics_of(SIZES, frame, "champion") == {
        "n": 1500,
        "rarest": np.bincount(label).min(),
        "skill": pytest.approx(1 - loss / sk.log_loss(label, constant)),
        "log_loss": pytest.approx(loss),
        "accuracy": pytest.approx(sk.accuracy_score(label, shares.argmax(axis=1))),
        "calibration_ratio": pytest.approx(max(ratios, key=lambda r: abs(np.log(r)))),
        "calibration_error": pytest.approx(
            np.mean([binary(label == k, shares[:, k])["calibration_error"] for k in range(3)])
        ),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_names_come_in_a_fixed_order_even_if_nothing_is_defined(kind):
    target, make = KINDS[kind]
    frame = make(n=50)
    spoiled = frame.assign(**{c: float("nan") for c in frame if c.startswith("score_candidate")})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [metrics_of(target, part, "candidate") for part in (frame, spoiled, frame.head(0))]
    assert all(tuple(one) == METRICS[kind] for one in found)
    for metric in COMPARED_BY[kind]:
        assert not math.isnan(found[0][metric])
        assert math.isnan(found[1][metric])
        assert math.isnan(found[2][metric])


def test_one_label_leaves_r2_and_skill_undefined_and_warns_of_nothing():
    same, three = np.full(4, 2.0), np.full((4, 3), 1 / 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        amounts = regression_metrics(same, np.array([1.0, 2.0, 3.0, 4.0]))
        classes = multiclass_metrics(same, three)
    assert {name for name, value in amounts.items() if math.isnan(value)} == {"r2", "spearman"}
    assert {name for name, value in classes.items() if math.isnan(value)} == {"skill", "calibration_ratio"}
    assert classes["rarest"] == 0


def test_a_half_is_as_far_from_one_as_two():
    assert furthest_ratio(np.array([0.9, 0.4, 2.0])) == 0.4
    assert furthest_ratio(np.array([0.9, 0.6, 2.0])) == 2.0
    assert furthest_ratio(np.array([0.0, 2.0])) == 0.0


@pytest.mark.parametrize(
    ("target", "label", "said"),
    [
        (BINARY, [0, 2], "1 of 2 labels are neither 0 nor 1"),
        (REGRESSION, [0.0, np.inf], "1 of 2 labels are not finite"),
        (SIZES, [0, 3], "1 of 2 labels are no number of a class, 0 to 2"),
    ],
)
def test_a_label_of_another_target_is_refused(target, label, said):
    with pytest.raises(ValueError, match=said):
        metrics_of(target, pd.DataFrame({"label": label, "score_candidate": 0.5}), "candidate")


@examples(150)
@given(ROWS)
def test_weighted_ranking_metrics_are_sklearns_with_ties(rows):
    label, score, weight = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
    came = label == 1
    ranking, split = Ranking(score[~came] / 6, score[came] / 6), (weight[None, ~came], weight[None, came])
    auc, precision = ranking.auc(*split)[0], ranking.average_precision(*split)[0]
    heavy = {int(value) for value, w in zip(label, weight, strict=True) if w > 0}
    if heavy == {0, 1}:
        assert auc == pytest.approx(sk.roc_auc_score(label, score, sample_weight=weight), abs=1e-12)
    else:
        assert math.isnan(auc)
    if 1 in heavy:
        expected = sk.average_precision_score(label, score, sample_weight=weight)
        assert precision == pytest.approx(expected, abs=1e-12)
    else:
        assert math.isnan(precision)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_leaves_only_the_undefined_ones_nan_and_warns_of_nothing(label):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = binary([label] * 4, [0.1, 0.2, 0.3, 0.4])
    undefined = {name for name, value in found.items() if math.isnan(value)}
    assert undefined == ({"auc", "average_precision", "calibration_ratio"} if label == 0 else {"auc"})


def test_null_scores_are_nan():
    found = binary([0, 1, 1], [0.1, float("nan"), 0.3])
    assert {name for name, value in found.items() if math.isnan(value)} == set(METRICS["binary"][2:-1])
    assert found["base_rate"] == pytest.approx(2 / 3)
    frame = pd.DataFrame({"label": [0, 1], "score_candidate": pd.Series([None, 0.5], dtype="Float64")})
    assert metrics_of(BINARY, frame, "candidate")["n"] == 2


def test_scores_that_are_no_probabilities_are_ranked_only():
    found = binary([0, 1, 0, 1], [-2.0, 3.0, 0.0, 1.0])
    assert found["auc"] == 1.0
    assert math.isnan(found["log_loss"])
    assert math.isnan(found["calibration_ratio"])


def test_certain_and_wrong_is_a_finite_log_loss():
    assert 30 < binary([0, 1], [1.0, 0.0])["log_loss"] < 40


def test_calibration_error_by_hand():
    score = np.repeat([0.1, 0.3], 50)
    label = np.r_[np.repeat([0, 1], [40, 10]), np.repeat([0, 1], [40, 10])]
    assert binary(label, score)["calibration_error"] == pytest.approx((0.1 + 0.1) / 2)


def test_calibration_bins_have_equal_counts_without_ties():
    _, _, count = calibration_bins(np.arange(1000) % 2, np.linspace(0, 1, 1000))
    assert list(count) == [100] * 10


@examples(50)
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_decides_nothing(rows, random):
    other = list(rows)
    random.shuffle(other)
    first, second = (
        binary([label for label, _, _ in part], [score / 6 for _, score, _ in part]) for part in (rows, other)
    )
    assert first == pytest.approx(second, nan_ok=True, abs=1e-12)
