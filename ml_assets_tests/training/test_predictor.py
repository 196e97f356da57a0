import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ml_assets.training.fit import fit
from ml_assets.training.predictor import (
    DESCRIPTION,
    PredictionError,
    Predictor,
    files_hash,
    load_predictor,
    scores_of,
)
from ml_assets.training.target import BINARY, REGRESSION
from ml_assets_tests.training.estimators.examples import CLASSES, SCHEMA, SERVED, TARGETS, make_frame, quick

OWN = "ml_assets_tests.training.estimators.own"
EVERY = [*SERVED, (f"{OWN}.ByCategory", "binary"), (f"{OWN}.ByCategory", "multiclass")]
Predictors = dict[tuple[str, str], Predictor]

ELSEWHERE = """
import sys
from pathlib import Path
from ml_assets.training.fit import fit
from ml_assets.training.predictor import files_hash, load_predictor
from ml_assets_tests.training.estimators.examples import SCHEMA, TARGETS, make_frame, quick

for name, kind, folder in (line.split() for line in sys.stdin):
    scores = load_predictor(Path(folder)).score(make_frame(kind))
    again = Path(folder + "_again")
    fit(make_frame(kind), SCHEMA, quick(name), TARGETS[kind]).predictor.save(again)
    print(name, kind, files_hash(again), scores.expected.tobytes().hex())
"""


@pytest.fixture(scope="module")
def predictors() -> Predictors:
    return {(n, k): fit(make_frame(k), SCHEMA, quick(n), TARGETS[k]).predictor for n, k in EVERY}


@pytest.mark.slow
def test_in_a_fresh_process_with_other_threads_all_is_the_same_to_the_byte(
    predictors: Predictors, tmp_path: Path
) -> None:
    lines, expected = [], []
    for (name, kind), predictor in predictors.items():
        folder = tmp_path / f"{name}_{kind}"
        predictor.save(folder)
        lines.append(f"{name} {kind} {folder}")
        scores = predictor.score(make_frame(kind)).expected
        expected.append(f"{name} {kind} {files_hash(folder)} {scores.tobytes().hex()}")
    other = "2" if os.environ.get("OMP_NUM_THREADS") == "1" else "1"
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), other)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input="\n".join(lines),
        env={**os.environ, **threads},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == expected, done.stderr


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_it_scores_the_same_after_it_was_stored(
    name: str, kind: str, predictors: Predictors, tmp_path: Path
) -> None:
    predictor, frame = predictors[name, kind], make_frame(kind, seed=8)
    predictor.save(tmp_path)
    again = load_predictor(tmp_path)
    assert (again.name, again.task.target, again.class_weights) == (name, TARGETS[kind], ())
    assert again.estimator.parameters == predictor.estimator.parameters
    first, second = predictor.score(frame).columns("x"), again.score(frame).columns("x")
    assert list(first) == list(second)
    for column in first:
        np.testing.assert_array_equal(first[column], second[column])


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_scores_go_by_the_name_of_a_column_and_the_order_of_the_rows(
    name: str, kind: str, predictors: Predictors
) -> None:
    frame = make_frame(kind)
    scores = predictors[name, kind].score(frame).expected
    assert (scores.shape, scores.dtype) == ((len(frame),), np.dtype("float64"))
    backwards = frame.iloc[::-1][[*reversed(frame.columns)]]
    np.testing.assert_array_equal(predictors[name, kind].score(backwards).expected, scores[::-1])


def test_a_frame_without_what_it_was_trained_on_is_refused_by_name(predictors: Predictors) -> None:
    name, kind = next(iter(predictors))
    predictor, frame = predictors[name, kind], make_frame(kind)
    first = next(iter(predictor.task.columns))
    with pytest.raises(
        PredictionError, match=f"The model was trained on {first}, which the frame lacks; it has "
    ):
        predictor.score(frame.drop(columns=first))


def test_scores_are_expected_labels() -> None:
    found = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    several = scores_of(CLASSES, found)
    np.testing.assert_allclose(several.expected, [1.3, 0.0])
    assert list(several.columns("candidate")) == [
        "score_candidate",
        *(f"score_candidate_{k}" for k in range(3)),
    ]
    np.testing.assert_array_equal(several.columns("candidate")["score_candidate_1"], [0.3, 0.0])
    assert list(scores_of(BINARY, found[:, 1:]).columns("baseline")) == ["score_baseline"]
    np.testing.assert_array_equal(scores_of(BINARY, found[:, 1:]).expected, [0.5, 0.0])
    np.testing.assert_array_equal(scores_of(REGRESSION, found[:, 0]).expected, [0.2, 1.0])


def test_class_weights_are_taken_out_of_the_probabilities(predictors: Predictors) -> None:
    plain = predictors["xgboost", "multiclass"]
    weighted = Predictor(plain.name, plain.estimator, (0.5, 1.0, 2.0))
    first, second = plain.score(make_frame("multiclass")), weighted.score(make_frame("multiclass"))
    assert first.classes is not None
    assert second.classes is not None
    by_hand = first.classes / [0.5, 1.0, 2.0]
    np.testing.assert_allclose(second.classes, by_hand / by_hand.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(second.classes.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (
            "OneColumn",
            r"predict_proba of estimator .*OneColumn gives shape \(600,\); \(600, 2\) expected: rows",
        ),
        ("NotANumber", r"NotANumber gives 1 of 600 rows no finite score; the first is row 2"),
        ("Odds", r"predict_proba of .*Odds gives no probabilities that sum to 1: \[.*\] in row "),
    ],
)
def test_wrong_scores_are_refused(own: str, said: str) -> None:
    with pytest.raises(PredictionError, match=said):
        fit(make_frame(), SCHEMA, quick(f"{OWN}.{own}"), BINARY)


def test_a_folder_is_for_one_model(predictors: Predictors, tmp_path: Path) -> None:
    predictors["xgboost", "binary"].save(tmp_path / "one")
    with pytest.raises(
        FileExistsError, match="one is not empty; a predictor is saved into a folder of its own"
    ):
        predictors["xgboost", "binary"].save(tmp_path / "one")
    with pytest.raises(PredictionError, match=f"There is no model in .*: it has no {DESCRIPTION}"):
        load_predictor(tmp_path)


def test_the_hash_of_files_sees_names_and_bytes(tmp_path: Path) -> None:
    hashes = set()
    for name, content in [("a", "x"), ("a", "y"), ("b", "y"), ("b", "")]:
        for path in tmp_path.iterdir():
            path.unlink()
        (tmp_path / name).write_text(content)
        hashes.add(files_hash(tmp_path))
    assert len(hashes) == 4
