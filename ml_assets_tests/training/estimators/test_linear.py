import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml_assets.training.estimators.linear import FILE, LogisticRegression
from ml_assets.training.fit import fit
from ml_assets_tests.training.estimators.examples import SCHEMA, TARGETS, make_frame, quick

KINDS = ["binary", "multiclass"]


def fitted(kind: str, frame: pd.DataFrame | None = None, **parameters: float) -> LogisticRegression:
    frame = make_frame(kind) if frame is None else frame
    spec = quick("logistic_regression", parameters=parameters)
    estimator = fit(frame, SCHEMA, spec, TARGETS[kind]).predictor.estimator
    assert isinstance(estimator, LogisticRegression)
    return estimator


@pytest.mark.parametrize("kind", KINDS)
def test_it_predicts_what_the_pipeline_of_scikit_learn_predicts(kind: str) -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression as Fit
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = make_frame(kind)
    train = frame[frame["split"] == "train"]
    numbers = make_pipeline(
        StandardScaler(), SimpleImputer(strategy="constant", fill_value=0, add_indicator=True)
    )
    known = [["DELI", "FUEL", "MEAT"], ["false", "true"]]
    categories = OneHotEncoder(categories=known, handle_unknown="ignore")
    inputs = ColumnTransformer(
        [("n", numbers, ["recency", "trips"]), ("c", categories, ["favourite", "loyal"])]
    )
    pipeline = make_pipeline(inputs, Fit(C=0.3, max_iter=1000, tol=1e-8))
    pipeline.fit(train[list(SCHEMA)], train["label"])
    np.testing.assert_allclose(
        fitted(kind, C=0.3).predict_proba(frame[list(SCHEMA)]),
        pipeline.predict_proba(frame[list(SCHEMA)]),
        atol=1e-5,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_reads_as_what_it_is(kind: str, tmp_path: Path) -> None:
    estimator = fitted(kind)
    estimator.save(tmp_path)
    known = json.loads((tmp_path / FILE).read_text())
    assert known["told_missing"] == ["recency"]
    assert known["categories"] == {"favourite": ["DELI", "FUEL", "MEAT"], "loyal": ["false", "true"]}
    assert np.shape(known["coefficients"]) == (1 if kind == "binary" else 3, 2 + 1 + 3 + 2)
    again = LogisticRegression.load(tmp_path, estimator.task, estimator.parameters)
    features = make_frame(kind, seed=9)[list(SCHEMA)]
    np.testing.assert_array_equal(again.predict_proba(features), estimator.predict_proba(features))


def test_a_missing_number_is_told() -> None:
    """Rows without recency leave early here, and the model has no other way to know them."""
    frame = make_frame()
    gone = frame["recency"].isna()
    estimator = fitted("binary", frame.assign(label=frame["label"].where(~gone, 1)), C=100)
    row = pd.DataFrame({"recency": [np.nan, 28.0], "trips": 3.0, "favourite": "DELI", "loyal": "true"})
    missing, mean = estimator.predict_proba(row)[:, 1]
    assert missing > 0.9 > mean + 0.2


def test_scales_do_not_matter() -> None:
    frame = make_frame()
    first = fitted("binary", frame).predict_proba(frame[list(SCHEMA)])
    far = frame.assign(recency=frame["recency"] * 1e6 + 1e9)
    second = fitted("binary", far).predict_proba(far[list(SCHEMA)])
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_less_c_holds_the_coefficients_closer_to_0() -> None:
    sizes = [np.abs(fitted("binary", C=c).coefficients).sum() for c in (0.001, 0.1, 10)]
    assert sizes == sorted(sizes)


def test_probabilities_at_the_ends_stay_probabilities() -> None:
    estimator = fitted("multiclass")
    wild = pd.DataFrame({"recency": [1e12, -1e12], "trips": [1e12, 0.0], "favourite": None, "loyal": None})
    found = estimator.predict_proba(wild)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
