import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

from ml_assets.training import Train
from ml_assets.training.estimators import boosted_trees
from ml_assets.training.estimators.boosted_trees import CATEGORIES, CURVES, FILE, XGBoost
from ml_assets.training.fit import Fitted, fit
from ml_assets.training.frames import to_matrix
from ml_assets.training.target import BINARY, REGRESSION
from ml_assets_tests.training.estimators.examples import SCHEMA, TARGETS, make_frame, quick

LONG = {"rounds": 90, "early_stopping": 90, "learning_rate": 0.02, "subsample": 0.6, "colsample_bytree": 0.6}


def booster_of(fitted: Fitted) -> xgb.Booster:
    assert isinstance(fitted.predictor.estimator, XGBoost)
    return fitted.predictor.estimator.booster


def raw(fitted: Fitted) -> bytes:
    return bytes(booster_of(fitted).save_raw("ubj"))


class Killed(BaseException):
    """What takes the place of SIGKILL inside one process."""


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("at", [30, 50, 51, 89])
def test_a_fit_that_was_killed_goes_on_to_the_same_booster(
    kind: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boosted_trees, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    frame, spec, target = make_frame(kind), quick("xgboost", parameters=LONG), TARGETS[kind]
    whole = fit(frame, SCHEMA, spec, target)

    def killed(step: int, loss: float) -> None:
        if step == at:
            raise Killed

    with pytest.raises(Killed):
        fit(frame, SCHEMA, spec, target, checkpoint=tmp_path, report=killed)
    kept = xgb.Booster(model_file=tmp_path / FILE)
    assert kept.num_boosted_rounds() == (at - 1) // 25 * 25 > 0
    told: list[int] = []
    again = fit(frame, SCHEMA, spec, target, checkpoint=tmp_path, report=lambda n, _: told.append(n))
    assert told[0] == kept.num_boosted_rounds() + 1
    assert raw(again) == raw(whole)
    assert (again.curves, again.rounds, again.tune_loss) == (whole.curves, whole.rounds, whole.tune_loss)


@pytest.mark.slow
def test_a_process_that_was_killed_goes_on_in_another(tmp_path: Path) -> None:
    """A real one, by SIGKILL, while checkpoints are written as fast as they can be."""
    fitting = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from ml_assets_tests.training.estimators import test_boosted_trees as t\n"
        "t.boosted_trees.SECONDS_BETWEEN_CHECKPOINTS = 0.0\n"
        "def report(n, loss):\n"
        "    n == 70 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "spec = t.quick('xgboost', parameters=t.LONG)\n"
        "t.fit(t.make_frame(), t.SCHEMA, spec, t.BINARY, checkpoint=Path(sys.argv[1]), report=report)\n"
    )
    done = subprocess.run([sys.executable, "-c", fitting, str(tmp_path)], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr.decode()
    assert os.listdir(tmp_path) == [FILE]
    spec = quick("xgboost", parameters=LONG)
    again = fit(make_frame(), SCHEMA, spec, BINARY, checkpoint=tmp_path)
    assert raw(again) == raw(fit(make_frame(), SCHEMA, spec, BINARY))


def test_a_fit_takes_no_checkpoint_in_its_first_minute(tmp_path: Path) -> None:
    fit(make_frame(), SCHEMA, quick("xgboost", parameters=LONG), BINARY, checkpoint=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_samples_the_booster_is_that_of_xgboost_train() -> None:
    """The rounds are ours; each is XGBoost's own."""
    every = {"rounds": 60, "early_stopping": 60, "subsample": 1.0, "colsample_bytree": 1.0, "max_depth": 3}
    frame = make_frame()
    fitted = fit(frame, SCHEMA, quick("xgboost", parameters=every), BINARY)
    own = fitted.predictor.estimator
    assert isinstance(own, XGBoost)
    train = frame[frame["split"] == "train"]
    inputs = to_matrix(train, list(SCHEMA), json.loads(own.booster.attr(CATEGORIES) or ""))
    given = xgb.QuantileDMatrix(inputs, label=train["label"], feature_types=own.booster.feature_types)
    bare = xgb.train(own.xgboost_parameters, given, fitted.rounds)
    first, second = (json.loads(bytes(b.save_raw("json")))["learner"] for b in (own.booster, bare))
    assert first["gradient_booster"] == second["gradient_booster"]


def test_the_file_holds_the_categories_of_train_and_no_curves(tmp_path: Path) -> None:
    fitted = fit(make_frame(), SCHEMA, quick("xgboost"), BINARY)
    fitted.predictor.save(tmp_path)
    booster = xgb.Booster(model_file=tmp_path / FILE)
    assert json.loads(booster.attr(CATEGORIES) or "") == {
        "favourite": ["DELI", "FUEL", "MEAT"],
        "loyal": ["false", "true"],
    }
    assert booster.attr(CURVES) is None
    assert booster.feature_types == ["float", "float", "c", "c"]
    assert booster.num_boosted_rounds() == fitted.rounds


@pytest.mark.parametrize(
    ("given", "parameter", "value"),
    [
        ({"parameters": {"learning_rate": 0.5}}, "learning_rate", 0.5),
        ({"parameters": {"max_depth": 2}}, "max_depth", 2),
        ({"parameters": {"reg_lambda": 9}}, "reg_lambda", 9),
        ({"parameters": {"max_bin": 64}}, "max_bin", 64),
        ({"monotone": {"trips": "decreasing"}}, "monotone_constraints", {"trips": -1}),
        ({"device": "cuda"}, "device", "cuda"),
        ({"seed": 11}, "seed", 11),
    ],
    ids=str,
)
def test_what_is_declared_reaches_xgboost(given: dict[str, object], parameter: str, value: object) -> None:
    from ml_assets.training.estimators import Task

    spec = Train.model_validate(given)
    task = Task(BINARY, SCHEMA, spec.seed, spec.monotone_ways, spec.device)
    own = XGBoost(task, XGBoost.Parameters.model_validate(spec.parameters))
    assert own.xgboost_parameters[parameter] == value


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson", "tweedie"])
def test_every_loss_of_a_regression(loss: str) -> None:
    frame = make_frame("regression")
    fitted = fit(frame, SCHEMA, quick("xgboost"), REGRESSION, parameters={"loss": loss})
    found = fitted.predictor.score(frame).expected
    assert np.corrcoef(found, frame["label"])[0, 1] > 0.8
    assert found.mean() == pytest.approx(frame["label"].mean(), rel=0.1)


def test_scores_are_between_0_and_1() -> None:
    fitted = fit(make_frame(), SCHEMA, quick("xgboost"), BINARY)
    wild = pd.DataFrame(
        {"recency": [1e30, -1e30, np.nan], "trips": [0.0, 1e9, np.nan], "favourite": None, "loyal": None}
    )
    found = fitted.predictor.score(wild).expected
    assert ((found > 0) & (found < 1)).all()
