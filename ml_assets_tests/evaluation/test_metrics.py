import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from ml_assets.evaluation.metrics import NO_VALUE, Ranking, binary_metrics, by_slice, calibration_bins
from ml_assets_tests.evaluation.holdouts import make_holdout

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 4)), min_size=2, max_size=40)


def test_agrees_with_sklearn_on_a_plain_holdout():
    frame = make_holdout()
    label, score = frame["label"].to_numpy(), frame["score_candidate"].to_numpy()
    found = binary_metrics(label, score)
    assert found.n == 1500
    assert found.positives == label.sum()
    assert found.auc == pytest.approx(sk.roc_auc_score(label, score), abs=1e-12)
    assert found.average_precision == pytest.approx(sk.average_precision_score(label, score), abs=1e-12)
    assert found.log_loss == pytest.approx(sk.log_loss(label, score), abs=1e-12)
    assert found.brier == pytest.approx(sk.brier_score_loss(label, score), abs=1e-12)
    assert found.calibration_ratio == pytest.approx(score.mean() / label.mean())
    assert found.as_dict()["base_rate"] == label.mean()


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_weighted_ranking_metrics_are_sklearns_with_ties(rows):
    label, score, weight = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
    ranking = Ranking(label, score / 6)
    auc, precision = ranking.auc(weight[None, :])[0], ranking.average_precision(weight[None, :])[0]
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
        found = binary_metrics([label] * 4, [0.1, 0.2, 0.3, 0.4])
    undefined = {name for name, value in found.as_dict().items() if math.isnan(value)}
    assert undefined == ({"auc", "average_precision", "calibration_ratio"} if label == 0 else {"auc"})


def test_no_rows_and_null_scores_are_nan_and_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(binary_metrics([], []).base_rate)
        found = binary_metrics([0, 1, 1], [0.1, float("nan"), 0.3])
        assert binary_metrics([0, 1], pd.Series([None, 0.5])).n == 2
    assert [math.isnan(v) for v in (found.auc, found.log_loss, found.brier, found.calibration_error)] == [
        True
    ] * 4
    assert found.base_rate == pytest.approx(2 / 3)


def test_scores_that_are_no_probabilities_are_ranked_only():
    found = binary_metrics([0, 1, 0, 1], [-2.0, 3.0, 0.0, 1.0])
    assert found.auc == 1.0
    assert math.isnan(found.log_loss)
    assert math.isnan(found.calibration_ratio)


def test_certain_and_wrong_is_a_finite_log_loss():
    assert 30 < binary_metrics([0, 1], [1.0, 0.0]).log_loss < 40


@pytest.mark.parametrize(
    ("label", "score", "said"), [([0, 2], [0.1, 0.2], "row 1 is 2"), ([0], [0.1, 0.2], "one length")]
)
def test_wrong_input_is_refused(label, score, said):
    with pytest.raises(ValueError, match=said):
        binary_metrics(label, score)


def test_calibration_error_by_hand():
    score = np.repeat([0.1, 0.3], 50)
    label = np.r_[np.repeat([0, 1], [40, 10]), np.repeat([0, 1], [40, 10])]
    assert binary_metrics(label, score).calibration_error == pytest.approx((0.1 + 0.1) / 2)


def test_calibration_bins_have_equal_counts_without_ties():
    _, _, count = calibration_bins(np.arange(1000) % 2, np.linspace(0, 1, 1000))
    assert list(count) == [100] * 10


@settings(max_examples=50, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_decides_nothing(rows, random):
    other = list(rows)
    random.shuffle(other)
    first, second = (
        binary_metrics([label for label, _, _ in part], [score / 6 for _, score, _ in part])
        for part in (rows, other)
    )
    assert first.as_dict() == pytest.approx(second.as_dict(), nan_ok=True, abs=1e-12)


def test_by_slice_counts_every_row_once_and_calls_nulls_by_name():
    frame = make_holdout()
    frame.loc[:99, "department"] = None
    rows = by_slice(frame, "department")
    assert sum(row.n for row in rows) == len(frame)
    assert [row.n for row in rows] == sorted((row.n for row in rows), reverse=True)
    (none,) = [row for row in rows if row.value == NO_VALUE]
    assert none.n == 100
    part = frame[frame["department"] == "MEAT"]
    (meat,) = [row for row in rows if row.value == "MEAT"]
    assert meat.auc_candidate == pytest.approx(sk.roc_auc_score(part["label"], part["score_candidate"]))
    assert meat.auc_champion == pytest.approx(sk.roc_auc_score(part["label"], part["score_champion"]))


def test_by_slice_takes_categories_and_a_missing_champion():
    frame = make_holdout().drop(columns="score_champion").astype({"department": "category"})
    frame["department"] = frame["department"].cat.add_categories("EMPTY")
    rows = by_slice(frame, "department")
    assert {row.value for row in rows} == {"GROCERY", "PRODUCE", "MEAT"}
    assert {row.auc_champion for row in rows} == {None}


def test_by_slice_names_the_missing_column():
    with pytest.raises(KeyError, match=r"'aisle'.*department"):
        by_slice(make_holdout(), "aisle")
