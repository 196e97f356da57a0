import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.training import Train
from ml_assets.training.fit import Fitted, NotTrainable, check_trainable, fit, loss_of
from ml_assets.training.frames import FrameError
from ml_assets.training.predictor import Scores, files_hash
from ml_assets.training.target import BINARY, REGRESSION, Target
from ml_assets_tests.profiles import examples
from ml_assets_tests.training.estimators.examples import CLASSES, SCHEMA, SERVED, TARGETS, make_frame, quick

TREES = ["xgboost", "hist_gradient_boosting"]
NAMES = [*TREES, "logistic_regression"]


def scores(fitted: Fitted, **columns: list[Any]) -> np.ndarray:
    """Scores of rows of these values; the same mean row otherwise."""
    count = len(next(iter(columns.values())))
    usual = {"recency": 25.0, "trips": 3.0, "favourite": "DELI", "loyal": "true"}
    frame = pd.DataFrame({c: columns.get(c, [value] * count) for c, value in usual.items()})
    return fitted.predictor.score(frame).expected


# what can't be learnt from


def rows(**split: list[int]) -> pd.DataFrame:
    pairs = [(name, label) for name, labels in split.items() for label in labels]
    return pd.DataFrame(pairs, columns=["split", "label"])


@pytest.mark.parametrize(
    ("frame", "target", "said"),
    [
        (
            rows(),
            BINARY,
            r"The training set of cutoff 2017-04-02 has no rows: no label has matured by then, or the "
            r"population is empty\. Take a later cutoff",
        ),
        (
            rows(train=[0, 1]),
            BINARY,
            r"The training set of cutoff 2017-04-02 has no tune rows: it needs labels of more cutoffs",
        ),
        (rows(tune=[0, 1]), BINARY, r"has no train rows: .*Materialize labels and snapshots further back"),
        (
            rows(train=[0, 0, 0], tune=[0, 1]),
            BINARY,
            r"All 3 train labels of cutoff 2017-04-02 are 0: .*Check the label's condition and the population",
        ),
        (rows(train=[0, 1], tune=[1, 1]), REGRESSION, r"All 2 tune labels of cutoff 2017-04-02 are 1: "),
        (
            rows(train=[0, 1, 0], tune=[0, 2]),
            CLASSES,
            r"cutoff 2017-04-02 has no train row of class never\. .*give the label wider classes",
        ),
    ],
    ids=["empty", "no tune", "no train", "one class in train", "one amount in tune", "a class unseen"],
)
def test_what_cannot_be_learnt_from_says_why(frame: pd.DataFrame, target: Target, said: str) -> None:
    with pytest.raises(NotTrainable, match=said):
        check_trainable(frame, "2017-04-02", target)


def test_all_classes_in_train_and_two_in_tune_will_do() -> None:
    check_trainable(rows(train=[0, 1], tune=[1, 0]), "2017-04-02", BINARY)
    check_trainable(rows(train=[0, 1, 2], tune=[1, 0]), "2017-04-02", CLASSES)


@pytest.mark.parametrize(
    ("name", "loss"), [("xgboost", "poisson"), ("xgboost", "tweedie"), (TREES[1], "poisson")]
)
def test_a_loss_for_amounts_refuses_a_label_below_0(name: str, loss: str) -> None:
    frame = make_frame("regression")
    spec = Train(estimator=name, parameters={"loss": loss, "rounds": 5})
    assert fit(frame, SCHEMA, spec, REGRESSION).tune_loss > 0
    with pytest.raises(NotTrainable, match=f"loss is {loss}, which is for labels of 0 and more; .* is -2"):
        fit(frame.assign(label=frame["label"].where(frame.index != 3, -2.0)), SCHEMA, spec, REGRESSION)


def test_without_a_cuda_device_it_says_so_and_does_not_use_the_cpu() -> None:
    with pytest.raises(
        NotTrainable, match=r"device is cuda, and XGBoost finds no CUDA device here: .*nvidia-smi"
    ):
        fit(make_frame(), SCHEMA, quick("xgboost", device="cuda"), BINARY)


# the fit


@pytest.mark.parametrize(("name", "kind"), SERVED)
def test_the_same_rows_give_the_same_files_and_others_do_not(name: str, kind: str, tmp_path: Path) -> None:
    frame = make_frame(kind)
    other = frame.assign(label=frame["label"].where(frame.index != 0, (frame["label"] + 1) % 2))
    hashes = []
    for n, given_rows in enumerate([frame, frame.copy(), other]):
        fit(given_rows, SCHEMA, quick(name), TARGETS[kind]).predictor.save(tmp_path / str(n))
        hashes.append(files_hash(tmp_path / str(n)))
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("name", TREES)
def test_another_seed_gives_another_model(name: str) -> None:
    frame = make_frame()
    half = {"max_features": 0.5} if name == "hist_gradient_boosting" else {}
    found = [
        fit(frame, SCHEMA, quick(name, seed=seed), BINARY, parameters=half).tune_loss for seed in (7, 7, 8)
    ]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("kind", TARGETS)
def test_the_fit_stops_at_the_best_round_on_tune(name: str, kind: str) -> None:
    told: list[tuple[int, float]] = []
    fitted = fit(
        make_frame(kind),
        SCHEMA,
        quick(name),
        TARGETS[kind],
        parameters={"rounds": 400},
        report=lambda step, loss: told.append((step, loss)),
    )
    curve = fitted.curves["tune"]
    assert fitted.rounds == int(np.argmin(curve)) + 1 < 390
    assert len(curve) == len(fitted.curves["train"]) == fitted.rounds + 8
    assert told == list(enumerate(curve, 1))
    assert curve[fitted.rounds - 1] < curve[0]
    if kind != "regression" or name == "xgboost":
        assert fitted.tune_loss == pytest.approx(min(curve), rel=1e-5)


@pytest.mark.parametrize(("name", "kind"), SERVED)
def test_the_fit_learns(name: str, kind: str) -> None:
    fitted, unseen = fit(make_frame(kind), SCHEMA, quick(name), TARGETS[kind]), make_frame(kind, seed=8)
    found = fitted.predictor.score(unseen).expected
    assert np.corrcoef(found, unseen["label"])[0, 1] > 0.55
    assert fitted.train_loss < loss_of_nothing(unseen, TARGETS[kind]) * 0.85
    assert fitted.tune_loss < loss_of_nothing(unseen, TARGETS[kind]) * 0.85


def loss_of_nothing(frame: pd.DataFrame, target: Target) -> float:
    labels = frame["label"].to_numpy()
    if target.kind == "regression":
        return float(labels.std())
    shares = np.bincount(labels) / len(labels)
    return float(-(shares * np.log(shares)).sum())


@pytest.mark.parametrize(("name", "kind"), SERVED)
def test_tune_decides_when_to_stop_and_nothing_else(name: str, kind: str) -> None:
    """Categories and scales come from train alone."""
    frame = make_frame(kind)
    changed = frame.copy()
    last = changed.index[-1]
    changed.loc[last, ["favourite", "recency"]] = ["ZOO", 1e6]
    spec = quick(name)
    few = {} if name == "logistic_regression" else {"rounds": 3}
    first, second = (fit(f, SCHEMA, spec, TARGETS[kind], parameters=few) for f in (frame, changed))
    np.testing.assert_array_equal(
        first.predictor.score(frame).expected, second.predictor.score(frame).expected
    )


@pytest.mark.parametrize(("name", "kind"), SERVED)
def test_an_unseen_category_is_as_a_missing_one(name: str, kind: str) -> None:
    fitted = fit(make_frame(kind), SCHEMA, quick(name), TARGETS[kind])
    unseen, missing, fuel, deli = scores(fitted, favourite=["ZOO", None, "FUEL", "DELI"])
    assert unseen == missing
    assert fuel > deli


@pytest.mark.parametrize("name", NAMES)
def test_columns_that_say_nothing_do_no_harm(name: str) -> None:
    frame = make_frame().assign(
        empty=np.nan, blank=pd.Series([None] * 600, dtype=object), constant=3.0, shop="one"
    )
    schema = SCHEMA | {"empty": "DOUBLE", "blank": "VARCHAR", "constant": "DOUBLE", "shop": "VARCHAR"}
    fitted = fit(frame, schema, quick(name), BINARY)
    late = frame.assign(empty=5.0, blank="now", constant=np.nan, shop=None)
    found = fitted.predictor.score(late).expected
    assert np.corrcoef(found, fitted.predictor.score(frame).expected)[0, 1] > 0.99


def test_numbers_only_will_do_for_all() -> None:
    for name in NAMES:
        fitted = fit(make_frame(), {"recency": "DOUBLE", "trips": "BIGINT"}, quick(name), BINARY)
        assert fitted.tune_loss < 0.69


# weights and balance


@pytest.mark.parametrize("name", NAMES)
def test_a_row_of_weight_2_is_the_row_twice(name: str) -> None:
    """XGBoost and the linear model count weights only. The trees of scikit-learn count rows too, in the smallest
    leaf and in the support of a category, so here they have small leaves and numbers only."""
    frame = make_frame().assign(recency=lambda f: f["recency"].round())
    heavy = frame["favourite"] == "MEAT"
    every = {
        "xgboost": {"subsample": 1.0, "colsample_bytree": 1.0},
        "hist_gradient_boosting": {"max_features": 1.0, "min_samples_leaf": 1},
        "logistic_regression": {},
    }[name]
    weighed = frame.assign(weight=np.where(heavy, 2.0, 1.0))
    twice = pd.concat([frame, frame[heavy]], ignore_index=True).assign(weight=1.0)
    schema = {"recency": "DOUBLE", "trips": "BIGINT"} if name == "hist_gradient_boosting" else SCHEMA
    spec = quick(name, weight="case when favourite = 'MEAT' then 2 else 1 end")
    first, second = (fit(f, schema, spec, BINARY, parameters=every) for f in (weighed, twice))
    plain = fit(weighed, schema, quick(name), BINARY, parameters=every)
    found = [fitted.predictor.score(frame).expected for fitted in (first, second, plain)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    assert np.abs(found[0] - found[2]).max() > 5e-3


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_a_weight_that_is_none_is_refused(wrong: float) -> None:
    frame = make_frame().assign(weight=1.0)
    frame.loc[[3, 5], "weight"] = wrong
    with pytest.raises(
        NotTrainable, match=r"train.weight gives 2 of 450 train rows no weight above 0, .*: 1 / trips"
    ):
        fit(frame, SCHEMA, quick("xgboost", weight="1 / trips"), BINARY)


@pytest.mark.parametrize("name", NAMES)
def test_balanced_probabilities_are_calibrated(name: str) -> None:
    """One label in 12: the balanced fit sees half of each, and yet tells the share that is there."""
    random = np.random.default_rng(3)
    frame = make_frame(rows=4000)
    few = frame["label"].to_numpy() * (random.random(4000) < 0.16)
    frame = frame.assign(label=few)
    balanced = fit(frame, SCHEMA, quick(name, balance=True), BINARY).predictor
    assert balanced.class_weights == pytest.approx(
        [0.5 / (1 - p) if k == 0 else 0.5 / p for k in (0, 1) for p in [few[:3000].mean()]]
    )
    found = balanced.score(frame).expected
    raw = balanced.estimator.predict_proba(frame[list(SCHEMA)])[:, 1]
    assert found.mean() == pytest.approx(few.mean(), abs=0.015)
    assert raw.mean() > 3 * few.mean()


def test_balance_counts_weights() -> None:
    frame = make_frame().assign(weight=lambda f: np.where(f["label"] == 1, 3.0, 1.0))
    first, second = fit(
        frame, SCHEMA, quick("xgboost", balance=True, weight="x"), BINARY
    ).predictor.class_weights
    train = frame[frame["split"] == "train"]
    assert second * 3 * train["label"].sum() == pytest.approx(first * (1 - train["label"]).sum())


# monotone


@pytest.fixture(scope="module")
def bound() -> Mapping[str, Fitted]:
    """Fits that must not rise with recency, though the label does."""
    ways = {"recency": "decreasing", "trips": "increasing"}
    return {
        f"{name} {kind}": fit(make_frame(kind), SCHEMA, quick(name, monotone=ways), TARGETS[kind])
        for name in TREES
        for kind in ("binary", "regression")
    }


@examples(8)
@given(
    values=st.lists(st.floats(-10, 100), min_size=2, max_size=40).map(sorted),
    usual=st.floats(-10, 100),
    favourite=st.sampled_from(["DELI", "FUEL", "MEAT", "ZOO", None]),
)
def test_monotone_holds_for_any_values(
    bound: Mapping[str, Fitted], values: list[float], usual: float, favourite: str | None
) -> None:
    count = len(values)
    columns = {
        "recency": [*values, *[usual] * count],
        "trips": [*[usual] * count, *values],
        "favourite": [favourite] * 2 * count,
    }
    for fitted in bound.values():
        by_recency, by_trips = np.split(scores(fitted, **columns), 2)
        assert (np.diff(by_recency) <= 0).all()
        assert (np.diff(by_trips) >= 0).all()


def test_without_monotone_the_score_rises_with_recency() -> None:
    for name in TREES:
        low, high = scores(fit(make_frame(), SCHEMA, quick(name), BINARY), recency=[5.0, 50.0])
        assert high > low + 0.2


# what the spec can't do for this target


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        (
            {"estimator": "logistic_regression"},
            "regression",
            "logistic_regression is for a binary or multiclass label, and this one is a regression; choose xgboost or "
            "hist_gradient_boosting",
        ),
        ({"balance": True}, "regression", "balance makes classes weigh the same, and a regression has none"),
        ({"monotone": {"recency": "increasing"}}, "multiclass", "monotone holds for one score"),
        (
            {"monotone": {"recncy": "increasing"}},
            "binary",
            "monotone: no feature recncy; did you mean recency",
        ),
        (
            {"monotone": {"favourite": "increasing"}},
            "binary",
            "favourite is VARCHAR, and categories have no order",
        ),
    ],
)
def test_what_cannot_serve_the_target_is_refused(given: dict[str, Any], kind: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fit(make_frame(kind), SCHEMA, Train.model_validate(given), TARGETS[kind])


# loss


def test_the_loss_by_hand() -> None:
    label = np.array([0, 1])
    assert loss_of(BINARY, label, Scores(np.array([0.2, 0.5]))) == pytest.approx(-np.log([0.8, 0.5]).mean())
    assert loss_of(REGRESSION, label, Scores(np.array([3.0, 5.0]))) == pytest.approx(np.sqrt((9 + 16) / 2))
    several = Scores(np.array([0.5, 0.5]), np.array([[0.7, 0.1, 0.2], [0.2, 0.5, 0.3]]))
    assert loss_of(CLASSES, label, several) == pytest.approx(-np.log([0.7, 0.5]).mean())
    assert loss_of(BINARY, label, Scores(np.array([1.0, 1.0]))) == pytest.approx(18.02, abs=0.01), "finite"


# the import


def test_the_spec_imports_nothing_heavy() -> None:
    heavy = "{'xgboost', 'sklearn', 'optuna', 'mlflow', 'scipy', 'matplotlib', 'pandera', 'pandas', 'skops'}"
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from ml_assets.training import Train; from ml_assets.training import fit, search, importance\n"
            "for name in ('hist_gradient_boosting', 'logistic_regression'): Train(estimator=name)\n"
            f"print(sorted({heavy} & set(sys.modules)))",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout == "[]\n", said.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_number_beyond_32_bits_is_refused_in_words_by_fit_and_score(name: str) -> None:
    frame, target = make_frame(), TARGETS["binary"]
    fitted = fit(frame, SCHEMA, quick(name), target)
    frame.loc[7, "recency"] = 1e39
    with pytest.raises(FrameError, match=r"recency is 1e\+39 in row 7"):
        fit(frame, SCHEMA, quick(name), target)
    with pytest.raises(FrameError, match=r"recency is 1e\+39 in row 7"):
        fitted.predictor.score(frame)
