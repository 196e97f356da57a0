"""The champion's own cutoff trained again makes another version, and takes nothing from the one in use."""

import pytest

from ml_assets.lake import Provenance, connect
from ml_assets.operations.calibrate import calibrate_champion
from ml_assets.operations.versions import version_lines
from ml_assets.pipeline.book import book_of
from ml_assets.pipeline.facts import facts
from ml_assets.pipeline.steps.drift import learnt_from
from ml_assets.registry.mlflow_registry import Registry
from ml_assets_tests import visits
from ml_assets_tests.house import House, failures

pytestmark = pytest.mark.slow
CUTOFF = visits.day(63)
LAST = visits.day(70)


def runs_of(registry: Registry) -> int:
    return len(registry.client().search_runs([registry.experiment("churn")]))


def test_the_champion_is_watched_and_listed_as_before(finished: House) -> None:
    champion = finished.champion
    assert champion is not None
    assert champion.cutoff == CUTOFF
    with connect() as con:
        before = learnt_from(con, finished.churn, finished.lake, 1, CUTOFF)
        table = finished.churn.tables(finished.lake).training_set
        corrected = table.read(con, between=(CUTOFF, CUTOFF)).select("* REPLACE (visits_7d + 1 AS visits_7d)")
        table.replace(corrected, between=(CUTOFF, CUTOFF), provenance=Provenance())
    again = finished.run(["churn/candidate", "churn/evaluation"], CUTOFF)
    assert not failures(again)
    watched = finished.run(["churn/drift"], LAST)
    assert watched.success, failures(watched)
    assert finished.champion == champion
    with connect() as con:
        found = calibrate_champion(con, finished.churn, finished.lake, days=2, seeds=1, rows=300)
        assert found.version == 1
        assert learnt_from(con, finished.churn, finished.lake, 1, CUTOFF).equals(before)
        assert not learnt_from(con, finished.churn, finished.lake, 2, CUTOFF).equals(before)
        book = book_of(con, finished.churn, finished.lake, finished.registry)
        lines = version_lines(book)
        cards = [
            facts(book, finished.churn, finished.lake, finished.registry.version("churn", number))
            for number in (1, 2)
        ]
    assert all(card.training["rows"] == str(len(before)) for card in cards)
    assert [(line.version, line.metric) for line in lines] == [(1, "auc"), (2, "auc")]


def test_without_its_training_set_a_candidate_says_so_and_leaves_no_run(finished: House) -> None:
    runs = runs_of(finished.registry)
    result = finished.run(["churn/candidate"], visits.day(56))
    assert failures(result) == {
        "churn__candidate": f"There is no training set of cutoff {visits.day(56)}: materialize churn/training_set of that "
        "partition first."
    }
    assert runs_of(finished.registry) == runs
