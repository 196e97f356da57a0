from dataclasses import replace
from datetime import date

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.monitoring.measure.counting import ProfileError
from ml_assets.monitoring.measure.profile import (
    VOLUME,
    FeatureProfile,
    build_profile,
    coarse_groups,
    grouped,
    profile_rows,
    profiles_from_rows,
)
from ml_assets_tests.monitoring.conftest import CATEGORICAL, NUMERIC, WEIGHTS, day_rows
from ml_assets_tests.profiles import examples

CUTOFF = date(2017, 6, 4)


def profile_of(con: duckdb.DuckDBPyConnection, values: object, kind: str = "numeric") -> FeatureProfile:
    frame = pd.DataFrame({"x": values})
    frame["as_of"] = np.arange(len(frame)) % 4
    names = {"numeric": ["x"] if kind == "numeric" else [], "categorical": ["x"] if kind != "numeric" else []}
    (profile,) = build_profile(con, con.from_df(frame), **names, volume=False)
    return profile


@pytest.fixture
def profiles(con: duckdb.DuckDBPyConnection) -> dict[str, FeatureProfile]:
    rows = con.from_df(day_rows(500, days=6))
    built = build_profile(con, rows, numeric=NUMERIC, categorical=CATEGORICAL, weights=WEIGHTS)
    assert [p.feature for p in built] == [*NUMERIC, *CATEGORICAL, VOLUME]
    return {p.feature: p for p in built}


def test_a_continuous_feature_has_fine_bins_in_ten_equal_groups(profiles: dict[str, FeatureProfile]) -> None:
    spend = profiles["spend"]
    assert len(spend.edges) == 55
    assert spend.shares[4:-4] == pytest.approx([0.02] * 48, abs=0.001)
    assert spend.coarse == pytest.approx([300] * 10, abs=2)
    frame = day_rows(500, days=6)
    assert (spend.lowest, spend.highest) == (frame["spend"].min(), frame["spend"].max())
    assert spend.mean == pytest.approx(frame["spend"].mean())
    assert spend.deviation == pytest.approx(frame["spend"].std(ddof=0))
    assert (spend.rows, spend.null_share) == (3000, 0)


def test_a_repeated_value_has_a_bin_of_its_own(profiles: dict[str, FeatureProfile]) -> None:
    trips = profiles["trips"]
    zero_share = (day_rows(500, days=6)["trips"] == 0).mean()
    assert trips.edges == sorted(set(trips.edges))
    assert trips.shares[trips.edges.index(0.0)] == pytest.approx(zero_share)
    assert trips.shares[0] == 0


def test_a_repeated_value_in_the_middle_is_apart_from_its_neighbours(con: duckdb.DuckDBPyConnection) -> None:
    rng = np.random.default_rng(3)
    values = np.where(rng.random(2000) < 0.5, 0.0, rng.normal(0, 1, 2000))
    profile = profile_of(con, values)
    assert profile.shares[profile.edges.index(0.0)] == pytest.approx((values == 0).mean())
    assert len(profile.coarse) == 6
    assert max(profile.coarse) == (values == 0).sum()


@examples(100)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=60))
def test_at_most_ten_groups_hold_all_and_spikes_stand_alone(counts: list[int]) -> None:
    shares = [count / (sum(counts) or 1) for count in counts]
    groups = coarse_groups(shares)
    held = grouped(shares, groups)
    assert len(held) <= 10
    assert sum(held) == pytest.approx(sum(shares))
    assert all(groups.count(groups[place]) == 1 for place, share in enumerate(shares) if share >= 0.1)


def test_constant_and_all_null_columns_have_profiles(profiles: dict[str, FeatureProfile]) -> None:
    constant, nothing = profiles["constant"], profiles["nothing"]
    assert constant.shares == [0, 1, 0]
    assert (constant.mean, constant.deviation) == (3, 0)
    assert (nothing.null_share, nothing.edges, nothing.shares) == (1, [], [0])
    assert (nothing.mean, nothing.deviation) == (None, None)


def test_all_null_text_has_a_profile(con: duckdb.DuckDBPyConnection) -> None:
    profile = profile_of(con, np.array([None] * 20, dtype=object), "categorical")
    assert (profile.categories, profile.shares, profile.null_share) == ([], [0], 1)


def test_nan_and_infinities_count_as_nulls(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        "CREATE TABLE t AS SELECT range % 4 AS as_of, CASE range % 5 WHEN 0 THEN 'nan'::DOUBLE "
        "WHEN 1 THEN 'inf'::DOUBLE ELSE range::DOUBLE END AS x FROM range(100)"
    )
    profile, _ = build_profile(con, con.table("t"), numeric=["x"], categorical=[])
    assert profile.null_share == pytest.approx(0.4)
    assert profile.mean == pytest.approx(np.mean([n for n in range(100) if n % 5 > 1]))


def test_decimals_and_integers_are_numbers(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        "CREATE TABLE t AS SELECT range % 4 AS as_of, range::INT AS i, (range / 8)::DECIMAL(9,2) AS d FROM range(80)"
    )
    profiles = build_profile(con, con.table("t"), numeric=["i", "d"], categorical=[])
    assert [p.coarse == pytest.approx([8] * 10, abs=1) for p in profiles[:2]] == [True, True]
    assert (profiles[1].lowest, profiles[1].highest) == (0, 9.88)


@pytest.mark.parametrize("values", [[True, False, None] * 8, ["True", "False", None] * 8])
def test_booleans_are_spelt_as_in_training_frames(
    con: duckdb.DuckDBPyConnection, values: list[object]
) -> None:
    profile = profile_of(con, np.array(values, dtype=object), "categorical")
    assert profile.categories == ["False", "True"]
    assert profile.shares == [0.5, 0.5, 0]
    assert profile.null_share == pytest.approx(1 / 3)


def test_a_boolean_among_the_numbers_is_categorical(con: duckdb.DuckDBPyConnection) -> None:
    assert profile_of(con, [True, False] * 10).kind == "categorical"


def test_the_twenty_most_frequent_categories_are_kept_and_the_rest_summed(
    con: duckdb.DuckDBPyConnection,
) -> None:
    values = [f"k{n:02d}" for n in range(30) for _ in range(40 - n)]
    profile = profile_of(con, values, "categorical")
    assert profile.categories == [f"k{n:02d}" for n in range(20)]
    assert profile.shares[-1] == pytest.approx(sum(40 - n for n in range(20, 30)) / len(values))
    assert sum(profile.shares) == pytest.approx(1)


def test_a_quote_in_a_name_or_value_is_text(con: duckdb.DuckDBPyConnection) -> None:
    frame = pd.DataFrame({'o"x': ["it's", "b"] * 6, "as_of": [1, 2, 3] * 4})
    profile, _ = build_profile(con, con.from_df(frame), numeric=[], categorical=['o"x'])
    assert profile.categories == ["b", "it's"]
    assert profile.shares == [0.5, 0.5, 0]


def test_weights_sum_to_one_and_the_score_weighs_nothing(profiles: dict[str, FeatureProfile]) -> None:
    assert {n: p.weight for n, p in profiles.items() if p.weight} == {
        "spend": 0.6,
        "trips": 0.2,
        "department": 0.2,
    }
    assert profiles["score"].weight == 0


def test_a_weight_of_the_score_is_left_out(con: duckdb.DuckDBPyConnection) -> None:
    rows, weights = con.from_df(day_rows(50, days=4)), {"spend": 1.0, "score": 9.0}
    built = build_profile(con, rows, numeric=["spend", "score"], categorical=[], weights=weights)
    assert [p.weight for p in built] == [1, 0, 0]


@pytest.mark.parametrize("weights", [None, {}, {"spend": 0.0}])
def test_without_weights_all_features_weigh_the_same(
    con: duckdb.DuckDBPyConnection, weights: dict[str, float]
) -> None:
    rows = con.from_df(day_rows(50, days=4))
    built = build_profile(con, rows, numeric=["spend", "score"], categorical=["member"], weights=weights)
    assert [p.weight for p in built] == [0.5, 0, 0.5, 0]


def test_thresholds_follow_how_much_days_differ(con: duckdb.DuckDBPyConnection) -> None:
    frame = day_rows(500, days=6)
    day = (frame["as_of"] - frame["as_of"].min()).dt.days / 7
    frame["trend"] = frame["spend"] + day
    frame.loc[(day == 2) & (frame.index % 10 == 0), "score"] = np.nan
    built = build_profile(
        con, con.from_df(frame), numeric=["spend", "trend", "score"], categorical=[], psi_floor=0.1
    )
    spend, trend, score, _ = built
    assert spend.psi_threshold == 0.1
    assert trend.psi_threshold > 1
    assert spend.shift_threshold == pytest.approx(0.13, abs=0.04)
    assert trend.shift_threshold is not None
    assert trend.shift_threshold > 1.5
    assert (spend.null_threshold, score.null_share) == (0.05, pytest.approx(1 / 60))
    assert score.null_threshold == pytest.approx(1 / 60 + 3 * (1 / 10 - 1 / 60))


def test_the_threshold_is_one_and_a_half_times_the_most_unlike_block(con: duckdb.DuckDBPyConnection) -> None:
    from ml_assets.monitoring.measure.statistics import psi

    frame = pd.DataFrame({"as_of": [1] * 100 + [2] * 100 + [3] * 100, "x": ["a"] * 150 + ["b"] * 150})
    profile, _ = build_profile(con, con.from_df(frame), numeric=[], categorical=["x"])
    assert profile.psi_threshold == pytest.approx(1.5 * psi([50, 150, 0], [100, 0, 0]))
    assert profile.shift_threshold is None


def test_the_threshold_of_a_shift_is_one_and_a_half_times_the_farthest_block(
    con: duckdb.DuckDBPyConnection,
) -> None:
    values = np.random.default_rng(1).uniform(0, 1, 9000)
    frame = pd.DataFrame({"as_of": np.arange(9000) % 3, "x": values})
    frame.loc[frame["as_of"] == 2, "x"] += 0.5
    profile, _ = build_profile(con, con.from_df(frame), numeric=["x"], categorical=[])
    assert profile.shift_threshold == pytest.approx(1.5 * 0.5 / frame["x"].std(), rel=0.02)


def test_the_volume_is_the_number_of_rows_of_a_block(con: duckdb.DuckDBPyConnection) -> None:
    frame = pd.DataFrame({"as_of": [1] * 100 + [2] * 120 + [3] * 140, "x": range(360)})
    *_, volume = build_profile(con, con.from_df(frame), numeric=["x"], categorical=[])
    assert (volume.feature, volume.kind, volume.weight) == ("rows", "volume", 0)
    assert (volume.lowest, volume.highest, volume.mean, volume.rows) == (100, 140, 120, 360)
    assert volume.deviation == pytest.approx(np.std([100, 120, 140]))
    without = build_profile(con, con.from_df(frame), numeric=["x"], categorical=[], volume=False)
    assert [p.feature for p in without] == ["x"]
    with pytest.raises(ProfileError, match="A feature is named rows"):
        build_profile(con, con.from_df(frame.rename(columns={"x": "rows"})), numeric=["rows"], categorical=[])


def test_two_blocks_are_too_few_to_calibrate_by(con: duckdb.DuckDBPyConnection) -> None:
    frame = day_rows(300, days=2)
    frame.loc[frame.index % 10 < 3, "spend"] = np.nan
    rows = con.from_df(frame)
    assert build_profile(con, rows, numeric=["spend"], categorical=[])[0].psi_threshold == 0.2
    assert build_profile(con, rows, numeric=["spend"], categorical=[], psi_floor=0.3)[0].psi_threshold == 0.3
    assert build_profile(con, rows, numeric=["spend"], categorical=[])[0].null_threshold == pytest.approx(
        0.35
    )


def test_round_trip_through_a_table(
    con: duckdb.DuckDBPyConnection, profiles: dict[str, FeatureProfile]
) -> None:
    stored = profile_rows(con, list(profiles.values()), version=3, cutoff=CUTOFF)
    assert profiles_from_rows(stored.to_arrow_table()) == list(profiles.values())


def test_no_profile_or_two_versions_are_refused(
    con: duckdb.DuckDBPyConnection, profiles: dict[str, FeatureProfile]
) -> None:
    one, two = (
        profile_rows(con, list(profiles.values()), version=version, cutoff=CUTOFF).to_arrow_table()
        for version in (1, 2)
    )
    with pytest.raises(ProfileError, match=r"empty.*materialize the candidate"):
        profiles_from_rows(one.slice(0, 0))
    with pytest.raises(ProfileError, match="versions 1, 2"):
        profiles_from_rows(pa.concat_tables([one, two]))


def test_a_profile_of_an_earlier_release_is_refused(
    con: duckdb.DuckDBPyConnection, profiles: dict[str, FeatureProfile]
) -> None:
    table = profile_rows(con, list(profiles.values()), version=3, cutoff=CUTOFF).to_arrow_table()
    with pytest.raises(
        ProfileError, match=r"version 3 .* has no shift_threshold\. Materialize the candidate"
    ):
        profiles_from_rows(table.drop_columns(["shift_threshold"]))
    place = table.column_names.index("psi_threshold")
    merged = table.set_column(place, "psi_threshold", pa.nulls(len(table), pa.float64()))
    with pytest.raises(ProfileError, match="has no psi_threshold"):
        profiles_from_rows(merged)


def test_bad_requests_are_refused_in_words(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.from_df(day_rows(20, days=3))
    with pytest.raises(ProfileError, match="no column spent; they have as_of, spend"):
        build_profile(con, rows, numeric=["spent"], categorical=[])
    with pytest.raises(ProfileError, match="no column week"):
        build_profile(con, rows, numeric=["spend"], categorical=[], block="week")
    with pytest.raises(ProfileError, match="department is a VARCHAR, not a number"):
        build_profile(con, rows, numeric=["department"], categorical=[])
    with pytest.raises(ProfileError, match="weight for trip,"):
        build_profile(con, rows, numeric=["spend"], categorical=[], weights={"trip": 1})
    with pytest.raises(ProfileError, match="weight of spend is nan"):
        build_profile(con, rows, numeric=["spend"], categorical=[], weights={"spend": float("nan")})
    with pytest.raises(ProfileError, match="no training rows"):
        build_profile(con, rows.filter("false"), numeric=["spend"], categorical=["department"])
    with pytest.raises(ProfileError, match="No feature is named"):
        build_profile(con, rows, numeric=[], categorical=[])


def test_the_order_of_rows_changes_nothing(con: duckdb.DuckDBPyConnection) -> None:
    frame = day_rows(2000, days=4)
    names = {"numeric": NUMERIC, "categorical": CATEGORICAL, "weights": WEIGHTS}
    again = con.from_df(frame.sample(frac=1, random_state=5))
    assert build_profile(con, con.from_df(frame), **names) == build_profile(con, again, **names)


def test_profiles_are_values(profiles: dict[str, FeatureProfile]) -> None:
    spend = replace(profiles["spend"], shares=[0.5, 0.5], null_share=0.2, rows=10)
    assert spend.counts == [4, 4]
    assert replace(spend, rows=20).counts == [8, 8]
