from dataclasses import replace
from datetime import date, timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from ml_assets.monitoring.measure.drift import (
    DayVerdict,
    FeatureDrift,
    MonitoringPolicy,
    drifting,
    judge_day,
    measure,
)
from ml_assets.monitoring.measure.profile import (
    FeatureProfile,
    ProfileError,
    build_profile,
    profile_rows,
    profiles_from_rows,
)
from ml_assets_tests.monitoring.conftest import CATEGORICAL, NUMERIC, WEIGHTS, day_rows

POLICY = MonitoringPolicy()
MONDAY = date(2017, 9, 4)


@pytest.fixture
def profiles(con: duckdb.DuckDBPyConnection) -> list[FeatureProfile]:
    rows = con.from_df(day_rows(500, days=6))
    return build_profile(con, rows, numeric=NUMERIC, categorical=CATEGORICAL, weights=WEIGHTS)


def measured(
    con: duckdb.DuckDBPyConnection, frame: pd.DataFrame, profiles: list[FeatureProfile]
) -> dict[str, FeatureDrift]:
    return {drift.feature: drift for drift in measure(con, con.from_df(frame), profiles, POLICY)}


def drift(feature: str = "spend", **changes: object) -> FeatureDrift:
    base = FeatureDrift(
        feature=feature,
        kind="numeric",
        psi=0.5,
        psi_threshold=0.1,
        mean=1.0,
        mean_shift=0.9,
        null_share=0.0,
        null_threshold=0.05,
        breached=True,
        reason="PSI 0.50 is above the threshold of 0.10",
        weight=0.6,
        rows=500,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def days(pattern: str, last: date = MONDAY) -> list[tuple[date, DayVerdict]]:
    """One day per letter up to ``last``: b breached, x breached and broken, . neither."""
    return [
        (
            last - timedelta(days=len(pattern) - 1 - place),
            DayVerdict(0.6 if letter in "bx" else 0.0, letter in "bx", 500, True, letter == "x", letter),
        )
        for place, letter in enumerate(pattern)
    ]


class TestMeasure:
    @pytest.mark.parametrize("seed", range(1, 11))
    def test_a_day_like_training_is_quiet(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile], seed: int
    ) -> None:
        found = measured(con, day_rows(300, seed=seed), profiles)
        assert [d.feature for d in found.values() if d.breached] == []
        assert all(d.reason is None for d in found.values())

    def test_a_shift_is_found_with_its_size(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile]
    ) -> None:
        found = measured(con, day_rows(500, seed=1, shift=0.8), profiles)
        assert [name for name, d in found.items() if d.breached] == ["spend"]
        assert found["spend"].mean_shift == pytest.approx(0.8, abs=0.12)
        assert found["spend"].psi > 0.4
        assert "PSI" in (found["spend"].reason or "")
        assert not found["spend"].broken

    def test_the_training_rows_themselves_have_no_drift(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile]
    ) -> None:
        found = measured(con, day_rows(500, days=6), profiles)
        assert max(d.psi for d in found.values()) == pytest.approx(0, abs=1e-12)
        assert found["spend"].mean_shift == pytest.approx(0, abs=1e-9)

    def test_planted_nulls_break_the_data_but_move_nothing(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile]
    ) -> None:
        frame = day_rows(500, seed=1)
        frame.loc[frame.index % 5 == 0, "spend"] = np.nan
        spend = measured(con, frame, profiles)["spend"]
        assert spend.null_share == pytest.approx(0.2)
        assert (spend.broken, spend.breached) == (True, True)
        assert spend.psi < spend.psi_threshold
        assert spend.reason == "20.0% of the rows are null, at most 5.0% were expected"

    def test_a_small_shift_that_psi_does_not_see_is_found(self, con: duckdb.DuckDBPyConnection) -> None:
        rows = con.from_df(day_rows(2000, days=6))
        built = build_profile(con, rows, numeric=["spend"], categorical=[])
        spend = measured(con, day_rows(2000, seed=1, shift=0.2), built)["spend"]
        assert spend.psi < 0.06 < spend.psi_threshold
        assert spend.shift == pytest.approx(0.2, abs=0.03)
        assert spend.breached
        assert spend.reason is not None
        assert spend.reason.startswith("the values moved by 0.18 training deviations, above")

    def test_an_implausible_mean_breaks_the_data(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile]
    ) -> None:
        cents, more = (measured(con, day_rows(500, seed=1, shift=by), profiles)["spend"] for by in (5.3, 4.7))
        assert (cents.broken, more.broken, more.breached) == (True, False, True)
        assert "more than 5 are implausible" in (cents.reason or "")

    @pytest.mark.parametrize(("rows", "broken"), [(249, True), (250, False), (1000, False), (1001, True)])
    def test_the_volume_breaks_outside_its_limits(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile], rows: int, broken: bool
    ) -> None:
        volume = measured(con, day_rows(rows, seed=1), profiles)["rows"]
        assert (volume.kind, volume.mean, volume.weight) == ("volume", rows, 0)
        assert (volume.broken, volume.breached) == (broken, broken)
        said = f"{rows:,} rows; between 250 and 1,000 were expected" if broken else None
        assert volume.reason == said

    def test_p_values_are_shown_and_decide_nothing(self, con: duckdb.DuckDBPyConnection) -> None:
        rows = con.from_df(day_rows(3000, days=6))
        built = build_profile(con, rows, numeric=["spend"], categorical=["department"])
        frame = day_rows(20_000, seed=1, shift=0.07)
        frame.loc[:300, "department"] = "DRUG"
        found = measured(con, frame, built)
        assert found["spend"].ks_p is not None
        assert found["spend"].ks_p < 1e-4
        assert found["department"].chi_square_p is not None
        assert found["department"].chi_square_p < 1e-4
        assert found["department"].chi_square_freedom == 2
        assert not found["spend"].breached
        assert not found["department"].breached

    def test_what_a_feature_has_not_is_none(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile]
    ) -> None:
        found = measured(con, day_rows(500, seed=1), profiles)
        spend, department, nothing = found["spend"], found["department"], found["nothing"]
        assert (spend.chi_square, spend.unseen_share) == (None, None)
        assert (department.shift, department.shift_threshold, department.ks, department.low) == (None,) * 4
        assert (nothing.shift, nothing.ks, nothing.jensen_shannon, nothing.mean) == (None,) * 4
        assert found["constant"].shift is None
        assert (spend.low, spend.high) == (
            day_rows(500, seed=1)["spend"].min(),
            day_rows(500, seed=1)["spend"].max(),
        )

    def test_an_unseen_category_breaks_the_data(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile]
    ) -> None:
        frame = day_rows(500, seed=1)
        frame.loc[frame.index % 4 == 0, "department"] = "grocery"
        department = measured(con, frame, profiles)["department"]
        assert department.unseen_share == pytest.approx(0.25)
        assert department.broken
        assert "never saw" in (department.reason or "")

    def test_a_long_tail_that_training_had_too_is_not_unseen(self, con: duckdb.DuckDBPyConnection) -> None:
        rng = np.random.default_rng(2)
        frame = pd.DataFrame({"x": [f"k{n}" for n in rng.integers(0, 60, 4000)]})
        frame["as_of"] = np.arange(4000) % 4
        built = build_profile(con, con.from_df(frame), numeric=[], categorical=["x"])
        assert built[0].shares[-1] > 0.5
        again = pd.DataFrame({"x": [f"k{n}" for n in rng.integers(0, 60, 500)]})
        found = measured(con, again, built)["x"]
        assert found.unseen_share == pytest.approx(0, abs=0.08)
        assert not found.broken

    @pytest.mark.parametrize("values", [21, 200, 1000, 5000, 100_000])
    def test_categories_that_are_all_renamed_overnight_break_the_data(
        self, con: duckdb.DuckDBPyConnection, values: int
    ) -> None:
        rng = np.random.default_rng(3)
        frame = pd.DataFrame({"x": [f"k{n}" for n in rng.zipf(1.3, 40_000) % values]})
        frame["as_of"] = np.arange(40_000) % 4
        built = build_profile(con, con.from_df(frame), numeric=[], categorical=["x"], volume=False)
        built = profiles_from_rows(profile_rows(con, built, version=1, cutoff=MONDAY).to_arrow_table())
        same = pd.DataFrame({"x": [f"k{n}" for n in rng.zipf(1.3, 2000) % values]})
        assert not measured(con, same, built)["x"].broken
        found = measured(con, same + "-2", built)["x"]
        assert found.broken
        assert found.unseen_share == pytest.approx(1 - built[0].novel_share, abs=0.03)
        third = same["x"].where(same.index % 3 > 0, same["x"] + "-2").to_frame()
        assert measured(con, third, built)["x"].broken

    def test_identifiers_that_are_new_every_day_are_no_rename(self, con: duckdb.DuckDBPyConnection) -> None:
        frame = pd.DataFrame({"x": [f"k{n}" for n in range(4000)], "as_of": np.arange(4000) // 1000})
        built = build_profile(con, con.from_df(frame), numeric=[], categorical=["x"], volume=False)
        assert built[0].novel_share == 1
        found = measured(con, pd.DataFrame({"x": [f"k{n}" for n in range(4000, 5000)]}), built)["x"]
        assert not found.broken

    def test_a_profile_of_an_earlier_release_counts_as_it_did(self, con: duckdb.DuckDBPyConnection) -> None:
        frame = pd.DataFrame({"x": [f"k{n % 200}" for n in range(4000)], "as_of": np.arange(4000) % 4})
        built = build_profile(con, con.from_df(frame), numeric=[], categorical=["x"], volume=False)
        kept = profile_rows(con, built, version=1, cutoff=MONDAY).to_arrow_table()
        old = profiles_from_rows(kept.drop_columns(["seen", "novel_share"]))
        assert measured(con, frame[["x"]] + "-2", old)["x"].unseen_share == pytest.approx(0.1)

    def test_a_constant_that_starts_to_vary_is_a_shift(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile]
    ) -> None:
        frame = day_rows(500, seed=1)
        assert measured(con, frame, profiles)["constant"].psi == 0
        frame.loc[frame.index % 2 == 0, "constant"] = 2.9
        constant = measured(con, frame, profiles)["constant"]
        assert constant.breached
        assert constant.mean_shift is None

    def test_a_spike_value_that_moves_to_its_neighbours_is_a_shift(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile]
    ) -> None:
        frame = day_rows(500, seed=1)
        frame["trips"] = frame["trips"].replace(0, -1)
        assert measured(con, frame, profiles)["trips"].breached

    def test_values_where_training_had_none_are_said_so(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile]
    ) -> None:
        nothing = measured(con, day_rows(500, seed=1).assign(nothing=1.0), profiles)["nothing"]
        assert nothing.breached
        assert not nothing.broken
        assert nothing.reason == "500 rows have a value, in training none had one"

    def test_booleans_of_a_table_match_texts_of_a_training_frame(
        self, con: duckdb.DuckDBPyConnection
    ) -> None:
        frame = day_rows(500, days=6)
        trained = frame.assign(member=frame["member"].astype("string").astype(object))
        built = build_profile(con, con.from_df(trained), numeric=[], categorical=["member"])
        found = measured(con, frame, built)["member"]
        assert (found.psi, found.unseen_share) == (pytest.approx(0, abs=1e-12), 0)

    def test_few_rows_raise_the_threshold_to_what_chance_reaches(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile]
    ) -> None:
        few, many = (measured(con, day_rows(n, seed=4), profiles)["spend"] for n in (40, 4000))
        assert few.psi_threshold > 0.5
        assert many.psi_threshold == 0.1

    def test_no_rows_are_no_drift(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile]
    ) -> None:
        rows = con.from_df(day_rows(10)).filter("false")
        *found, volume = measure(con, rows, profiles, POLICY)
        assert {(d.psi, d.rows, d.breached, d.null_share) for d in found} == {(0.0, 0, False, 0.0)}
        assert (volume.feature, volume.broken) == ("rows", True)

    def test_the_order_of_rows_changes_nothing(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile]
    ) -> None:
        frame = day_rows(3000, seed=1, shift=0.3)
        assert measured(con, frame, profiles) == measured(con, frame.sample(frac=1, random_state=9), profiles)

    def test_a_missing_or_retyped_column_is_refused(
        self, con: duckdb.DuckDBPyConnection, profiles: list[FeatureProfile]
    ) -> None:
        frame = day_rows(300)
        with pytest.raises(ProfileError, match="no column spend;"):
            measured(con, frame.drop(columns="spend"), profiles)
        with pytest.raises(ProfileError, match="spend is a VARCHAR, not a number"):
            measured(con, frame.assign(spend="much"), profiles)


class TestJudgeDay:
    def test_the_weight_of_what_moved_decides(self) -> None:
        light, heavy = drift(weight=0.19), drift(weight=0.2)
        quiet = drift("trips", breached=False, psi=0.01, reason=None, weight=0.5)
        assert not judge_day([light, quiet], POLICY).breached
        verdict = judge_day([heavy, quiet], POLICY)
        assert (verdict.share, verdict.breached, verdict.broken, verdict.rows) == (0.2, True, False, 500)
        assert verdict.reason.startswith("1 of 2 features breached; they carry 20%")

    def test_the_score_alone_breaches_nothing(self) -> None:
        assert not judge_day([drift("score", weight=0.0)], POLICY).breached

    def test_broken_data_is_named(self) -> None:
        verdict = judge_day([drift(broken=True), drift("trips", weight=0.1)], POLICY)
        assert verdict.broken
        assert "broken" in verdict.reason
        assert "spend: PSI 0.50" in verdict.reason
        assert not judge_day([drift()], POLICY).broken

    def test_the_volume_is_no_feature_but_breaks_a_day_however_small(self) -> None:
        volume = drift("rows", kind="volume", weight=0.0, broken=True, reason="3 rows", rows=3)
        verdict = judge_day([drift(rows=3, broken=True), volume], POLICY)
        assert (verdict.enough_rows, verdict.breached, verdict.broken) == (False, False, True)
        assert "rows: 3 rows" in verdict.reason
        assert "spend" not in verdict.reason
        assert judge_day([drift(), replace(volume, rows=500)], POLICY).reason.startswith("1 of 1 features")

    def test_too_few_rows_are_not_judged(self) -> None:
        verdict = judge_day([drift(rows=199, broken=True)], POLICY)
        assert (verdict.enough_rows, verdict.breached, verdict.broken) == (False, False, False)
        assert verdict.reason == "Not judged: 199 rows, and at least 200 are needed."
        assert judge_day([drift(rows=200)], POLICY).breached
        assert not judge_day([], POLICY).enough_rows


class TestDrifting:
    @pytest.mark.parametrize("pattern", ["bb", "b.b", ".bb", "bbb", "..bb", "bxb"])
    def test_two_of_three_days_up_to_a_breached_newest(self, pattern: str) -> None:
        assert drifting([verdict for _, verdict in days(pattern)], POLICY)

    @pytest.mark.parametrize("pattern", ["", "b", "..b", "bb.", "b..b", "bbx", "xxb", "xb"])
    def test_anything_less_is_not(self, pattern: str) -> None:
        assert not drifting([verdict for _, verdict in days(pattern)], POLICY)

    def test_the_policy_sets_how_many_of_how_many(self) -> None:
        strict = MonitoringPolicy(breaches=3, of_last=4)
        assert drifting([verdict for _, verdict in days("b.bb")], strict)
        assert not drifting([verdict for _, verdict in days("b..b")], strict)


def test_the_policy_refuses_what_can_never_fire() -> None:
    with pytest.raises(ValidationError, match="3 breaches can't lie in the last 2 days"):
        MonitoringPolicy(breaches=3, of_last=2)
    with pytest.raises(ValidationError, match="cool_down"):
        MonitoringPolicy(cool_down=3)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="share"):
        MonitoringPolicy(share=0)
