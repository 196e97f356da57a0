import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.training import Train
from ml_assets.training.fit import (
    CATEGORIES,
    Baseline,
    NotTrainable,
    check_trainable,
    fit,
    fit_baseline,
    parameters,
    score,
)

SCHEMA = {"recency": "DOUBLE", "trips": "BIGINT", "favourite": "VARCHAR"}
SPEC = Train(rounds=40, early_stopping=8, learning_rate=0.3, max_depth=3)


def make_frame(rows: int = 600, seed: int = 7) -> pd.DataFrame:
    """Rows whose label follows recency and the favourite; the last quarter is for tuning."""
    random = np.random.default_rng(seed)
    recency = random.uniform(0, 56, rows)
    favourite = random.choice(["DELI", "FUEL", "MEAT"], rows)
    odds = 0.15 * (recency - 28) + np.where(favourite == "FUEL", 1.5, -0.5)
    frame = pd.DataFrame(
        {
            "recency": np.where(random.random(rows) < 0.05, np.nan, recency),
            "trips": random.integers(0, 20, rows).astype("float64"),
            "favourite": pd.Series(favourite, dtype=object).mask(random.random(rows) < 0.05, None),
            "label": (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(int),
            "split": np.where(np.arange(rows) < rows * 3 // 4, "train", "tune"),
        }
    )
    return frame


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_frame()


# what can't be learnt from


def rows(**split: list[int]) -> pd.DataFrame:
    pairs = [(name, label) for name, labels in split.items() for label in labels]
    return pd.DataFrame(pairs, columns=["split", "label"])


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (
            rows(),
            r"The training set of cutoff 2017-04-02 has no rows: no label has matured by then, or the "
            r"population is empty\. Take a later cutoff",
        ),
        (
            rows(train=[0, 1]),
            r"The training set of cutoff 2017-04-02 has no tune rows: it needs labels of more cutoffs",
        ),
        (rows(tune=[0, 1]), r"has no train rows: .*Materialize labels and snapshots further back"),
        (
            rows(train=[0, 0, 0], tune=[0, 1]),
            r"All 3 train labels of cutoff 2017-04-02 are 0: .*Check the label's condition and the population",
        ),
        (rows(train=[0, 1], tune=[1, 1]), r"All 2 tune labels of cutoff 2017-04-02 are 1: "),
    ],
    ids=["empty", "no tune", "no train", "one class in train", "one class in tune"],
)
def test_what_cannot_be_learnt_from_says_why(frame: pd.DataFrame, said: str) -> None:
    with pytest.raises(NotTrainable, match=said):
        check_trainable(frame, "2017-04-02")


def test_both_classes_in_both_splits_will_do() -> None:
    check_trainable(rows(train=[0, 1], tune=[1, 0]), "2017-04-02")


# the fit


def test_the_same_frame_gives_the_same_bytes(frame: pd.DataFrame) -> None:
    first, second = fit(frame, SCHEMA, SPEC), fit(frame.copy(), SCHEMA, SPEC)
    assert first.booster.save_raw() == second.booster.save_raw()
    assert (first.curves, first.importance) == (second.curves, second.importance)


def test_another_seed_or_another_value_gives_another_model(frame: pd.DataFrame) -> None:
    raw = fit(frame, SCHEMA, SPEC).booster.save_raw()
    assert fit(frame, SCHEMA, SPEC.model_copy(update={"seed": 8})).booster.save_raw() != raw
    changed = frame.assign(label=[1 - frame["label"][0], *frame["label"][1:]])
    assert fit(changed, SCHEMA, SPEC).booster.save_raw() != raw


def test_the_fit_stops_at_the_best_round_on_tune(frame: pd.DataFrame) -> None:
    fitted = fit(frame, SCHEMA, SPEC.model_copy(update={"rounds": 400}))
    curve = fitted.curves["tune"]
    assert fitted.best_iteration == int(np.argmin(curve)) < 399
    assert fitted.booster.num_boosted_rounds() == fitted.best_iteration + 1
    assert len(curve) == len(fitted.curves["train"]) == fitted.best_iteration + 9
    assert curve[fitted.best_iteration] < curve[0]


def test_the_fit_learns_and_tells_from_what(frame: pd.DataFrame) -> None:
    fitted = fit(frame, SCHEMA, SPEC)
    assert sum(fitted.importance.values()) == pytest.approx(1)
    assert list(fitted.importance) == list(SCHEMA)
    assert fitted.importance["recency"] > fitted.importance["favourite"] > fitted.importance["trips"]
    scores = score(fitted.booster, make_frame(seed=8))
    labels = make_frame(seed=8)["label"]
    assert scores[labels == 1].mean() > scores[labels == 0].mean() + 0.2


def test_categories_come_from_train_alone(frame: pd.DataFrame) -> None:
    only_in_tune = frame.copy()
    only_in_tune.loc[only_in_tune.index[-1], "favourite"] = "ZOO"
    fitted = fit(only_in_tune, SCHEMA, SPEC)
    assert fitted.categories == {"favourite": ["DELI", "FUEL", "MEAT"]}
    assert json.loads(fitted.booster.attr(CATEGORIES) or "") == fitted.categories
    assert fitted.booster.feature_types == ["float", "float", "c"]


@pytest.mark.parametrize(
    ("given", "parameter", "value"),
    [
        ({"learning_rate": 0.5}, "learning_rate", 0.5),
        ({"max_depth": 2}, "max_depth", 2),
        ({"subsample": 0.4}, "subsample", 0.4),
        ({"colsample_bytree": 0.4}, "colsample_bytree", 0.4),
        ({"reg_lambda": 9}, "reg_lambda", 9),
        ({"min_child_weight": 2}, "min_child_weight", 2),
        ({"seed": 11}, "seed", 11),
    ],
    ids=str,
)
def test_what_is_declared_reaches_the_fit(given: dict[str, Any], parameter: str, value: float) -> None:
    assert parameters(Train(**given))[parameter] == value


# scoring


def test_an_unseen_category_scores_as_a_missing_one(frame: pd.DataFrame) -> None:
    booster = fit(frame, SCHEMA, SPEC).booster
    inputs = pd.DataFrame(
        {"recency": [10.0] * 4, "trips": [3.0] * 4, "favourite": ["ZOO", None, "FUEL", "DELI"]}
    )
    unseen, missing, fuel, deli = score(booster, inputs)
    assert unseen == missing
    assert fuel > deli


def test_scores_are_probabilities_in_the_order_of_the_rows(frame: pd.DataFrame) -> None:
    booster = fit(frame, SCHEMA, SPEC).booster
    scores = score(booster, frame)
    assert (scores.shape, scores.dtype) == ((len(frame),), np.dtype("float64"))
    assert ((scores > 0) & (scores < 1)).all()
    backwards = frame.iloc[::-1][["favourite", "label", "trips", "recency"]]
    np.testing.assert_array_equal(score(booster, backwards), scores[::-1])


def test_a_booster_scores_the_same_after_it_was_stored(frame: pd.DataFrame) -> None:
    import xgboost as xgb

    booster = fit(frame, SCHEMA, SPEC).booster
    again = xgb.Booster()
    again.load_model(bytearray(booster.save_raw("ubj")))
    np.testing.assert_array_equal(score(again, frame), score(booster, frame))


# the baseline


def test_the_baseline_follows_one_feature(frame: pd.DataFrame) -> None:
    baseline = fit_baseline(frame, "recency")
    low, high = baseline.score(pd.DataFrame({"recency": [1.0, 55.0]}))
    assert 0 < low < high < 1
    assert len(baseline.rates) == len(baseline.edges) + 1 == 10
    assert list(baseline.edges) == sorted(set(baseline.edges))


def test_the_baseline_is_the_shrunk_rate_of_a_bin() -> None:
    labelled = pd.DataFrame(
        {"split": "train", "x": [1.0] * 30 + [2.0] * 10, "label": [0] * 24 + [1] * 6 + [1] * 10}
    )
    baseline = fit_baseline(labelled, "x", bins=4)
    overall = 16 / 40
    np.testing.assert_allclose(
        baseline.score(pd.DataFrame({"x": [1.0, 2.0]})),
        [(6 + 20 * overall) / 50, (10 + 20 * overall) / 30],
    )


def test_the_baseline_learns_from_train_alone(frame: pd.DataFrame) -> None:
    changed = frame.copy()
    changed.loc[changed["split"] == "tune", ["label", "recency"]] = [1, 999.0]
    assert fit_baseline(changed, "recency") == fit_baseline(frame, "recency")


def test_nulls_have_a_rate_of_their_own() -> None:
    labelled = pd.DataFrame(
        {"split": "train", "x": [1.0, 2.0, 3.0, 4.0] * 25 + [np.nan] * 100, "label": [0] * 100 + [1] * 100}
    )
    baseline = fit_baseline(labelled, "x")
    known, missing = baseline.score(pd.DataFrame({"x": [2.0, np.nan]}))
    assert missing == pytest.approx((100 + 10) / 120) == baseline.missing
    assert known < 0.5 < missing


def test_a_feature_of_nulls_only_gives_one_rate() -> None:
    labelled = pd.DataFrame({"split": "train", "x": [np.nan] * 4, "label": [0, 0, 0, 1]})
    baseline = fit_baseline(labelled, "x")
    assert baseline.edges == ()
    np.testing.assert_allclose(baseline.score(pd.DataFrame({"x": [np.nan, 3.0]})), [0.25, 0.25])


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0, 4.0], [1.0, np.nan, np.nan, 2.0], [np.nan] * 4], ids=str)
def test_the_baseline_survives_json(values: list[float]) -> None:
    labelled = pd.DataFrame({"split": "train", "x": values, "label": [0, 1, 1, 0]})
    baseline = fit_baseline(labelled, "x", bins=3)
    again = Baseline.from_json(baseline.to_json())
    assert again == baseline
    inputs = pd.DataFrame({"x": [-1.0, 1.5, 9.0, np.nan]})
    np.testing.assert_array_equal(again.score(inputs), baseline.score(inputs))
