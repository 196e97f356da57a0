"""What is known of a declared model."""

import hashlib
import json
from pathlib import Path
from shutil import copytree

import pytest

from ml_assets.project.project import Project
from ml_assets_tests.places import USE_CASES

MINI = USE_CASES / "mini" / "defs"


@pytest.fixture(autouse=True)
def landing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(tmp_path))


def test_a_limit_of_a_later_release_leaves_older_verdicts_standing(tmp_path: Path) -> None:
    model = Project(MINI).models["churn"]
    gates = model.spec.gates.model_dump(exclude={"too_good"})
    facts = [gates, None, model.spec.slices, model.spec.groups]
    assert model.policy == hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    edited = tmp_path / "edited"
    copytree(MINI, edited)
    yaml = edited / "churn" / "defs.yaml"
    yaml.write_text(yaml.read_text().replace("minimum_rows: 20\n    mini", "too_good: 0.9\n    mini"))
    assert "too_good" in yaml.read_text()
    assert Project(edited).models["churn"].policy != model.policy
