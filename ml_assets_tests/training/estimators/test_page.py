"""The page docs/estimators.md says what the code does."""

import re
import sys
import types
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml

from ml_assets.training import Train
from ml_assets.training.estimators import NAMED, estimator_class
from ml_assets.training.fit import fit
from ml_assets.training.predictor import load_predictor
from ml_assets.training.target import BINARY
from ml_assets_tests.places import CHECKOUT
from ml_assets_tests.training.estimators.examples import SCHEMA, make_frame

PAGE = (CHECKOUT / "docs" / "estimators.md").read_text()
SIGNS = {"gt": "more than {:g}", "ge": "{:g} and more", "le": "up to {:g}"}


def rows_of(name: str) -> list[str]:
    """The rows of an estimator's table of parameters."""
    kind = estimator_class(name)
    rows = []
    for parameter, field in kind.Parameters.model_fields.items():
        words = get_args(field.annotation)
        bounds = [
            text.format(value)
            for sign, text in SIGNS.items()
            for bound in field.metadata
            if (value := getattr(bound, sign, None)) is not None
        ]
        found = ", ".join(map(str, words)) if words else ", ".join(bounds)
        low, high, *by = kind.space.get(parameter, ("", ""))
        searched = f"{low} to {high}{', by log' if by else ''}" if low != "" else ""
        rows.append(f"| `{parameter}` | {field.default} | {found} | {searched} | {field.description or ''} |")
    return rows


@pytest.mark.parametrize("name", NAMED)
def test_the_tables_list_every_parameter(name: str) -> None:
    section = PAGE.split(f"### {name}\n")[1].split("\n#")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows_of(name)


def test_every_yaml_on_the_page_is_a_spec() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        assert Train.model_validate(yaml.safe_load(block)["train"])


def test_the_class_on_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(code.splitlines()) <= 40
    module = types.ModuleType("churn_models")
    exec(code, vars(module))
    monkeypatch.setitem(sys.modules, "churn_models", module)
    spec = Train(estimator="churn_models.Neighbours", parameters={"neighbours": 30})
    frame = make_frame()
    predictor = fit(frame, SCHEMA, spec, BINARY).predictor
    predictor.save(tmp_path)
    found = load_predictor(tmp_path).score(frame).expected
    np.testing.assert_array_equal(found, predictor.score(frame).expected)
    assert np.corrcoef(found, frame["label"])[0, 1] > 0.5
