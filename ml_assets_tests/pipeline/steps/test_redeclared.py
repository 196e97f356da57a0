"""What becomes of a champion when a feature or the label is declared otherwise: refused or judged anew, never mixed up."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from shutil import copytree

import duckdb
import pytest

from ml_assets.components.model.drift import _histograms
from ml_assets.lake import Lake, as_ranges, connect
from ml_assets.landing import by_day
from ml_assets.operations.versions import smoke_prediction
from ml_assets.pipeline.book import book_of
from ml_assets.pipeline.definitions import of_features
from ml_assets.pipeline.due.features import edges
from ml_assets.pipeline.due.landing import due_days
from ml_assets.pipeline.due.model import days_to_score, stale_labels
from ml_assets.pipeline.facts import facts
from ml_assets.pipeline.run import CannotRun, Run
from ml_assets.pipeline.steps.candidate import Workplace, train_candidates
from ml_assets.pipeline.steps.drift import watch_days
from ml_assets.pipeline.steps.drift_report import report_drift
from ml_assets.pipeline.steps.evaluation import evaluate_cutoff
from ml_assets.pipeline.steps.features import build_snapshots, build_tiles
from ml_assets.pipeline.steps.labels import gather_training_sets, label_cutoffs
from ml_assets.pipeline.steps.performance import judge_cohorts
from ml_assets.pipeline.steps.predictions import predict
from ml_assets.pipeline.steps.source import build_events, copy_landing
from ml_assets.project.model import DeclaredModel
from ml_assets.project.project import Project
from ml_assets.registry.card import card_markdown
from ml_assets.registry.mlflow_registry import Registry, RegistryError
from ml_assets.registry.pins import TAG, pins_of
from ml_assets.registry.trial import trial_process
from ml_assets_tests import visits
from ml_assets_tests.conftest import LANDED
from ml_assets_tests.places import redeclared

pytestmark = pytest.mark.slow
LAST, CUTOFF, NEXT = visits.day(LANDED + 1), date(2024, 3, 4), date(2024, 3, 11)
OTHER = "d1:000000000000000000000000"


@dataclass(frozen=True)
class Shop:
    """The mini use case below a folder, with version 1 as champion of ``CUTOFF``."""

    con: duckdb.DuckDBPyConnection
    home: Path
    model: DeclaredModel

    @property
    def lake(self) -> Lake:
        return Lake(str(self.home / "data" / "lake"))

    @property
    def registry(self) -> Registry:
        return Registry.below(self.home / "data")

    def predict(self, day: date = LAST) -> int:
        return predict(self.con, Run("predict"), self.model, self.lake, self.registry, (day, day)).version

    def redefine(self, day: date, **definitions: str | None) -> None:
        """Let the snapshot of a day be by another definition of these features; None: without them."""
        snapshot = self.model.group.snapshot(self.lake)
        followed = {name: h for name, h in {**of_features(self.model), **definitions}.items() if h}
        made = replace(snapshot.made(day).provenance, definitions=followed)
        snapshot.replace(snapshot.read(self.con, between=(day, day)), between=(day, day), provenance=made)


@pytest.fixture
def shop(finished_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    home = copytree(finished_home, tmp_path / "home")
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(home / "landing"))
    with connect() as con:
        made = Shop(con, home, Project(redeclared(home / "defs", {})).models["churn"])
        made.redefine(LAST)
        yield made


@pytest.mark.parametrize(
    ("spend", "said"),
    [(OTHER, "has it by 00000000"), (None, "doesn't have it")],
    ids=["otherwise", "no more"],
)
def test_the_champion_scores_only_what_it_was_trained_on(shop: Shop, spend: str | None, said: str) -> None:
    predictions = shop.model.tables(shop.lake).predictions
    assert shop.predict() == 1
    shop.redefine(LAST, spend=spend)
    before = predictions.version
    words = (
        rf"Version 1 of churn can't score this: it was trained on spend by definition \w+, and visitor_features/snapshot "
        rf"of {LAST} {said}. Either restore the declaration .* \({{name: spend, sum: amount, windows: \[14d\]}}, and .*, "
        rf"or train anew: .* of a cutoff after {CUTOFF}"
    )
    with pytest.raises(CannotRun, match=words):
        shop.predict()
    book = book_of(shop.con, shop.model, shop.lake, shop.registry)
    with pytest.raises(RegistryError, match=words):
        smoke_prediction(shop.model, shop.lake, book, shop.registry.version("churn", 1))
    assert predictions.version == before
    assert LAST not in days_to_score(shop.model, shop.lake, 1, None), "what is scored is history"


def test_a_version_of_before_pins_scores_as_ever(shop: Shop) -> None:
    shop.redefine(LAST, spend=OTHER)
    shop.registry.client().delete_model_version_tag("churn", "1", TAG)
    assert shop.predict() == 1


def test_drift_does_not_compare_across_definitions(shop: Shop) -> None:
    shop.predict()
    shop.redefine(LAST, spend=OTHER)
    watched = watch_days(shop.con, Run("drift"), shop.model, shop.lake, (LAST, LAST))
    [day] = watched.days
    assert {drift.feature for drift in day.drifts} == {
        *set(shop.model.group.features.columns) - {"spend"},
        "score",
        "rows",
    }
    assert "spend" not in {bars.name for bars in _histograms(day, watched.profiles)}
    assert day.verdict.reason.endswith("declared otherwise since version 1 scored: spend.")
    report = report_drift(shop.con, shop.model, shop.lake, shop.registry, LAST)
    assert "spend" not in {row["column"] for row in report.table}
    assert len(report.table) == len(shop.model.group.features.columns) - 1


def test_the_card_shows_the_definition_of_each_feature_and_what_has_changed(shop: Shop) -> None:
    book = book_of(shop.con, shop.model, shop.lake, shop.registry)
    version = shop.registry.version("churn", 1)
    pinned = {name: hashed.removeprefix("d1:")[:8] for name, hashed in pins_of(version).items()}
    edits = {"visitor_features/defs.yaml": ("name: spend, sum: amount", "name: spend, sum: amount * 2")}
    other = Project(redeclared(shop.home / "other", edits)).models["churn"]
    now = of_features(other)["spend"].removeprefix("d1:")[:8]
    card = card_markdown(facts(book, other, shop.lake, version))
    assert f"| channel | The channel used most | {pinned['channel']} |" in card
    assert f"| spend | Money spent, USD | {pinned['spend']}, declared today is {now} |" in card
    assert f"| Definition of the label | {pinned['the label']} |" in card


def test_another_label_has_the_champion_judged_anew_on_it(shop: Shop) -> None:
    edits = {"churn/defs.yaml": ('absent: "amount >= 0"', 'absent: "amount >= 17"')}
    shop = replace(shop, model=Project(redeclared(shop.home / "other", edits)).models["churn"])
    tables = shop.model.tables(shop.lake)
    scored_before = tables.predictions.version
    place = _trained_at(shop, NEXT)
    with trial_process() as trials:
        judged = evaluate_cutoff(place, trials, NEXT)
        assert [row["model_version"] for row in judged.metric_rows] == [2, 1, None]
        labels = tables.labels.read(shop.con, between=(NEXT, NEXT))
        ((rate, n),) = labels.aggregate("avg(label), count(*)").fetchall()
        assert {row["n"] for row in judged.metric_rows} == {n}
        assert judged.measured.labels.mean() == pytest.approx(rate)
        assert judged.measured.labels.mean() > 0.5, "by the label of before it is 0.2"

        [cohort] = [
            row
            for row in judge_cohorts(shop.con, Run("performance"), shop.model, shop.lake, (CUTOFF, CUTOFF))
            if row["model_version"] == 1
        ]
        assert cohort["worse"] is None
        assert cohort["reason"].startswith(
            "Not judged: the label of its labels was declared otherwise when ver"
        )
        assert tables.predictions.version == scored_before

        shop.redefine(NEXT)
        pins = {**pins_of(shop.registry.version("churn", 1)), "spend": OTHER}
        shop.registry.client().set_model_version_tag("churn", "1", TAG, json.dumps(pins))
        judged = evaluate_cutoff(place, trials, NEXT)
    assert not judged.decision.passed
    assert [row["model_version"] for row in judged.metric_rows] == [2, None]
    [gate] = [row for row in judged.gate_rows if row["gate"] == "not_worse_than_champion"]
    assert gate["status"] == "NOT EVALUATED"
    assert "Version 1 of churn can't score this" in gate["reason"]
    assert "ml-assets models promote churn 2 --override" in gate["reason"]


def _trained_at(shop: Shop, cutoff: date) -> Workplace:
    """A week more lands, everything due is built, and a candidate of the cutoff is trained."""
    con, model, lake = shop.con, shop.model, shop.lake
    landed = cutoff + timedelta(days=6)
    visits.land(shop.home / "landing", visits.day(LANDED + 1), landed)
    [source] = model.group.sources.values()
    for between in as_ranges(set(due_days(con, source, lake, by_day(source.landing.listed())).days)):
        copy_landing(con, Run("raw"), source, lake, between)
        build_events(con, Run("events"), source, lake, between)
    for edge, build in zip(edges(model.group, lake), (build_tiles, build_snapshots), strict=True):
        for between in as_ranges(edge.stale()):
            build(con, Run("features"), model.group, lake, between)
    for between in as_ranges(stale_labels(model, lake, landed), timedelta(weeks=1)):
        label_cutoffs(con, Run("labels"), model, lake, between)
    gather_training_sets(con, Run("training"), model, lake, (cutoff, cutoff))
    place = Workplace(Run("training"), con, model, lake, shop.registry, shop.home / "training")
    with shop.registry.parent_run(model.name, "training", "by hand") as parent:
        train_candidates(place, [cutoff], lambda: parent)
    return place
