"""A landing folder whose path some would take for a pattern or a URL is read as it is called, and no other."""

from pathlib import Path

import pytest

from ml_assets.lake import Lake, connect
from ml_assets.pipeline.run import Run
from ml_assets.pipeline.steps.source import build_events, copy_landing
from ml_assets.project.project import Project
from ml_assets_tests import visits
from ml_assets_tests.house import MINI


@pytest.mark.parametrize(
    ("name", "decoy"),
    [("in [v2]", "in v"), ("a*b", "axb"), ("a?b", "axb"), ("a#b", "a"), ("a%20b", "a b"), ("it's", "its")],
)
def test_a_landing_folder_is_read_as_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, decoy: str
) -> None:
    day = visits.day(0)
    visits.land(tmp_path / name, day, day)
    visits.land(tmp_path / decoy, day, day, salt="other amounts")
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(tmp_path / name))
    source, lake = Project.of(MINI).sources["visits"], Lake(str(tmp_path / "lake"))
    with connect() as con:
        copy_landing(con, Run("raw"), source, lake, (day, day))
        build_events(con, Run("events"), source, lake, (day, day))
        found = source.tables(lake).events.read(con).order("visit_id").select("visit_id, amount").fetchall()
    wanted = [(row["visit_id"], row["amount"]) for row in visits.visits_of(day)]
    assert found == sorted(wanted)
