"""A model that is trained right after events: from the training set to the evaluation, and rebuilt."""

from datetime import date
from pathlib import Path

import pytest

from ml_assets.cli.app import main
from ml_assets.lake import connect
from ml_assets_tests.house import opened, scratch_defs

CUTOFF = "2024-03-04"


@pytest.mark.slow
def test_it_is_trained_at_its_moments_and_judged_at_the_cutoff(
    finished_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = scratch_defs(
        tmp_path / "after_each_defs",
        {"churn/defs.yaml": ("train:\n", "train:\n    after_each: channel = 'web'\n")},
    )
    with opened(tmp_path / "home", template=finished_home, module=module) as house:
        chain = ["churn/training_set", "churn/candidate", "churn/evaluation"]
        cutoff = date.fromisoformat(CUTOFF)
        assert house.run(chain, cutoff).success
        table = house.churn.tables(house.lake).training_set
        with connect() as con:
            rows = table.read(con, between=(cutoff, cutoff))
            found = {
                split: (many, at_midnight)
                for split, many, at_midnight in rows.aggregate(
                    "split, count(*), count(*) FILTER (WHERE moment = as_of::TIMESTAMPTZ)"
                ).fetchall()
            }
            labels = dict(rows.aggregate("label, count(*)").fetchall())
        assert found["train"][0] > 50
        assert found["train"][1] == 0
        assert found["tune"][0] == found["tune"][1] > 20
        assert min(labels[0], labels[1]) > 3
        monkeypatch.setenv("ML_ASSETS_DEFS", module)
        monkeypatch.setenv("ML_ASSETS_LAKE", house.lake.root)
        assert main(["models", "rebuild", "churn", CUTOFF]) == 0
        said = capsys.readouterr().out
        assert "from visits/events version" in said
        assert "from visitor_features/tiles version" in said
