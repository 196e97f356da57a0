"""Predictions are the champion's by the promotion log, whatever the alias in MLflow says."""

import pytest

from ml_assets.lake import connect
from ml_assets.pipeline.run import CannotRun, Run
from ml_assets.pipeline.steps.drift_report import report_drift
from ml_assets.pipeline.steps.predictions import predict
from ml_assets.registry.promotion_log import Move, read_log, write_moves
from ml_assets_tests import visits
from ml_assets_tests.house import House, failures

pytestmark = pytest.mark.slow
LAST = visits.day(70)


def test_the_log_says_who_predicts_and_a_run_puts_the_alias_right_as_it_starts(finished: House) -> None:
    finished.registry.delete_alias("churn", "champion")
    table = finished.churn.tables(finished.lake).predictions
    before = table.version
    with connect() as con:
        run, registry = Run("by-hand", ("churn/predictions",)), finished.registry
        done = predict(con, run, finished.churn, finished.lake, registry, (LAST, LAST))
        assert (done.version, table.version) == (1, (before or 0) + 1)
    assert finished.registry.aliases_by_model()["churn"] == {}
    result = finished.run(["churn/predictions"], LAST)
    assert result.success, failures(result)
    assert finished.registry.aliases_by_model()["churn"] == {"champion": 1}


def test_a_champion_that_the_registry_has_lost_predicts_nothing_and_is_told(finished: House) -> None:
    with connect() as con:
        promotions = finished.churn.tables(finished.lake).promotions
        lost = Move("override", 1, 99, visits.day(70), "ada", "a drill")
        write_moves(con, promotions, read_log(con, promotions, "churn"), [lost])
        model, lake, registry = finished.churn, finished.lake, finished.registry
        back = "or go back: ml-assets models rollback churn --to 1 --why TEXT"
        with pytest.raises(CannotRun, match=f"Model churn has no version 99 in sqlite:.*{back}"):
            predict(con, Run("by-hand"), model, lake, registry, (LAST, LAST))
        with pytest.raises(CannotRun, match="Model churn has no version 99 in sqlite:"):
            report_drift(con, model, lake, registry, LAST)
