"""Every incident on the default project, through its real sensors: what it does about each, and nothing else."""

from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from ml_assets.instance.progress import heard_by
from ml_assets.lake import connect
from ml_assets.landing.completejourney import land
from ml_assets.monitoring.rehearse.drills import INCIDENTS, Verdict
from ml_assets.operations.drill import Drill, Stage, set_up
from ml_assets.operations.scratch import Scratch, alone, base_of, copy_of
from ml_assets.project.project import Project
from ml_assets_tests.told import Told

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1200)]


class Rehearsed(NamedTuple):
    """A drill that is over."""

    verdict: Verdict
    told: str
    stage: Stage
    scratch: Scratch


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project where the year has landed and nothing is materialized."""
    root = tmp_path_factory.mktemp("drills") / "home"
    land(root / "data" / "landing" / "transactions")
    return root


@pytest.fixture
def project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("ML_ASSETS_HOME", str(home))
    return Project("ml_assets.defs")


def rehearse(project: Project, home: Path, name: str) -> Rehearsed:
    stage, drills, told = set_up(project, INCIDENTS[name]), home / "data" / "drills", Told()
    with alone(drills), heard_by(told):
        scratch = copy_of(base_of(project, stage.start, drills), drills / name)
        told.lines.clear()
        verdict = Drill(INCIDENTS[name], stage, scratch).run()
    text = "\n".join(told.lines)
    print(text)
    return Rehearsed(verdict, text, stage, scratch)


@pytest.mark.parametrize("name", [name for name in INCIDENTS if name not in ("late_day", "price_inflation")])
def test_the_project_does_what_it_should(project: Project, home: Path, name: str) -> None:
    done = rehearse(project, home, name)
    assert done.verdict.as_expected, done


def test_prices_that_rise_are_learnt_by_the_model_of_money_alone(project: Project, home: Path) -> None:
    done = rehearse(project, home, "price_inflation")
    assert done.verdict.as_expected, done
    assert "retrain" not in done.verdict.observed, "who lapses doesn't follow from prices"
    assert "done    spend_next_28d_retrain_on_evidence: spend_next_28d/candidate" in done.told


def test_a_late_day_is_taken_in_when_it_comes(project: Project, home: Path) -> None:
    done = rehearse(project, home, "late_day")
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
