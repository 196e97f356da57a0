"""A model that a person approves, through the assets: what passed waits, and nothing else is held up."""

from pathlib import Path

import pytest

from ml_assets.cli import main
from ml_assets_tests.components.conftest import LANDED
from ml_assets_tests.components.house import opened, scratch_defs


def test_what_passed_waits_for_a_person(
    landed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = scratch_defs(
        tmp_path / "approved_defs", {"churn/defs.yaml": ("  gates:", "  approval: manual\n  gates:")}
    )
    with opened(tmp_path / "home", template=landed_home, module=module) as house:
        house.land(30, LANDED)
        done = house.materialize(cutoffs=1)
        assert all(phase.success for phase in done), [p.messages for p in done]
        assert (house.registry.champion("churn"), house.registry.aliases("churn")) == (
            None,
            {"challenger": 1},
        )
        assert [p.phase.title for p in house.materialize(cutoffs=1)] == [], "it is not asked for again"
        monkeypatch.setenv("ML_ASSETS_DEFS", module)
        monkeypatch.setenv("ML_ASSETS_LAKE", house.lake.root)
        assert main(["approve", "churn", "--why", "looked at the report"]) == 0
        assert "champion of churn: none -> version 1" in capsys.readouterr().out
        assert house.registry.aliases("churn") == {"champion": 1}
        assert "churn: predictions, drift" in [p.phase.title for p in house.materialize(cutoffs=1)]
