"""Every incident on the default project, through its real sensors: what it does about each, and nothing else."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from ml_assets.instance.progress import heard_by
from ml_assets.lake import connect
from ml_assets.landing.completejourney import land
from ml_assets.monitoring.rehearse.drills.incidents import INCIDENTS
from ml_assets.monitoring.rehearse.drills.reaction import DrillVerdict
from ml_assets.operations.drill import Drill, Stage, set_up
from ml_assets.operations.scratch import Scratch, base_of, copy_of
from ml_assets.project.project import Project
from ml_assets_tests.once import Once
from ml_assets_tests.told import Told

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1200)]


class Rehearsed(NamedTuple):
    """A drill that is over."""

    verdict: DrillVerdict
    told: str
    stage: Stage
    scratch: Scratch


Rehearse = Callable[[str], Rehearsed]


@pytest.fixture(scope="session")
def home(once: Once) -> Path:
    """A project where the year has landed, with the base of all drills."""

    def make(root: Path) -> None:
        land(root / "data" / "landing" / "transactions")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ML_ASSETS_HOME", str(root))
            project = Project.of("ml_assets.defs")
            base_of(project, set_up(project, INCIDENTS["late_day"]).start, root / "data" / "drills")

    return once("drills", make)


@pytest.fixture
def project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("ML_ASSETS_HOME", str(home))
    return Project.of("ml_assets.defs")


@pytest.fixture
def rehearse(project: Project, home: Path, tmp_path: Path) -> Rehearse:
    """Drills an incident on a copy of the base."""

    def drilled(name: str) -> Rehearsed:
        stage, told = set_up(project, INCIDENTS[name]), Told()
        with heard_by(told):
            scratch = copy_of(base_of(project, stage.start, home / "data" / "drills"), tmp_path / "scratch")
            verdict = Drill(INCIDENTS[name], stage, scratch).run()
        text = "\n".join(told.lines)
        print(text)
        return Rehearsed(verdict, text, stage, scratch)

    return drilled


@pytest.mark.parametrize("name", [name for name in INCIDENTS if name not in ("late_day", "price_inflation")])
def test_the_project_does_what_it_should(rehearse: Rehearse, name: str) -> None:
    done = rehearse(name)
    assert done.verdict.as_expected, done


def test_prices_that_rise_are_learnt_by_the_model_of_money_alone(rehearse: Rehearse) -> None:
    done = rehearse("price_inflation")
    assert done.verdict.as_expected, done
    assert "retrain" not in done.verdict.observed, "who lapses doesn't follow from prices"
    assert "done    spend_next_28d_retrain: spend_next_28d/candidate" in done.told


def test_a_late_day_is_taken_in_when_it_comes(rehearse: Rehearse) -> None:
    done = rehearse("late_day")
    assert done.verdict.as_expected, done
    day = done.stage.start
    with connect() as con:
        events = done.stage.source.tables(done.scratch.lake).events
        ((rows,),) = events.read(con, between=(day, day)).aggregate("count(*)").fetchall()
        snapshot = done.stage.model.group.snapshot(done.scratch.lake).read(
            con, between=(day, day + timedelta(days=5))
        )
        days = snapshot.aggregate("count(DISTINCT as_of)").fetchall()
    assert rows > 1000
    assert days == [(6,)], "every as_of of the drill has its snapshot in the end"
