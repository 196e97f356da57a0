import duckdb
import numpy as np
import pandas as pd
import pytest

from ml_assets.monitoring.measure.profile import build_profile
from ml_assets.monitoring.rehearse.calibrate import Calibration, calibrate, caught, delays
from ml_assets.monitoring.rehearse.simulate import crowd_of
from ml_assets.monitoring.spec import MonitoringPolicy
from ml_assets_tests.monitoring.conftest import CATEGORICAL, NUMERIC, WEIGHTS, day_rows

POLICY = MonitoringPolicy()


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    frame = day_rows(400, days=8)
    return frame.assign(who=np.arange(len(frame)) % 400)


@pytest.fixture(scope="module")
def found(frame: pd.DataFrame) -> Calibration:
    from ml_assets.lake.engine import connect

    with connect() as con:
        profiles = build_profile(
            con, con.from_df(frame), numeric=NUMERIC, categorical=CATEGORICAL, weights=WEIGHTS
        )
    return calibrate(
        frame.drop(columns="score"), profiles, POLICY, entity=["who"], days=30, seeds=2, rows=500
    )


def test_it_says_what_the_days_are_and_that_nothing_fires_on_them(found: Calibration) -> None:
    assert (found.rows, found.blocks, found.days) == (500, 8, 30)
    assert (found.fired, found.broken, found.alarms_a_year) == ((0, 0), (0, 0), 0)


def test_it_says_from_which_shift_each_feature_is_caught(found: Calibration) -> None:
    alone = {caught.features[0]: caught for caught in found.alone}
    assert [p.feature for p in found.features] == ["spend", "department", "trips"]
    spend = found.features[0]
    assert spend.shift_threshold is not None
    assert alone["spend"].shift == pytest.approx(spend.shift_threshold, rel=0.8)
    assert alone["department"].why_not == "no number that varies"
    assert alone["trips"].shift == pytest.approx(alone["spend"].shift, abs=0.25)
    assert found.together.features == ("spend", "trips")
    assert found.together.shift is not None


def test_a_feature_too_light_to_breach_a_day_is_never_caught(
    con: duckdb.DuckDBPyConnection, frame: pd.DataFrame
) -> None:
    built = build_profile(
        con, con.from_df(frame), numeric=["spend"], categorical=["member"], weights={"member": 9, "spend": 1}
    )
    crowd = crowd_of(frame, built, entity=["who"])
    light = caught(crowd, built[:1], POLICY)
    assert (light.shift, light.why_not) == (None, "weighs 10%, below the limit of 20%")
    assert caught(crowd, [], POLICY).why_not == "no number that varies"


def test_delays_count_from_the_first_day(con: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> None:
    built = build_profile(con, con.from_df(frame), numeric=["spend"], categorical=[])
    crowd = crowd_of(frame, built, entity=["who"])
    assert delays(crowd.moved(["spend"], 1.0), POLICY, days=5, seeds=[1, 2]) == [2, 2]
    assert delays(crowd, POLICY, days=5, seeds=[1]) == [None]
