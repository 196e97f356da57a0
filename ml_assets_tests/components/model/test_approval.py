"""A model that a person approves, through the assets: what passed waits, and nothing else is held up."""

from pathlib import Path
from shutil import rmtree

import pytest

from ml_assets.cli.app import main
from ml_assets_tests.house import failures, opened, scratch_defs


def test_what_passed_waits_for_a_person(
    finished_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = scratch_defs(
        tmp_path / "approved_defs", {"churn/defs.yaml": ("  gates:", "  approval: manual\n  gates:")}
    )
    with opened(tmp_path / "home", template=finished_home, module=module) as house:
        promotions = house.churn.tables(house.lake).promotions
        rmtree(promotions.uri)
        house.registry.delete_alias("churn", "champion")
        asked = house.run(["churn/champion"])
        assert asked.success, failures(asked)
        assert (house.champion, house.registry.aliases("churn")) == (
            None,
            {"challenger": 1},
        )
        assert [p.phase.title for p in house.materialize(cutoffs=1)] == [], "it is not asked for again"
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
        monkeypatch.setenv("ML_ASSETS_DEFS", module)
        monkeypatch.setenv("ML_ASSETS_LAKE", house.lake.root)
        assert main(["models", "approve", "churn", "--why", "looked at the report"]) == 0
        assert "champion of churn: none -> version 1" in capsys.readouterr().out
        assert house.registry.aliases("churn") == {"champion": 1}
