from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pytest

from ml_assets.lake.engine import connect
from ml_assets.monitoring.measure.counting import ProfileError
from ml_assets.monitoring.measure.drift import DayVerdict, measure
from ml_assets.monitoring.measure.profile import build_profile
from ml_assets.monitoring.rehearse.calibrate import delays
from ml_assets.monitoring.rehearse.simulate import Crowd, _Drawer, crowd_of, draw_days, firings
from ml_assets.monitoring.spec import MonitoringPolicy
from ml_assets_tests.monitoring.conftest import CATEGORICAL, NUMERIC, WEIGHTS, day_rows
from ml_assets_tests.monitoring.worlds import CATEGORICAL as WORLD_CATEGORICAL
from ml_assets_tests.monitoring.worlds import NUMERIC as WORLD_NUMERIC
from ml_assets_tests.monitoring.worlds import TOP, World
from ml_assets_tests.monitoring.worlds import WEIGHTS as WORLD_WEIGHTS

POLICY = MonitoringPolicy()
ONCE = MonitoringPolicy(breaches=1, of_last=1, cool_down_days=3)


def crowd(con: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> Crowd:
    built = build_profile(con, con.from_df(frame), numeric=NUMERIC, categorical=CATEGORICAL, weights=WEIGHTS)
    return crowd_of(frame, built, entity=["who"])


def with_entities(frame: pd.DataFrame, each: int) -> pd.DataFrame:
    return frame.assign(who=np.arange(len(frame)) % (len(frame) // each))


@pytest.fixture
def frame() -> pd.DataFrame:
    made = with_entities(day_rows(300, days=6), 6)
    made.loc[made.index % 7 == 0, ["spend", "department"]] = None
    made.loc[made.index % 11 == 0, "spend"] = np.inf
    return made


def test_a_day_drawn_whole_is_counted_as_it_is_measured(
    con: duckdb.DuckDBPyConnection, frame: pd.DataFrame
) -> None:
    from ml_assets.monitoring.measure.drift import compare

    found = crowd(con, frame)
    drawer = _Drawer(found, None)
    for day, (_, rows) in enumerate(frame.groupby("as_of")):
        drawn = drawer.count(day, np.ones(drawer.population, dtype=int))
        ours = compare(found.profiles, drawn, POLICY)
        measured = measure(con, con.from_df(rows), found.profiles, POLICY)
        assert [replace(d, mean=None, mean_shift=None) for d in ours] == [
            replace(d, mean=None, mean_shift=None) for d in measured
        ]
        means = [(d.mean or 0.0, d.mean_shift or 0.0) for d in measured]
        assert [(d.mean or 0.0, d.mean_shift or 0.0) for d in ours] == [
            pytest.approx(pair, abs=1e-9) for pair in means
        ]


def test_an_entity_comes_with_all_its_rows_of_the_day(con: duckdb.DuckDBPyConnection) -> None:
    frame = day_rows(300, days=6).assign(who=0)
    frame.loc[frame.index % 3 == 0, "who"] = 1
    drawer = _Drawer(crowd(con, frame), None)
    counted = drawer.count(2, np.array([2, 0]))
    assert {each.rows for each in counted.values()} == {200}
    assert counted["spend"].mean == pytest.approx(frame[(frame["who"] == 1)]["spend"][200:300].mean())


def test_a_crowd_moves_by_as_much_as_it_is_told_and_whole_numbers_stay_whole(
    con: duckdb.DuckDBPyConnection, frame: pd.DataFrame
) -> None:
    still = crowd(con, frame)
    moved = still.moved(["spend", "trips"], 0.3)
    deviations = {p.feature: p.deviation or 0.0 for p in still.numbers}
    places = {p.feature: place for place, p in enumerate(still.numbers)}
    by = {
        name: np.nanmean(moved.values[:, places[name]]) - np.nanmean(still.values[:, places[name]])
        for name in ("spend", "trips", "score")
    }
    for name in ("spend", "trips"):
        assert by[name] / deviations[name] == pytest.approx(0.3, abs=0.05)
    assert by["score"] == 0
    trips = moved.values[:, places["trips"]]
    assert (trips == np.floor(trips)).all()
    assert (moved.codes != still.codes).any(axis=0).sum() == 2


def test_a_missing_column_is_refused_unless_it_weighs_nothing(
    con: duckdb.DuckDBPyConnection, frame: pd.DataFrame
) -> None:
    profiles = crowd(con, frame).profiles
    left = crowd_of(frame.drop(columns="score"), profiles, entity=["who"])
    assert "score" not in {p.feature for p in left.features}
    with pytest.raises(ProfileError, match="lack spend"):
        crowd_of(frame.drop(columns="spend"), profiles, entity=["who"])
    with pytest.raises(ProfileError, match="lack rows"):
        crowd_of(frame.head(0), profiles, entity=["who"])


def test_the_same_seed_draws_the_same_days(con: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> None:
    found = crowd(con, frame)
    first, again, other = (draw_days(found, POLICY, days=10, seed=seed) for seed in (1, 1, 2))
    assert len(first) == 10
    assert first == again
    assert first != other


@pytest.mark.parametrize("rows", [50, 300, 3000])
def test_days_have_about_the_size_that_is_asked_for_and_are_no_breach_of_volume(
    con: duckdb.DuckDBPyConnection, frame: pd.DataFrame, rows: int
) -> None:
    drawn = draw_days(crowd(con, frame), POLICY, days=14, seed=3, rows=rows)
    assert np.mean([verdict.rows for verdict in drawn]) == pytest.approx(rows, rel=0.1)
    assert not any(verdict.broken for verdict in drawn)


def test_it_fires_once_per_cool_down() -> None:
    def day(breached: bool) -> DayVerdict:
        return DayVerdict(0.5, breached, 500, True, False, "")

    assert firings([day(True)] * 8, ONCE) == [0, 3, 6]
    assert firings([day(c == "b") for c in "b.bb....b.b"], POLICY) == [2]
    assert firings([], POLICY) == []


@pytest.mark.slow
def test_nothing_fires_without_drift_and_a_small_drift_is_found() -> None:
    """55 columns, many rows of an entity, one a day, effects of entities and days; on other days than training."""
    quiet([alarms_and_delay(1_000, 60, 0)])


@pytest.mark.proof
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("rows", [1_000, 10_000])
def test_nothing_fires_in_eight_years_without_drift_and_a_small_drift_is_found(rows: int) -> None:
    found = [alarms_and_delay(rows, 365, seed) for seed in range(8)]
    print(table(rows, 365, found))
    quiet(found)


def quiet(found: list[tuple[int, int, int | None]]) -> None:
    """At most one firing, no day called broken, a drift found within 5 days."""
    assert all(fired <= 1 for fired, _, _ in found)
    assert all(broken == 0 for _, broken, _ in found)
    assert all(delay is not None and delay <= 5 for _, _, delay in found)


def alarms_and_delay(rows: int, days: int, seed: int) -> tuple[int, int, int | None]:
    """Firings and broken days among so many without drift, and the day on which a shift of 0.2 is found."""
    world = World.of(rows, seed)
    with connect() as con:
        trained = con.from_df(world.frame(0, 13))
        profiles = build_profile(
            con,
            trained,
            numeric=WORLD_NUMERIC,
            categorical=WORLD_CATEGORICAL,
            weights=WORLD_WEIGHTS,
        )
    later = crowd_of(world.frame(30, 57), profiles, entity=["entity"])
    still = draw_days(later, POLICY, days=days, seed=seed)
    (delay,) = delays(later.moved(TOP, 0.2), POLICY, days=10, seeds=[seed])
    return len(firings(still, POLICY)), sum(verdict.broken for verdict in still), delay


def table(rows: int, days: int, found: list[tuple[int, int, int | None]]) -> str:
    """As Markdown."""
    lines = [f"| {rows:,} rows a day, seed | firings in {days} days | broken days | days to find +0.2 |"]
    lines += ["|---:|---:|---:|---:|"]
    lines += [
        f"| {seed} | {fired} | {broken} | {delay} |" for seed, (fired, broken, delay) in enumerate(found)
    ]
    return "\n" + "\n".join(lines)
