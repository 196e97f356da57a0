"""What a model needs is found out by a process that scores with it, and missed by one that lacks it."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

from ml_assets.registry import requirements
from ml_assets.registry.mlflow_registry import Registry
from ml_assets.registry.requirements import pins_of
from ml_assets.registry.trial import DATA, TrialProcess, trial_process
from ml_assets.training.fit import fit
from ml_assets.training.predictor import Predictor
from ml_assets_tests.evaluation.holdouts import SERVED, gate, make_holdout
from ml_assets_tests.training.estimators.examples import SCHEMA, TARGETS, make_frame, quick

ESTIMATOR = """
import json
from ml_assets_tests.evaluation.holdouts import SERVED, gate, make_holdout
from ml_assets_tests.training.estimators.own import ByCategory

class Rounded(ByCategory):
    def predict_proba(self, features):
        from roundabout.rounding import rounded
        return rounded(super().predict_proba(features))
"""
"""Imports what it needs only when it predicts."""
LIBRARY = """
import numpy as np

def rounded(shares):
    first = np.round(shares[:, :1], 2)
    return np.hstack([first, 1 - first])
"""
FEATURES = list(SCHEMA)
pytestmark = pytest.mark.slow


def install(site: Path, name: str, number: str, files: dict[str, str]) -> None:
    """A distribution as an installer leaves it in a folder of packages."""
    info = f"{name.replace('-', '_')}-{number}.dist-info"
    files = {**files, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n"}
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages that this process finds; the project's own code, which every process finds, lies beside them."""
    packages, code = tmp_path / "packages", tmp_path / "code"
    install(packages, "round-about", "1.2", {"roundabout/__init__.py": "", "roundabout/rounding.py": LIBRARY})
    code.mkdir()
    (code / "house_estimators.py").write_text(ESTIMATOR)
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.syspath_prepend(str(code))
    monkeypatch.setenv("PYTHONPATH", f"{code}:{':'.join(filter(None, sys.path[2:]))}")
    return packages


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in ("roundabout", "house_estimators")]:
        del sys.modules[name]


def fitted(name: str) -> Predictor:
    return fit(make_frame("binary"), SCHEMA, quick(name), TARGETS["binary"]).predictor


def test_a_model_without_a_package_it_needs_is_refused_at_the_gate(site: Path, prepared: Registry) -> None:
    predictor, rows = fitted("house_estimators.Rounded"), make_frame("binary")[FEATURES].head(20)
    with trial_process(sys.path) as trials, prepared.run("rounded", "a", {}):
        found = prepared.log_model("rounded", predictor, rows.head(5), {"cutoff": "2024-03-04"}, trials)
    artifact = prepared.artifact(found)
    pinned = (artifact / "requirements.txt").read_text().splitlines()
    assert "round-about==1.2" in pinned
    assert f"pandas=={version('pandas')}" in pinned
    assert not [pin for pin in pinned if pin.startswith(("xgboost", "pytest", "ml-assets", "ml_assets"))]

    with trial_process(sys.path) as whole:
        trial = whole.run(artifact, rows)
    assert (trial.error, trial.differing) == ("", ())
    assert list(trial.scores) == predictor.score(rows).expected.tolist()
    with trial_process() as lacking:
        trial = lacking.run(artifact, rows)
    served = replace(SERVED, same_scores=None, differing=trial.differing, error=trial.error)
    refused = gate("reloads_and_predicts", make_holdout(), served=served)
    assert (refused.status, refused.reason) == (
        "FAIL",
        "A fresh process could not score with the model: round-about 1.2 is needed, and not installed: add "
        "round-about==1.2 to the project's packages; ModuleNotFoundError: No module named 'roundabout'.",
    )


@pytest.fixture(scope="module")
def process() -> Iterator[TrialProcess]:
    with trial_process(sys.path) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "libraries"),
    [
        ("logistic_regression", {"numpy", "pandas", "pydantic", "scipy"}),
        ("hist_gradient_boosting", {"numpy", "pandas", "pydantic", "scipy", "scikit-learn", "skops"}),
        ("xgboost", {"numpy", "pandas", "pydantic", "scipy", "xgboost-cpu"}),
    ],
)
def test_of_a_built_in_estimator_all_it_imports_is_pinned(
    process: TrialProcess, tmp_path: Path, name: str, libraries: set[str]
) -> None:
    fitted(name).save(tmp_path / DATA)
    pins = dict(pin.split("==") for pin in process.imports(tmp_path, make_frame("binary")[FEATURES].head(5)))
    assert libraries <= pins.keys()
    assert {library: version(library) for library in pins} == pins
    assert not {"dagster", "mlflow", "ml-assets"} & pins.keys()
    assert not {"pyarrow", "pytest", "rich"} & pins.keys(), "what libraries can do without"


def test_of_a_model_that_cannot_be_read_what_was_imported_is_pinned(
    process: TrialProcess, tmp_path: Path
) -> None:
    assert f"pandas=={version('pandas')}" in process.imports(tmp_path, make_frame("binary")[FEATURES].head(5))


def test_of_distributions_that_share_a_package_the_one_with_the_file_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in (1, 2):
        install(tmp_path, f"shared-{n}", f"{n}.0", {f"shared_namespace/part_{n}.py": ""})
    monkeypatch.syspath_prepend(str(tmp_path))
    requirements._installed.cache_clear()
    import_module("shared_namespace.part_2")
    assert pins_of(["shared_namespace.part_2", "sys", "of_no_distribution"]) == ("shared-2==2.0",)
    requirements._installed.cache_clear()
