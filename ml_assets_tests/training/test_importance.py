import numpy as np
import pandas as pd
import pytest

from ml_assets.training.fit import fit
from ml_assets.training.importance import MOST_ROWS, REPEATS, importance_of
from ml_assets_tests.training.estimators.examples import SCHEMA, SERVED, TARGETS, make_frame, quick


@pytest.mark.parametrize(("name", "kind"), SERVED)
def test_importance_tells_what_the_model_uses(name: str, kind: str) -> None:
    frame, target = make_frame(kind), TARGETS[kind]
    predictor = fit(frame, SCHEMA, quick(name), target).predictor
    found = importance_of(predictor, frame, target)
    assert found.method == ("SHAP" if name == "xgboost" else "permutation")
    assert list(found.shares) == list(SCHEMA)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert min(found.shares.values()) >= 0
    assert found.shares["recency"] > found.shares["favourite"] > found.shares["trips"]
    assert found == importance_of(predictor, frame.copy(), target)


@pytest.mark.parametrize("name", ["xgboost", "logistic_regression"])
def test_a_model_that_uses_nothing_has_equal_shares(name: str) -> None:
    frame = make_frame()
    nothing = frame.assign(recency=np.nan, trips=1.0, favourite=None, loyal="true")
    predictor = fit(nothing, SCHEMA, quick(name), TARGETS["binary"]).predictor
    assert importance_of(predictor, frame, TARGETS["binary"]).shares == dict.fromkeys(SCHEMA, 0.25)


def test_shap_values_sum_to_the_log_odds() -> None:
    """So they share out what the model says, and nothing else; the last is what it says of nobody in particular."""
    import xgboost as xgb

    from ml_assets.training.estimators.boosted_trees import XGBoost

    frame = make_frame()
    predictor = fit(frame, SCHEMA, quick("xgboost"), TARGETS["binary"]).predictor
    assert isinstance(predictor.estimator, XGBoost)
    matrix = predictor.estimator._matrix(frame)
    assert isinstance(matrix, xgb.DMatrix)
    values = predictor.estimator.booster.predict(matrix, pred_contribs=True)
    scores = predictor.score(frame).expected
    np.testing.assert_allclose(values.sum(axis=1), np.log(scores / (1 - scores)), atol=1e-4)
    told = predictor.estimator.contributions(frame)
    np.testing.assert_allclose(told, np.abs(values[:, :-1]).mean(axis=0), rtol=1e-5)


def test_many_rows_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = make_frame(rows=2 * MOST_ROWS)
    predictor = fit(frame, SCHEMA, quick("logistic_regression"), TARGETS["binary"]).predictor
    seen: list[int] = []
    score = type(predictor).score

    def counted(self: object, rows: pd.DataFrame) -> object:
        seen.append(len(rows))
        return score(predictor, rows)

    monkeypatch.setattr(type(predictor), "score", counted)
    importance_of(predictor, frame, TARGETS["binary"])
    assert set(seen) == {MOST_ROWS, REPEATS * MOST_ROWS}
