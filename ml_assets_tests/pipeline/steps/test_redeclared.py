"""What becomes of a champion when a feature or the label is declared otherwise: refused or judged anew, never mixed up."""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from shutil import copytree

import duckdb
import pytest

from ml_assets.components.model.drift import _histograms
from ml_assets.instance.refusal import Refusal
from ml_assets.lake import Lake, as_ranges, connect
from ml_assets.lake.maintenance import drop, tables
from ml_assets.landing import by_day
from ml_assets.notebook import GroupFeatures
from ml_assets.operations.trace import described, trace
from ml_assets.operations.versions import smoke_prediction
from ml_assets.pipeline.book import book_of
from ml_assets.pipeline.definitions import of_features
from ml_assets.pipeline.due.cost import NOTHING
from ml_assets.pipeline.due.features import edges
from ml_assets.pipeline.due.landing import due_days
from ml_assets.pipeline.due.model import days_to_score, stale_labels
from ml_assets.pipeline.due.plan import plan
from ml_assets.pipeline.due.retrain import look
from ml_assets.pipeline.facts import facts
from ml_assets.pipeline.kept import unpinned
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
from ml_assets.registry.pins import TAG, feature_pins, pins_of
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


NEW_SPEND = "name: spend, sum: \"CASE WHEN channel = 'web' THEN amount END\""


def redefined(shop: Shop, file: str, edit: tuple[str, str]) -> Shop:
    """The shop under another declaration, with all built that this makes due."""
    other = replace(shop, model=Project(redeclared(shop.home / "other", {file: edit})).models["churn"])
    build_all(other)
    return other


def build_all(shop: Shop) -> None:
    """Build events, tiles and snapshots, as far as they are due."""
    con, group, lake = shop.con, shop.model.group, shop.lake
    [source] = group.sources.values()
    for between in as_ranges(set(due_days(con, source, lake, by_day(source.landing.listed())).days)):
        copy_landing(con, Run("raw"), source, lake, between)
        build_events(con, Run("events"), source, lake, between)
    for edge, build in zip(edges(group, lake), (build_tiles, build_snapshots), strict=True):
        for between in as_ranges(edge.due()):
            build(con, Run("features"), group, lake, between)


def scores(shop: Shop) -> list[tuple[object, ...]]:
    table = shop.model.tables(shop.lake).predictions
    rows = table.read(shop.con, between=(LAST, LAST)).select("visitor_id, score, features_hash")
    return rows.order("visitor_id").fetchall()


@pytest.mark.parametrize(
    ("edit", "same"),
    [
        (("name: spend, sum: amount", NEW_SPEND), True),
        (("spend, sum: amount, windows: [14d]", "other, sum: amount, windows: [14d]"), False),
    ],
    ids=["otherwise", "no more"],
)
def test_what_a_version_was_trained_on_is_kept_beside_what_is_declared(
    shop: Shop, edit: tuple[str, str], same: bool
) -> None:
    assert shop.predict() == 1
    before = scores(shop)
    shop = redefined(shop, "visitor_features/defs.yaml", edit)
    assert shop.predict() == 1
    after = scores(shop)
    assert [row[:2] for row in after] == [row[:2] for row in before]
    assert (after == before) == same, "who reads other columns beside has another hash of what was read"
    predictions = shop.model.tables(shop.lake).predictions
    assert predictions.marks(model_version="1")[LAST].definitions == trained_on(shop)

    [(prediction,)] = (
        predictions.read(shop.con, between=(LAST, LAST)).limit(1).select("prediction_id").fetchall()
    )
    traced = trace(shop.con, {"churn": shop.model}, shop.lake, shop.registry, prediction)
    assert traced.score_again == traced.prediction["score"]
    assert traced.features_hash == traced.prediction["features_hash"]
    assert not traced.unlike_events

    watched = watch_days(shop.con, Run("drift"), shop.model, shop.lake, (LAST, LAST))
    assert {drift.feature for drift in watched.days[0].drifts} == {*trained_on(shop), "score", "rows"}
    assert "declared otherwise" not in watched.days[0].verdict.reason
    assert report_drift(shop.con, shop.model, shop.lake, shop.registry, LAST).rows == len(after)
    assert LAST not in days_to_score(shop.model, shop.lake, 1, None)
    book = book_of(shop.con, shop.model, shop.lake, shop.registry)
    assert "scores 5 rows" in smoke_prediction(shop.model, shop.lake, book, shop.registry.version("churn", 1))


def test_a_corrected_day_is_scored_again_by_what_is_kept(shop: Shop) -> None:
    shop.predict()
    before = scores(shop)
    declared = shop
    shop = redefined(shop, "visitor_features/defs.yaml", ("name: spend, sum: amount", NEW_SPEND))
    shop.predict()
    watch_days(shop.con, Run("drift"), shop.model, shop.lake, (LAST, LAST))
    visits.land(shop.home / "landing", visits.day(LANDED - 1), visits.day(LANDED - 1), salt="corrected")
    build_all(shop)
    assert LAST in days_to_score(shop.model, shop.lake, 1, None)
    shop.predict()
    kept = scores(shop)
    assert kept != before
    build_all(declared)
    declared.predict()
    assert scores(declared) == kept


def test_a_correction_that_only_the_kept_feature_sees_is_scored_again(shop: Shop) -> None:
    shop.predict()
    declared = shop
    web = "CASE WHEN channel = 'web' THEN amount END"
    folder = redeclared(
        shop.home / "other",
        {"visitor_features/defs.yaml": ("name: spend, sum: amount", f'name: spend, sum: "{web}"')},
    )
    spec = folder / "visitor_features" / "defs.yaml"
    spec.write_text(spec.read_text().replace("mean_amount, mean: amount", f'mean_amount, mean: "{web}"'))
    shop = replace(shop, model=Project(folder).models["churn"])
    build_all(shop)
    shop.predict()
    watch_days(shop.con, Run("drift"), shop.model, shop.lake, (LAST, LAST))
    assert LAST not in days_to_score(shop.model, shop.lake, 1, None)
    before, snapshot = scores(shop), shop.model.group.snapshot(shop.lake).marks()[LAST].changed
    for number in range(LANDED - 5, LANDED):
        rows = [
            row if row["channel"] == "web" else {**row, "amount": row["amount"] * 3}
            for row in visits.visits_of(visits.day(number))
        ]
        visits.write(shop.home / "landing" / f"{visits.day(number)}.parquet", rows)
    build_all(shop)
    assert shop.model.group.snapshot(shop.lake).marks()[LAST].changed == snapshot
    assert LAST in days_to_score(shop.model, shop.lake, 1, None)
    shop.predict()
    with connect() as con:
        watch_days(con, Run("drift"), shop.model, shop.lake, (LAST, LAST))
    after = scores(shop)
    assert after != before
    assert LAST not in days_to_score(shop.model, shop.lake, 1, None)
    build_all(declared)
    declared.predict()
    assert scores(declared) == after


def test_what_nobody_pins_any_more_is_kept_no_longer(shop: Shop) -> None:
    shop = redefined(shop, "visitor_features/defs.yaml", ("name: spend, sum: amount", NEW_SPEND))
    shop.predict()
    found = {table.name for table in tables(shop.lake) if table.name.startswith("visitor_features.")}
    assert {name.split("/")[1] for name in found} == {"tiles", "snapshot"}
    group = shop.model.group
    assert not unpinned(shop.con, group, [shop.model], shop.lake, shop.registry)
    pins = {**pins_of(shop.registry.version("churn", 1)), **group.definitions}
    shop.registry.client().set_model_version_tag("churn", "1", TAG, json.dumps(pins))
    free = unpinned(shop.con, group, [shop.model], shop.lake, shop.registry)
    assert {table.name for table in free} == found
    for table in free:
        drop(table)
    assert not {table.name for table in tables(shop.lake)} & found


def test_a_feature_whose_column_is_read_otherwise_is_not_kept(shop: Shop) -> None:
    doubled = (
        "description: Money spent, USD.",
        "description: Money spent, USD.\n        transformLogic: CAST(CAST(amount AS DECIMAL(8,2)) * 2 AS DECIMAL(10,2))",
    )
    shop = redefined(shop, "visits/contract.yaml", doubled)
    with pytest.raises(
        CannotRun, match=r"it was trained on mean_amount by .*; spend by definition .* has it by"
    ):
        shop.predict()
    assert not list((shop.home / "data" / "lake").glob("visitor_features.*"))


def trained_on(shop: Shop) -> dict[str, str]:
    return dict(feature_pins(shop.registry.version("churn", 1)))


def test_the_champion_is_compared_with_what_learns_from_other_features(shop: Shop) -> None:
    shop = redefined(shop, "visitor_features/defs.yaml", ("name: spend, sum: amount", NEW_SPEND))
    place = _trained_at(shop, NEXT)
    with trial_process() as trials:
        judged = evaluate_cutoff(place, trials, NEXT)
    assert [row["model_version"] for row in judged.metric_rows] == [2, 1, None]
    [gate] = [row for row in judged.gate_rows if row["gate"] == "not_worse_than_champion"]
    assert gate["status"] in {"PASS", "FAIL"}


def test_a_label_and_a_feature_of_another_type_keep_all_their_digits(shop: Shop) -> None:
    edits = {
        "churn/defs.yaml": ('{absent: "amount >= 0", within: 7d}', '{sum: "amount", within: 7d}'),
        "visitor_features/defs.yaml": (
            'name: visits, count: "*", windows',
            "name: visits, sum: amount, windows",
        ),
    }
    folder = redeclared(shop.home / "other", edits)
    spec = folder / "churn" / "defs.yaml"
    spec.write_text(re.sub(r"    (calibration|minimum_positives).*\n", "", spec.read_text()))
    shop = replace(shop, model=Project(folder).models["churn"])
    build_all(shop)
    tables, cutoffs = shop.model.tables(shop.lake), shop.model.cutoffs.between(date(2024, 1, 22), CUTOFF)
    for between in as_ranges(set(cutoffs), timedelta(weeks=1)):
        label_cutoffs(shop.con, Run("labels"), shop.model, shop.lake, between)
    gather_training_sets(shop.con, Run("training"), shop.model, shop.lake, (CUTOFF, CUTOFF))
    for table, column in (
        (tables.labels, "label"),
        (tables.training_set, "label"),
        (tables.training_set, "visits_7d"),
    ):
        rows = table.read(shop.con, between=(CUTOFF, CUTOFF))
        ((cents,),) = rows.aggregate(f"count(*) FILTER (WHERE {column} % 1 > 0)").fetchall()
        assert cents, f"{table.name}, {column}"


def test_a_label_of_another_type_for_one_cutoff_leaves_nothing_when_it_is_taken_back(shop: Shop) -> None:
    labels = shop.model.tables(shop.lake).labels
    edit = {"churn/defs.yaml": ('{absent: "amount >= 0", within: 7d}', '{sum: "amount", within: 7d}')}
    folder = redeclared(shop.home / "other", edit)
    spec = folder / "churn" / "defs.yaml"
    spec.write_text(re.sub(r"    (calibration|minimum_positives).*\n", "", spec.read_text()))
    summed = Project(folder).models["churn"]

    def label(model: DeclaredModel, cutoffs: Collection[date]) -> list[tuple[object, ...]]:
        for between in as_ranges(set(cutoffs), timedelta(weeks=1)):
            label_cutoffs(shop.con, Run("labels"), model, shop.lake, between)
        return labels.read(shop.con).select("visitor_id, as_of, label").order("ALL").fetchall()

    before = label(summed, stale_labels(summed, shop.lake, LAST))
    label(shop.model, [CUTOFF])
    assert len(stale_labels(summed, shop.lake, LAST)) > 1, "all were cast, so none follows the sum any more"
    assert label(summed, stale_labels(summed, shop.lake, LAST)) == before


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
    assert look(shop.con, shop.model, shop.lake, lambda verdicts, log: []).redefined is None
    edits = {"churn/defs.yaml": ('absent: "amount >= 0"', 'absent: "amount >= 17"')}
    shop = replace(shop, model=Project(redeclared(shop.home / "other", edits)).models["churn"])
    situation = look(shop.con, shop.model, shop.lake, lambda verdicts, log: [])
    assert situation.redefined == "Version 1 was trained before the label was declared as now."
    assert situation.judged is None
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


def test_the_plan_has_what_another_label_makes_due_of_a_model_and_what_stays_as_history(shop: Shop) -> None:
    assert shop.predict() == 1
    edits = {
        "churn/defs.yaml": ('absent: "amount >= 0"', 'absent: "amount >= 17"'),
        "visitor_features/defs.yaml": ("name: spend, sum: amount", NEW_SPEND),
    }
    project = Project(redeclared(shop.home / "other", edits))
    found = {
        (each.table, each.is_due): each
        for each in plan(shop.con, project, shop.lake, 1)
        if each.table.startswith("churn")
    }
    training, history = found["churn/training_set", True], found["churn/predictions", False]
    assert set(found) == {
        ("churn/labels", True),
        ("churn/training_set", True),
        ("churn/predictions", False),
    }
    assert (training.first, training.last) == (CUTOFF, CUTOFF)
    assert [change.what for change in training.redefined] == ["the label has changed"]
    assert training.note == "a candidate is trained on each, and judged"
    assert training.cost.bytes == shop.model.tables(shop.lake).training_set.sizes()[(CUTOFF,)]
    assert training.cost.seconds is not None
    assert training.cost.seconds > 0
    assert "spend has changed" in [change.what for change in history.redefined]
    assert history.cost == NOTHING


def test_a_trace_recomputes_only_what_is_declared_as_it_was(shop: Shop) -> None:
    assert shop.predict() == 1
    predictions = shop.model.tables(shop.lake).predictions.read(shop.con, between=(LAST, LAST))
    [(prediction,)] = predictions.limit(1).select("prediction_id").fetchall()
    edits = {"visitor_features/defs.yaml": ("name: spend, sum: amount", NEW_SPEND)}
    other = Project(redeclared(shop.home / "other", edits)).models
    traced = trace(shop.con, {"churn": other["churn"]}, shop.lake, shop.registry, prediction)
    assert "spend" in traced.not_recomputed
    assert "visits_14d" not in traced.not_recomputed
    assert traced.unlike_events == []
    assert any("declared otherwise since, so not recomputed: " in line for line in described(traced))
    traced = trace(shop.con, {"churn": shop.model}, shop.lake, shop.registry, prediction)
    assert traced.not_recomputed == []


def test_features_at_any_moment_are_never_of_two_declarations(shop: Shop) -> None:
    spine = shop.con.sql(f"SELECT 1::BIGINT AS visitor_id, DATE '{CUTOFF}' AS as_of")
    assert GroupFeatures(shop.model.group, shop.lake).at(spine.to_arrow_table()).num_rows == 1
    edits = {"visitor_features/defs.yaml": ("name: spend, sum: amount", NEW_SPEND)}
    other = Project(redeclared(shop.home / "other", edits)).models["churn"].group
    with pytest.raises(
        Refusal, match=r"was made by another declaration of spend.* than that of now: ml-assets"
    ):
        GroupFeatures(other, shop.lake).at(spine.to_arrow_table())
    with pytest.raises(Refusal, match="was made by another declaration of spend"):
        GroupFeatures(other, shop.lake).requests(CUTOFF)


def _trained_at(shop: Shop, cutoff: date) -> Workplace:
    """A week more lands, everything due is built, and a candidate of the cutoff is trained."""
    con, model, lake = shop.con, shop.model, shop.lake
    landed = cutoff + timedelta(days=6)
    visits.land(shop.home / "landing", visits.day(LANDED + 1), landed)
    build_all(shop)
    for between in as_ranges(stale_labels(model, lake, landed), timedelta(weeks=1)):
        label_cutoffs(con, Run("labels"), model, lake, between)
    gather_training_sets(con, Run("training"), model, lake, (cutoff, cutoff))
    place = Workplace(Run("training"), con, model, lake, shop.registry, shop.home / "training")
    with shop.registry.parent_run(model.name, "training", "by hand") as parent:
        train_candidates(place, [cutoff], lambda: parent)
    return place
