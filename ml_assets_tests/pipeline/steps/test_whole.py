"""Every step of a project, from landing to performance, without Dagster; and what a step says that can't be done."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from ml_assets.lake import Lake, as_ranges, connect, content_hash
from ml_assets.landing import by_day
from ml_assets.pipeline.book import book_of
from ml_assets.pipeline.due.features import buildable_days, edges
from ml_assets.pipeline.due.landing import due_days
from ml_assets.pipeline.due.model import days_to_score, stale_labels, stale_performance
from ml_assets.pipeline.run import CannotRun, Run
from ml_assets.pipeline.steps.candidate import Workplace, train_candidates
from ml_assets.pipeline.steps.drift import watch_days
from ml_assets.pipeline.steps.drift_report import report_drift
from ml_assets.pipeline.steps.evaluation import evaluate_cutoff
from ml_assets.pipeline.steps.features import build_catalogue, build_snapshots, build_tiles
from ml_assets.pipeline.steps.labels import gather_training_sets, label_cutoffs
from ml_assets.pipeline.steps.performance import judge_cohorts
from ml_assets.pipeline.steps.predictions import predict
from ml_assets.pipeline.steps.source import build_events, copy_landing
from ml_assets.project.model import DeclaredModel
from ml_assets.project.project import Project
from ml_assets.registry.mlflow_registry import Registry
from ml_assets.registry.promotion import promote
from ml_assets.registry.promotion_log import ChampionOnRecord, champion_on_record
from ml_assets.registry.trial import trial_process
from ml_assets_tests import visits
from ml_assets_tests.conftest import LANDED
from ml_assets_tests.places import USE_CASES

CUTOFF = date(2024, 3, 4)
KEYS = {
    "visits/events": ("event_date", ["event_date", "visit_id", "row_number"]),
    "visitor_features/tiles": ("available_date", ["available_date", "event_date", "visitor_id"]),
    "visitor_features/snapshot": ("as_of", ["as_of", "visitor_id"]),
    "churn/labels": ("as_of", ["as_of", "visitor_id"]),
    "churn/training_set": ("cutoff", ["cutoff", "as_of", "visitor_id"]),
}
"""Table -> its partition column and a key of its rows."""


@dataclass(frozen=True)
class Walk:
    """The mini use case below a folder."""

    home: Path

    @property
    def project(self) -> Project:
        return Project(USE_CASES / "mini" / "defs")

    @property
    def model(self) -> DeclaredModel:
        return self.project.models["churn"]

    @property
    def lake(self) -> Lake:
        return Lake(str(self.home / "lake"))

    @property
    def registry(self) -> Registry:
        return Registry.below(self.home)

    def hashes(self, lake: Lake) -> dict[str, str]:
        with connect() as con:
            return {
                name: content_hash(lake.table(name, by).read(con), key) for name, (by, key) in KEYS.items()
            }

    def to_features(self, con: duckdb.DuckDBPyConnection) -> None:
        """Do what is due of the source and the group."""
        source, group = self.project.sources["visits"], self.project.groups["visitor_features"]
        due = due_days(con, source, self.lake, by_day(source.landing.listed()))
        for between in as_ranges(set(due.days)):
            assert not copy_landing(con, Run("raw"), source, self.lake, between).refused
            assert not build_events(con, Run("events"), source, self.lake, between).withheld
        for edge, build in zip(edges(group, self.lake), (build_tiles, build_snapshots), strict=True):
            stale, refused = buildable_days(con, self.lake, group, edge)
            assert not refused
            for between in as_ranges(stale):
                assert build(con, Run("features"), group, self.lake, between).rows

    def to_champion(self, con: duckdb.DuckDBPyConnection) -> None:
        """Label what is mature, train one cutoff, judge and promote it."""
        model, lake, registry = self.model, self.lake, self.registry
        stale = stale_labels(model, lake, visits.day(LANDED))
        for between in as_ranges(stale, timedelta(weeks=1)):
            label_cutoffs(con, Run("labels"), model, lake, between)
        (gathered,) = gather_training_sets(con, Run("training_set"), model, lake, (CUTOFF, CUTOFF))
        assert gathered.cutoff == CUTOFF
        place = Workplace(Run("training"), con, model, lake, registry, self.home / "training")
        with registry.parent_run(model.name, "training", "by hand") as parent:
            (trained,) = train_candidates(place, [CUTOFF], lambda: parent)
        assert trained.row["cutoff"] == CUTOFF
        with trial_process() as trials:
            judged = evaluate_cutoff(place, trials, CUTOFF)
        assert judged.decision.passed, judged.gate_rows
        promote(book_of(con, model, lake, registry), who="ada", run="by hand")


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The mini use case, landed, with nothing built."""
    home = tmp_path_factory.mktemp("walk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_ASSETS_MINI_LANDING", str(home / "landing"))
        visits.land(home / "landing", visits.day(0), visits.day(LANDED))
        made = Walk(home)
        made.registry.prepare()
        yield made


@pytest.mark.slow
def test_the_steps_alone_make_what_a_dagster_home_has(walk: Walk, finished_home: Path) -> None:
    model, lake = walk.model, walk.lake
    with connect() as con:
        walk.to_features(con)
        assert build_catalogue(con, Run("catalogue"), model.group, lake).rows
        walk.to_champion(con)
        champion = champion_on_record(con, model.tables(lake).promotions, model.name)
        assert champion == ChampionOnRecord(1, CUTOFF)
        for between in as_ranges(days_to_score(model, lake, champion.version, champion.cutoff)):
            assert predict(con, Run("predictions"), model, lake, walk.registry, between).rows
            assert watch_days(con, Run("drift"), model, lake, between).version == 1
        for between in as_ranges(stale_performance(model, lake), timedelta(weeks=1)):
            assert judge_cohorts(con, Run("performance"), model, lake, between)
        assert not days_to_score(model, lake, champion.version, champion.cutoff)
        assert not stale_performance(model, lake)
    assert walk.hashes(lake) == walk.hashes(Lake(str(finished_home / "data" / "lake")))


def test_a_step_that_can_not_be_done_says_what_is_missing(tmp_path: Path, walk: Walk) -> None:
    model, lake, registry = walk.model, Lake(str(tmp_path / "lake")), Registry.below(tmp_path)
    registry.prepare()
    span = (CUTOFF, CUTOFF)
    with connect() as con, trial_process() as trials:
        place = Workplace(Run("r"), con, model, lake, registry, tmp_path)
        with pytest.raises(CannotRun, match="visitor_features/snapshot has no rows yet"):
            build_catalogue(con, Run("r"), model.group, lake)
        with pytest.raises(CannotRun, match="There is no candidate of cutoff 2024-03-04"):
            evaluate_cutoff(place, trials, CUTOFF)
        with pytest.raises(CannotRun, match="churn has no champion, so there is nothing to predict with"):
            predict(con, Run("r"), model, lake, registry, span)
        with pytest.raises(CannotRun, match="There are no predictions of a champion to watch"):
            watch_days(con, Run("r"), model, lake, span)
        with pytest.raises(CannotRun, match="churn has no champion to report on"):
            report_drift(con, model, lake, registry, CUTOFF)


def test_nothing_has_landed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(tmp_path / "nowhere"))
    source = Project(USE_CASES / "mini" / "defs").sources["visits"]
    with connect() as con, pytest.raises(CannotRun, match="nowhere"):
        copy_landing(con, Run("r"), source, Lake(str(tmp_path / "lake")), (visits.day(0), visits.day(1)))


def test_this_file_needs_no_dagster() -> None:
    """Else the steps would be proven with Dagster in the process."""
    program = f"import sys, runpy; runpy.run_path({__file__!r}); print('dagster' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
