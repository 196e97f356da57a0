import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import r2_score, roc_auc_score

from ml_assets.evaluation.slices import BINS, NO_VALUE, by_slice, parts_of
from ml_assets.training.target import BINARY, REGRESSION
from ml_assets_tests.evaluation.holdouts import SIZES, make_holdout, make_multiclass, make_regression
from ml_assets_tests.profiles import examples

NUMBERS = st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=60)


def test_every_row_is_counted_once_and_nulls_have_a_name():
    frame = make_holdout()
    frame.loc[:99, "department"] = None
    rows = by_slice(frame, "department", BINARY, "auc")
    assert sum(row.n for row in rows) == len(frame)
    assert [row.n for row in rows[:-1]] == sorted((row.n for row in rows[:-1]), reverse=True)
    assert (rows[-1].value, rows[-1].n) == (NO_VALUE, 100)
    part = frame[frame["department"] == "MEAT"]
    (meat,) = [row for row in rows if row.value == "MEAT"]
    assert meat.candidate == pytest.approx(roc_auc_score(part["label"], part["score_candidate"]))
    assert meat.of("champion") == pytest.approx(roc_auc_score(part["label"], part["score_champion"]))
    assert meat.positives == part["label"].sum()


def test_slices_of_other_targets_are_by_their_metric():
    frame = make_regression()
    row = by_slice(frame, "department", REGRESSION, "r2")[0]
    part = frame[frame["department"] == row.value]
    assert (row.metric, row.positives) == ("r2", None)
    assert row.candidate == pytest.approx(r2_score(part["label"], part["score_candidate"]))
    assert row.mean_label == part["label"].mean()
    assert all(
        0 < (row.candidate or 0) < 1 for row in by_slice(make_multiclass(), "department", SIZES, "skill")
    )


def test_a_metric_may_be_named():
    rows = by_slice(make_holdout(), "department", BINARY, "average_precision")
    assert {row.metric for row in rows} == {"average_precision"}


def test_categories_and_a_missing_champion():
    frame = make_holdout().drop(columns="score_champion").astype({"department": "category"})
    frame["department"] = frame["department"].cat.add_categories("EMPTY")
    rows = by_slice(frame, "department", BINARY, "auc")
    assert {row.value for row in rows} == {"GROCERY", "PRODUCE", "MEAT"}
    assert {row.champion for row in rows} == {None}


def test_the_missing_column_is_named():
    with pytest.raises(KeyError, match=r"'aisle'.*department"):
        by_slice(make_holdout(), "aisle", BINARY, "auc")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (np.arange(1, 101), ["1 to 20", "21 to 40", "41 to 60", "61 to 80", "81 to 100"]),
        ([3, 1, 1, 2, None], ["1", "2", "3", NO_VALUE]),
        ([0] * 80 + list(range(1, 21)), ["0", "1 to 20"]),
        ([0.12, 0.5, 0.73, 1.5, 2.25, 3.125], ["0.12 to 0.5", "0.73", "1.5", "2.25", "3.125"]),
        ([1000000, 1000001], ["1000000", "1000001"]),
        ([True, False, True], ["True", "False"]),
        (["7", "14", "7"], ["7", "14"]),
        ([None, float("nan")], [NO_VALUE]),
    ],
)
def test_numbers_are_binned_and_texts_are_not(values, named):
    assert list(parts_of(pd.DataFrame({"c": values}), "c")) == named


@examples(60)
@given(NUMBERS)
def test_bins_hold_every_row_once_in_order(values):
    frame = pd.DataFrame({"c": pd.Series(values, dtype="float64")})
    parts = parts_of(frame, "c")
    assert sum(map(len, parts.values())) == len(frame)
    bins = [part["c"] for name, part in parts.items() if name != NO_VALUE]
    assert len(bins) <= BINS
    assert all(one.max() < other.min() for one, other in pairwise(bins))
    assert not any(math.isnan(value) for part in bins for value in part)
