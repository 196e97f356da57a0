import logging
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml_assets.training.estimators.histogram_trees import MOST_CATEGORIES, HistGradientBoosting
from ml_assets.training.estimators.skops_file import UntrustedModel, read_model, write_model
from ml_assets.training.fit import fit
from ml_assets.training.target import BINARY, REGRESSION
from ml_assets_tests.training.estimators.examples import SCHEMA, TARGETS, make_frame, quick

NAME = "hist_gradient_boosting"


def test_of_many_categories_the_most_frequent_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    random = np.random.default_rng(5)
    shops = np.array([f"shop {n:03}" for n in range(300)])
    often = np.r_[
        np.repeat(shops[:250], 24), np.repeat(shops[250:260], 3), shops[260:], np.repeat(shops[:250], 4)
    ]
    good = set(random.choice(shops[:250], 125, replace=False))
    label = np.array([shop in good for shop in often]).astype(int)
    split = np.where(np.arange(len(often)) < 6070, "train", "tune")
    frame = pd.DataFrame({"shop": often.astype(object), "label": label, "split": split})
    with caplog.at_level(logging.WARNING):
        predictor = fit(frame, {"shop": "VARCHAR"}, quick(NAME), BINARY).predictor
    assert "shop has 300 categories; hist_gradient_boosting tells the 255 most frequent apart" in caplog.text
    assert isinstance(predictor.estimator, HistGradientBoosting)
    assert list(predictor.estimator.categories["shop"]) == list(shops[:MOST_CATEGORIES])
    seen = pd.DataFrame({"shop": [*shops[:250], shops[260], shops[299], "shop 999", None]}, dtype=object)
    found = predictor.score(seen).expected
    assert (np.round(found[:250]) == [shop in good for shop in shops[:250]]).mean() > 0.95
    assert len(set(found[250:])) == 1, "rare, unseen and missing are one"


def test_255_categories_are_all_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    frame = make_frame().assign(shop=[f"shop {n % 255:03}" for n in range(600)])
    predictor = fit(frame, {"shop": "VARCHAR", "recency": "DOUBLE"}, quick(NAME), BINARY).predictor
    assert isinstance(predictor.estimator, HistGradientBoosting)
    assert len(predictor.estimator.categories["shop"]) == 255
    assert caplog.text == ""


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson"])
def test_every_loss_of_a_regression(loss: str) -> None:
    frame = make_frame("regression")
    fitted = fit(frame, SCHEMA, quick(NAME), REGRESSION, parameters={"loss": loss})
    found = fitted.predictor.score(frame).expected
    assert np.corrcoef(found, frame["label"])[0, 1] > 0.8


def test_the_curve_is_the_log_loss_of_tune_round_by_round() -> None:
    from sklearn.metrics import log_loss

    frame = make_frame()
    fitted = fit(frame, SCHEMA, quick(NAME), BINARY)
    estimator, tune = fitted.predictor.estimator, frame[frame["split"] == "tune"]
    assert isinstance(estimator, HistGradientBoosting)
    staged = estimator.model.staged_predict_proba(estimator._matrix(tune))
    by_hand = [log_loss(tune["label"], proba[:, 1]) for proba in staged]
    np.testing.assert_allclose(fitted.curves["tune"][: fitted.rounds], by_hand)


# the file


@pytest.mark.parametrize("kind", TARGETS)
def test_the_file_has_no_time_and_no_addresses(kind: str, tmp_path: Path) -> None:
    estimator = fit(make_frame(kind), SCHEMA, quick(NAME), TARGETS[kind]).predictor.estimator
    assert isinstance(estimator, HistGradientBoosting)
    write_model(estimator.model, tmp_path / "first")
    again = read_model(tmp_path / "first")
    write_model(again, tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    with zipfile.ZipFile(tmp_path / "first") as file:
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert not [name for name in file.namelist() if name.endswith(".pkl")]
        assert max(len(name) for name in file.namelist()) <= len("schema.json")


class Evil:
    """Writes a file once it is unpickled or built."""

    def __init__(self) -> None:
        self.value = 1


def test_a_file_of_other_types_is_refused_unread(tmp_path: Path) -> None:
    write_model(Evil(), tmp_path / "evil")
    with pytest.raises(
        UntrustedModel, match=r"evil holds .*test_histogram_trees\.Evil, which no model written by"
    ):
        read_model(tmp_path / "evil")


def test_a_pickle_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.skops").write_bytes(pickle.dumps({}))
    with pytest.raises(zipfile.BadZipFile):
        read_model(tmp_path / "model.skops")
