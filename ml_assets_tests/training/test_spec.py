from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_assets.training import Cutoffs, Label, Train
from ml_assets.training.estimators import estimator_class
from ml_assets.training.spec import Search, split_as_ofs
from ml_assets.training.target import BINARY, REGRESSION, Target
from ml_assets_tests.profiles import examples

OWN = "ml_assets_tests.training.estimators.own"
START = date(2017, 4, 2)
WEEKLY = Cutoffs(start=START)
WEEK = timedelta(weeks=1)


# specs


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (
            {"within": "28d"},
            "label: give exactly one of absent, occurs, count, sum, time_to; found none of them",
        ),
        ({"absent": "true", "sum": "amount", "within": "28d"}, "found absent and sum"),
        ({"count": "*", "where": "true", "within": "28d"}, "where belongs to sum; count has its condition"),
        ({"count": "*", "classes": ["7d"], "within": "28d"}, "classes belongs to time_to; count has none"),
        ({"time_to": "true", "within": "28d"}, "time_to needs classes"),
        ({"time_to": "true", "classes": ["28d"], "within": "28d"}, "classes increase and end before within"),
        ({"time_to": "true", "classes": ["14d", "7d"], "within": "28d"}, "found 14d, 7d within 28d"),
        ({"absent": "true"}, "Field required"),
        ({"absent": "true", "within": 28}, "a window is a number of days such as 28d, not 28: write 28d"),
        ({"absent": "true", "within": "4 weeks"}, "not '4 weeks'"),
        ({"absent": "true", "within": "28d", "horizon": "28d"}, "Extra inputs are not permitted"),
    ],
    ids=str,
)
def test_an_invalid_label(label: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Label(**label)


def test_a_label_tells_its_condition_and_horizon() -> None:
    absent, occurs = Label(absent="amount > 0", within="28d"), Label(occurs="amount < 0", within="1d")
    assert (absent.condition, absent.days, absent.horizon) == ("amount > 0", 28, timedelta(days=28))
    assert (occurs.condition, occurs.days) == ("amount < 0", 1)
    assert Label(count="*", within="1d").condition == Label(sum="amount", within="1d").condition == "true"
    assert Label(sum="amount", where="amount > 0", within="1d").expressions == ("amount > 0", "amount")


def test_a_label_tells_its_target() -> None:
    assert Label(absent="true", within="7d").target == Label(occurs="true", within="7d").target == BINARY
    assert Label(count="*", within="7d").target == Label(sum="amount", within="7d").target == REGRESSION
    assert Label(time_to="true", classes=("7d", "14d"), within="28d").target == Target(
        "multiclass", ("0-7d", "7-14d", "14-28d", "not within 28d")
    )


@pytest.mark.parametrize(
    ("history", "count"), [("12 cutoffs", 12), ("2 cutoffs", 2), (12, 12), ("100 cutoffs", 100)]
)
def test_history_is_a_number_of_cutoffs(history: object, count: int) -> None:
    assert Train.model_validate({"history": history}).history == count


def test_one_cutoff_may_be_written_in_the_singular() -> None:
    with pytest.raises(ValidationError, match=r"history \(1 cutoffs\) must be longer than tune \(1\)"):
        Train.model_validate({"history": "1 cutoff"})


@pytest.mark.parametrize(
    "history", ["12", "12 weeks", "0 cutoffs", "-3 cutoffs", "twelve cutoffs", "", None, 1.5]
)
def test_another_history_says_how_to_write_it(history: object) -> None:
    with pytest.raises(ValidationError) as refused:
        Train.model_validate({"history": history})
    assert f"history is a number of cutoffs such as '12 cutoffs', not {history!r}" in str(refused.value)


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"history": 3, "tune": 3}, r"train: history \(3 cutoffs\) must be longer than tune \(3\)"),
        ({"history": 0}, "must be longer than tune"),
        ({"tune": 0}, "greater than or equal to 1"),
        ({"estimator": "forest"}, "no estimator forest; there are xgboost, hist_gradient_boosting"),
        (
            {"parameters": {"learning_rate": 0}},
            "parameters of xgboost: learning_rate: Input should be greater",
        ),
        ({"parameters": {"subsample": 1.1}}, "subsample: Input should be less than or equal to 1"),
        (
            {"parameters": {"max_depht": 3}},
            "train.parameters of xgboost: no parameter max_depht; did you mean max_depth",
        ),
        ({"parameters": {"reg_lambda": float("nan")}}, "reg_lambda: Input should be a finite number"),
        (
            {"estimator": "hist_gradient_boosting", "parameters": {"max_depth": 3}},
            "no parameter max_depth; there are rounds, early_stopping",
        ),
        (
            {"estimator": f"{OWN}.ByCategory", "parameters": {"priro": 3}},
            "no parameter priro; did you mean prior",
        ),
        (
            {"estimator": f"{OWN}.ByCategory", "parameters": {"prior": 0}},
            "ByCategory: prior: .* greater than 0",
        ),
        ({"estimator": f"{OWN}.LacksLoad"}, "LacksLoad lacks load"),
        ({"learning_rate": 0.1}, "Extra inputs are not permitted"),
        (
            {"estimator": "logistic_regression", "monotone": {"recency": "increasing"}},
            "logistic_regression can't keep to monotone; xgboost and hist_gradient_boosting can",
        ),
        (
            {"estimator": "hist_gradient_boosting", "device": "cuda"},
            "hist_gradient_boosting fits on cpu, not on cuda",
        ),
        (
            {"search": {"space": {"depth": [2, 8]}}},
            "train.search.space of xgboost: no parameter depth; did you mean max_depth",
        ),
        (
            {"search": {"space": {"max_depth": [8, 2]}}},
            r"the lowest comes before the highest, unlike in \[8, 2\]",
        ),
        ({"search": {"space": {"max_depth": [0, 8, "log"]}}}, "by log the lowest is more than 0"),
        (
            {"search": {"space": {"max_depth": [2, 4, 8]}}},
            r"\[lowest, highest\], .* or a list of words, not \[2, 4",
        ),
        (
            {"search": {"space": {"max_depth": [2, 40]}}},
            "search.space of xgboost: max_depth: .* less than or equal",
        ),
        (
            {"search": {"space": {"max_depth": [2.5, 8]}}},
            "search.space of xgboost: max_depth: .* valid integer",
        ),
        ({"search": {"space": {"max_depth": [6, 8]}}}, r"max_depth is 4, outside of its space \[6.0, 8.0\]"),
        ({"search": {"space": {"loss": ["poisson", "tweedie"]}}}, "loss is what a fit minimises"),
        ({"search": {"trials": 0}}, "greater than or equal to 1"),
    ],
    ids=str,
)
def test_an_invalid_fit(train: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Train(**train)


def test_the_space_of_a_search_is_the_estimators_own_or_the_given_one() -> None:
    assert Train(search=Search()).search_space == estimator_class("xgboost").space
    given = Train.model_validate({"search": {"space": {"max_depth": [2, 8], "reg_lambda": [1, 9, "log"]}}})
    assert given.search_space == {"max_depth": (2, 8), "reg_lambda": (1, 9, "log")}
    assert Train().search is None


def test_an_estimator_without_a_space_needs_one() -> None:
    with pytest.raises(ValidationError, match=r"NoSpace has no space of its own; give search.space"):
        Train(estimator=f"{OWN}.NoSpace", search=Search())


def test_monotone_ways() -> None:
    spec = Train(monotone={"recency": "increasing", "trips": "decreasing"})
    assert spec.monotone_ways == {"recency": 1, "trips": -1}


def test_only_weekly_cutoffs() -> None:
    with pytest.raises(ValidationError, match="Input should be 'week'"):
        Cutoffs.model_validate({"every": "day", "start": START})


# cutoffs


def test_cutoffs_before_a_day() -> None:
    assert WEEKLY.before(START, 3) == [START]
    assert WEEKLY.before(START + 3 * WEEK, 2) == [START + 2 * WEEK, START + 3 * WEEK]
    assert WEEKLY.before(START + 4 * WEEK - timedelta(days=1), 2) == [START + 2 * WEEK, START + 3 * WEEK]
    assert WEEKLY.before(START - timedelta(days=1), 3) == []
    assert WEEKLY.before(START - 20 * WEEK, 3) == []


# splits


def test_a_split_leaves_a_horizon_before_tune_and_before_the_cutoff() -> None:
    label, train = Label(absent="true", within="28d"), Train(history=12, tune=1)
    fitted, tune = split_as_ofs(START + 20 * WEEK, label, WEEKLY, train)
    assert tune == [START + 16 * WEEK]
    assert fitted == [START + n * WEEK for n in range(5, 13)]


@pytest.mark.parametrize("weeks", [0, 1, 3])
def test_before_the_first_label_has_matured_there_is_nothing(weeks: int) -> None:
    label = Label(absent="true", within="28d")
    assert split_as_ofs(START + weeks * WEEK, label, WEEKLY, Train()) == ([], [])


def test_the_first_mature_label_tunes_and_nothing_is_left_to_fit() -> None:
    label = Label(absent="true", within="28d")
    assert split_as_ofs(START + 4 * WEEK, label, WEEKLY, Train()) == ([], [START])
    assert split_as_ofs(START + 8 * WEEK, label, WEEKLY, Train())[0] == [START]


@examples(200)
@given(
    weeks=st.integers(-3, 60),
    within=st.integers(1, 60),
    history=st.integers(2, 20),
    tune=st.integers(1, 5),
)
def test_no_label_looks_past_its_split(weeks: int, within: int, history: int, tune: int) -> None:
    tune = min(tune, history - 1)
    label, cutoff = Label(absent="true", within=f"{within}d"), START + weeks * WEEK
    fitted, tuned = split_as_ofs(cutoff, label, WEEKLY, Train(history=history, tune=tune))
    for as_of in tuned:
        assert as_of + label.horizon <= cutoff, "a tune label looks past the cutoff"
    for as_of in fitted:
        assert as_of + label.horizon <= min(tuned), "a train label looks into tune"
    assert [*fitted, *tuned] == sorted({*fitted, *tuned})
    assert len(fitted) + len(tuned) <= history
    assert len(tuned) <= tune
    assert all(as_of >= START and (as_of - START).days % 7 == 0 for as_of in [*fitted, *tuned])
    matured = sum(START + n * WEEK + label.horizon <= cutoff for n in range(100))
    assert len(tuned) == min(tune, matured), "a mature cutoff is left out of tune"
    usable = [START + n * WEEK for n in range(max(0, matured - history), matured)]
    assert fitted == [as_of for as_of in usable if tuned and as_of + label.horizon <= tuned[0]]
