"""Labels, training sets and evaluations by a definition that has changed: due again, and never mixed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from shutil import copytree

import duckdb
import pytest

from ml_assets.lake import Lake, Table, as_ranges, connect
from ml_assets.landing import by_day
from ml_assets.pipeline.definitions import of_features, of_labels, of_training
from ml_assets.pipeline.due.adoption import adopt
from ml_assets.pipeline.due.features import edges
from ml_assets.pipeline.due.landing import due_days
from ml_assets.pipeline.due.model import stale_evaluations, stale_labels
from ml_assets.pipeline.due.plan import Planned, plan
from ml_assets.pipeline.run import CannotRun, Run
from ml_assets.pipeline.steps.features import build_snapshots, build_tiles
from ml_assets.pipeline.steps.labels import gather_training_sets, label_cutoffs
from ml_assets.pipeline.steps.source import build_events, copy_landing
from ml_assets.project.model import DeclaredModel
from ml_assets.project.project import Project
from ml_assets.registry.pins import LABEL, POPULATION, TRAINING
from ml_assets_tests import visits
from ml_assets_tests.places import redeclared

LANDED = visits.day(50)
WEEK = timedelta(weeks=1)
CUTOFFS = [visits.day(21) + n * WEEK for n in range(4)]
"""The mature ones."""
LATER = CUTOFFS[-1] + WEEK
OTHER_LABEL = {"churn/defs.yaml": ('absent: "amount >= 0"', 'absent: "amount >= 17"')}
OTHER_POPULATION = {"churn/defs.yaml": ("population: visits_14d > 0", "population: visits_14d > 1")}
OTHER_FEATURE = {"visitor_features/defs.yaml": ("name: spend, sum: amount", "name: spend, sum: amount * 2")}
COMMENT = {
    "churn/defs.yaml": ('absent: "amount >= 0"', 'absent: "(amount)  >= 0 /* any */"'),
    "visitor_features/defs.yaml": ('means: "Money spent, USD"', "means: Money, owner: team:new"),
}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with labels of every mature cutoff."""
    home = tmp_path_factory.mktemp("labelled")
    with pytest.MonkeyPatch.context() as patch, connect() as con:
        patch.setenv("ML_ASSETS_MINI_LANDING", str(home / "landing"))
        visits.land(home / "landing", visits.day(0), LANDED)
        project, lake = Project(redeclared(home / "defs", {})), Lake(str(home / "lake"))
        source, group = project.sources["visits"], project.groups["visitor_features"]
        for between in as_ranges(set(due_days(con, source, lake, by_day(source.landing.listed())).days)):
            copy_landing(con, Run("raw"), source, lake, between)
            build_events(con, Run("events"), source, lake, between)
        for edge, build in zip(edges(group, lake), (build_tiles, build_snapshots), strict=True):
            for between in as_ranges(edge.stale()):
                build(con, Run("features"), group, lake, between)
        label(con, project.models["churn"], lake)
        yield home


@pytest.fixture
def home(labelled: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return copytree(labelled, tmp_path / "home")


@pytest.fixture
def lake(home: Path) -> Lake:
    return Lake(str(home / "lake"))


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


def declared(home: Path, edits: Mapping[str, tuple[str, str]]) -> DeclaredModel:
    return Project(redeclared(home / f"defs{len(list(home.iterdir()))}", edits)).models["churn"]


def label(con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake) -> set[date]:
    """Label what is due; return the cutoffs."""
    stale = stale_labels(model, lake, LANDED)
    for between in as_ranges(stale, WEEK):
        label_cutoffs(con, Run("labels"), model, lake, between)
    return stale


def rates(con: duckdb.DuckDBPyConnection, table: Table) -> list[float]:
    rows = table.read(con).aggregate("as_of, avg(label)").order("as_of").fetchall()
    return [rate for _, rate in rows]


def forget(con: duckdb.DuckDBPyConnection, table: Table, between: tuple[date, date]) -> None:
    """Let the table be one of before definitions were recorded."""
    made = replace(table.made(between[0]).provenance, definitions={})
    table.replace(table.read(con, between=between), between=between, provenance=made)


@pytest.mark.parametrize("edits", [OTHER_LABEL, OTHER_POPULATION], ids=["label", "population"])
def test_another_label_or_population_makes_every_mature_cutoff_due_once(
    con: duckdb.DuckDBPyConnection, home: Path, lake: Lake, edits: Mapping[str, tuple[str, str]]
) -> None:
    labels = declared(home, {}).tables(lake).labels
    before, model = rates(con, labels), declared(home, edits)
    assert stale_labels(model, lake, LANDED) == set(CUTOFFS)
    assert label(con, model, lake) == set(CUTOFFS)
    assert all(now != then for now, then in zip(rates(con, labels), before, strict=True))
    assert stale_labels(model, lake, LANDED) == set()
    assert labels.marks()[CUTOFFS[0]].definitions == of_labels(model)


def test_what_says_the_same_makes_nothing_due(home: Path, lake: Lake) -> None:
    assert stale_labels(declared(home, COMMENT), lake, LANDED) == set()


def test_labels_of_before_definitions_were_recorded_are_due_only_once_they_are_adopted(
    con: duckdb.DuckDBPyConnection, home: Path, lake: Lake
) -> None:
    model, other = declared(home, {}), declared(home, OTHER_LABEL)
    forget(con, model.tables(lake).labels, (CUTOFFS[0], CUTOFFS[-1]))
    assert stale_labels(other, lake, LANDED) == set()
    assert adopt(con, Run("adoption"), lake, model) == ["churn/labels"]
    assert stale_labels(model, lake, LANDED) == set()
    assert stale_labels(other, lake, LANDED) == set(CUTOFFS)


def test_a_training_set_says_what_it_was_made_by(
    con: duckdb.DuckDBPyConnection, home: Path, lake: Lake
) -> None:
    model = declared(home, {})
    gather_training_sets(con, Run("training"), model, lake, (LATER, LATER))
    made_by = model.tables(lake).training_set.marks()[LATER].definitions
    assert made_by == of_training(model)
    assert set(made_by) == {*model.group.features.columns, LABEL, POPULATION, TRAINING}


def test_training_refuses_labels_by_two_definitions(
    con: duckdb.DuckDBPyConnection, home: Path, lake: Lake
) -> None:
    model = declared(home, OTHER_LABEL)
    label_cutoffs(con, Run("labels"), model, lake, (CUTOFFS[-2], CUTOFFS[-1]))
    said = rf"churn/labels of {CUTOFFS[0]} to {CUTOFFS[1]} was made by .*the label by \w+, declared is .*ml-assets mat"
    with pytest.raises(CannotRun, match=said):
        gather_training_sets(con, Run("training"), model, lake, (LATER, LATER))
    label(con, model, lake)
    assert gather_training_sets(con, Run("training"), model, lake, (LATER, LATER))


def test_training_refuses_snapshots_by_two_definitions(
    con: duckdb.DuckDBPyConnection, home: Path, lake: Lake
) -> None:
    model = declared(home, OTHER_FEATURE)
    snapshot, first = model.group.snapshot(lake), (CUTOFFS[0], CUTOFFS[0])
    rows, made = snapshot.read(con, between=first), snapshot.made(CUTOFFS[0]).provenance
    older = {**of_features(declared(home, {}))}
    for day in CUTOFFS[1:]:
        follows = replace(made, definitions=of_features(model))
        snapshot.replace(snapshot.read(con, between=(day, day)), between=(day, day), provenance=follows)
    snapshot.replace(rows, between=first, provenance=replace(made, definitions=older))
    said = rf"visitor_features/snapshot of {CUTOFFS[0]} to {CUTOFFS[0]} was made by .* mix: spend by \w+, declared"
    with pytest.raises(CannotRun, match=said):
        gather_training_sets(con, Run("training"), model, lake, (LATER, LATER))


def test_an_evaluation_by_another_label_is_due(
    con: duckdb.DuckDBPyConnection, home: Path, lake: Lake
) -> None:
    model, judged = declared(home, {}), CUTOFFS[2]
    made = Run("evaluation").made().following(of_labels(model))
    row = con.sql(f"SELECT DATE '{judged}' AS cutoff, 1 AS model_version")
    model.tables(lake).decisions.replace(row, between=(judged, judged), provenance=made)
    assert stale_evaluations(model, lake, CUTOFFS[1:]) == {CUTOFFS[1], CUTOFFS[3]}
    assert stale_evaluations(declared(home, COMMENT), lake, CUTOFFS[1:]) == {CUTOFFS[1], CUTOFFS[3]}
    assert stale_evaluations(declared(home, OTHER_LABEL), lake, CUTOFFS[1:]) == set(CUTOFFS[1:])
    assert stale_evaluations(declared(home, OTHER_FEATURE), lake, [judged]) == set()


@pytest.mark.parametrize(("edits", "changed"), [(OTHER_LABEL, LABEL), (OTHER_POPULATION, POPULATION)])
def test_the_plan_says_that_labels_are_due_and_what_has_changed(
    home: Path, lake: Lake, con: duckdb.DuckDBPyConnection, edits: Mapping[str, tuple[str, str]], changed: str
) -> None:
    def planned(folder: Path) -> list[Planned]:
        return [each for each in plan(con, Project(folder), lake, 1) if each.table == "churn/labels"]

    assert planned(redeclared(home / "same", COMMENT)) == []
    (labels,) = planned(redeclared(home / "other", edits))
    assert (labels.slots, labels.inputs_changed) == (len(CUTOFFS), 0)
    assert [change.what for change in labels.redefined] == [f"{changed} has changed"]
