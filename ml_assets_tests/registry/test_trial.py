"""The fresh process that tries a model: real processes, on the files of a real artifact."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml_assets.registry.trial import DATA, TrialProcess, quantile, trial_process
from ml_assets.training.fit import fit
from ml_assets.training.predictor import Predictor
from ml_assets.training.spec import Train
from ml_assets.training.target import BINARY

SCHEMA = {"x": "DOUBLE", "kind": "VARCHAR"}


def rows(n: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(1)
    x = random.normal(size=n)
    return pd.DataFrame(
        {
            "x": x,
            "kind": np.where(random.random(n) < 0.5, "a", "b"),
            "label": (x + random.normal(size=n) > 0).astype(int),
            "split": np.where(np.arange(n) % 4, "train", "tune"),
        }
    )


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    train = Train(parameters={"rounds": 5, "early_stopping": 5})
    return fit(rows(), SCHEMA, train, BINARY).predictor


@pytest.fixture(scope="module")
def process() -> Iterator[TrialProcess]:
    with trial_process() as running:
        yield running


@pytest.fixture
def artifact(predictor: Predictor, tmp_path: Path) -> Path:
    predictor.save(tmp_path / DATA)
    (tmp_path / "requirements.txt").write_text(f"pandas=={version('pandas')}\nnumpy=={version('numpy')}\n")
    return tmp_path


@pytest.mark.slow
def test_a_fresh_process_gives_the_same_scores(
    process: TrialProcess, artifact: Path, predictor: Predictor
) -> None:
    frame = rows()[list(SCHEMA)].head(20)
    found = process.run(artifact, frame)
    assert (found.error, found.differing) == ("", ())
    assert list(found.scores) == predictor.score(frame).expected.tolist()
    assert 0 < found.latency_ms <= found.latency_p99_ms
    assert found.size_bytes == sum(p.stat().st_size for p in artifact.rglob("*") if p.is_file())


def test_other_packages_are_named(process: TrialProcess, artifact: Path) -> None:
    (artifact / "requirements.txt").write_text(
        f"pandas==0.0.1\nnumpy=={version('numpy')}\nno-such-package==3\n"
    )
    assert process.run(artifact, rows()[list(SCHEMA)].head(2)).differing == (
        f"pandas 0.0.1 is pinned, {version('pandas')} is installed",
        "no-such-package 3 is needed, and not installed: add no-such-package==3 to the project's packages",
    )


def test_a_model_that_cannot_be_read_is_told_and_the_next_is_tried(
    process: TrialProcess, artifact: Path, tmp_path: Path
) -> None:
    booster = artifact / DATA / "booster.ubj"
    whole = booster.read_bytes()
    booster.write_bytes(whole[: len(whole) // 2])
    frame = rows()[list(SCHEMA)].head(3)
    broken = process.run(artifact, frame)
    assert (broken.scores, bool(broken.error)) == ((), True)
    booster.write_bytes(whole)
    assert len(process.run(artifact, frame).scores) == 3


def test_a_process_that_dies_is_told(artifact: Path) -> None:
    with trial_process() as running:
        running.process.kill()
        running.process.wait()
        assert (
            running.run(artifact, rows()[list(SCHEMA)].head(2)).error == "the process ended with exit code -9"
        )


def test_quantile() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
