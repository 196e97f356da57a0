"""Drills on the mini use case, from its finished project, and what can't be drilled."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from shutil import copytree

import pytest

from ml_assets.instance.progress import heard_by
from ml_assets.instance.refusal import Refusal
from ml_assets.lake import connect
from ml_assets.landing.tables import SourceTables
from ml_assets.monitoring.rehearse.drills.incidents import INCIDENTS, Incident
from ml_assets.monitoring.rehearse.drills.reaction import DrillVerdict
from ml_assets.monitoring.rehearse.drills.roles import RolesError
from ml_assets.operations.drill import Drill, set_up
from ml_assets.operations.scratch import INSTANCE, WHOLE, Scratch, copy_of
from ml_assets.project.project import Project
from ml_assets_tests import visits
from ml_assets_tests.house import MINI
from ml_assets_tests.told import Told

START = visits.day(71)
"""The day after the last that has landed in the finished project."""


@pytest.fixture(scope="module")
def producer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("producer") / "landing"
    visits.land(folder, visits.START, visits.END)
    return folder


@pytest.fixture
def project(producer: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(producer))
    return Project.of(MINI)


@pytest.fixture(scope="module")
def base(finished_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """The finished project as the base of a scratch; its landing log knows the files by their content."""
    root = tmp_path_factory.mktemp("base") / "home"
    copytree(finished_home / "data", root / "data")
    copytree(finished_home / "landing", root / "data" / "landing" / "visits")
    (root / "dagster.yaml").write_text(INSTANCE)
    (root / WHOLE).write_text("{}")
    return Scratch(root, MINI)


def rehearsed(
    incident: Incident, project: Project, base: Scratch, root: Path
) -> tuple[DrillVerdict, list[str]]:
    told = Told()
    drill = Drill(incident, set_up(project, incident, start=START), copy_of(base, root))
    with heard_by(told):
        return drill.run(), told.lines


def events_of(scratch_root: Path, day: date) -> int:
    with connect() as con:
        lake = Scratch(scratch_root, MINI).lake
        rows = SourceTables.of(lake, "visits").events.read(con, between=(day, day))
        return int(rows.aggregate("count(*)").fetchall()[0][0])


def test_amounts_that_are_empty_are_withheld_and_told(
    project: Project, base: Scratch, tmp_path: Path
) -> None:
    incident = replace(INCIDENTS["null_column"], days=1)
    verdict, told = rehearsed(incident, project, base, tmp_path / "drill")
    assert verdict.as_expected, (verdict, told)
    assert "block by visits refused_share on day 0" in verdict.observed
    text = "\n".join(told)
    assert f"day 0  {START}  landed {START}.parquet" in text
    assert f"withheld  {START}: refused_share: 100 percent found" in text
    assert (
        "alert   dagster._core.definitions.events.Failure: 1 of 1 days of visits break their contract" in text
    )
    assert events_of(tmp_path / "drill", START) == 0
    assert (base.staged("visits") / f"{visits.day(70)}.parquet").exists()
    assert not (base.staged("visits") / f"{START}.parquet").exists(), "the base stays as it is"


@pytest.mark.slow
def test_a_late_day_is_taken_in_when_it_comes(project: Project, base: Scratch, tmp_path: Path) -> None:
    incident = replace(INCIDENTS["late_day"], late=1, days=2)
    verdict, told = rehearsed(incident, project, base, tmp_path / "drill")
    assert verdict.as_expected, (verdict, told)
    assert events_of(tmp_path / "drill", START) == len(visits.visits_of(START))
    text = "\n".join(told)
    assert f"day 0  {START}  landed nothing" in text
    assert f"landed {START}.parquet, {visits.day(72)}.parquet" in text


@pytest.mark.slow
def test_what_is_not_as_expected_is_said(project: Project, base: Scratch, tmp_path: Path) -> None:
    calm = replace(INCIDENTS["late_day"], name="calm", late=0, days=1)
    wrong = replace(calm, expected=INCIDENTS["unit_change"].expected)
    verdict, told = rehearsed(wrong, project, base, tmp_path / "drill")
    assert not verdict.as_expected
    assert verdict.why == "there was no block within 2 days, no retrain", told


def test_a_day_is_chosen_that_leaves_two_horizons(project: Project) -> None:
    chosen = set_up(project, INCIDENTS["late_day"])
    assert (chosen.start, chosen.last) == (date(2024, 3, 11), visits.END)
    assert (chosen.source.name, chosen.model.name) == ("visits", "churn")


def test_the_entity_is_that_of_the_features_and_the_rest_is_declared(project: Project) -> None:
    assert set_up(project, INCIDENTS["population_shift"]).columns == {
        "entity": "visitor_id",
        "visit": "visit_id",
    }
    assert set_up(project, INCIDENTS["new_category"]).columns == {"category": "channel"}


def test_what_can_not_be_drilled_is_said(project: Project) -> None:
    calm = INCIDENTS["late_day"]
    with pytest.raises(Refusal, match="there is no model lapse to watch; there are churn"):
        set_up(project, calm, model="lapse")
    with pytest.raises(Refusal, match="there is no model on orders to watch; there are churn"):
        set_up(project, calm, source="orders")
    with pytest.raises(
        Refusal, match="visits has files from 2024-01-01 to 2024-03-25; a drill starts on a day after"
    ):
        set_up(project, calm, start=date(2025, 1, 1))
    with pytest.raises(RolesError, match="store_closing changes the store, and visits doesn't say which"):
        set_up(project, INCIDENTS["store_closing"])
