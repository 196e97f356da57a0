"""Predictions as an asset: whom the check every_member_scored asks for, and who is refused alone."""

import dagster as dg
import pytest

from ml_assets.lake import Provenance, connect
from ml_assets.pipeline.steps.predictions import POPULATION, scored_populations
from ml_assets_tests import visits
from ml_assets_tests.house import House, checks, failures

pytestmark = pytest.mark.slow
LAST = visits.day(70)


def test_scores_of_an_earlier_champion_are_history(finished: House) -> None:
    """Another version has scored the day before it was corrected: one member more than there are now."""
    predictions = finished.churn.tables(finished.lake).predictions
    with connect() as con:
        rows = predictions.read(con, between=(LAST, LAST))
        more = rows.select("* REPLACE (2::BIGINT AS model_version)").union(
            rows.limit(1).select("* REPLACE (2::BIGINT AS model_version, 9999 AS visitor_id)")
        )
        predictions.replace(more, between=(LAST, LAST), also="model_version = 2", provenance=Provenance())
    result = finished.run(["churn/predictions"], LAST)
    assert result.success, failures(result)
    assert checks(result)["every_member_scored"].passed


@pytest.mark.parametrize(("population", "passed"), [(None, False), ("declared", False), ("d1:another", True)])
def test_a_member_that_the_champion_did_not_score_fails_unless_another_population_was_declared(
    finished: House, population: str | None, passed: bool
) -> None:
    predictions = finished.churn.tables(finished.lake).predictions
    said = finished.churn.population_definition if population == "declared" else population
    facts = {"model_version": "1", **({POPULATION: said} if said else {})}
    with connect() as con:
        rows = predictions.read(con, between=(LAST, LAST)).order("visitor_id").limit(3)
        predictions.replace(rows, between=(LAST, LAST), provenance=Provenance(facts=facts))
    selection = dg.AssetSelection.checks(
        dg.AssetCheckKey(dg.AssetKey(["churn", "predictions"]), "every_member_scored")
    )
    jobs = dg.Definitions(jobs=[dg.define_asset_job("alone", selection=selection)])
    job = dg.Definitions.merge(finished.defs, jobs).resolve_job_def("alone")
    result = job.execute_in_process(instance=finished.instance, raise_on_error=False)
    (found,) = result.get_asset_check_evaluations()
    assert found.passed == passed


def test_predictions_say_of_which_population_they_are(finished: House) -> None:
    result = finished.run(["churn/predictions"], LAST)
    assert result.success, failures(result)
    predictions, version = finished.churn.tables(finished.lake).predictions, finished.champion
    assert version
    assert scored_populations(predictions, version.version)[LAST] == finished.churn.population_definition


def test_a_member_with_a_number_beyond_32_bits_is_refused_alone(finished: House) -> None:
    snapshot, before = (
        finished.churn.group.snapshot(finished.lake),
        len(finished.rows("churn/predictions", (LAST, LAST))),
    )
    with connect() as con:
        rows = snapshot.read(con, between=(LAST, LAST))
        members = rows.filter("visits_14d > 0").order("visitor_id").limit(1).fetchall()
        spoilt = rows.select(
            f"* REPLACE (CASE WHEN visitor_id = {members[0][0]} THEN 1e39 ELSE mean_amount END AS mean_amount)"
        )
        snapshot.replace(spoilt, between=(LAST, LAST), provenance=Provenance())
    result = finished.run(["churn/predictions"], LAST)
    assert result.success, failures(result)
    assert checks(result)["every_member_scored"].passed
    assert len(finished.rows("churn/predictions", (LAST, LAST))) == before - 1
    (made,) = result.asset_materializations_for_node("churn__predictions")
    assert f"mean_amount of visitor_id {members[0][0]}, as_of" in str(made.metadata["refused"].value)
