from dataclasses import replace
from datetime import date
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.evaluation.arrays import ROLES
from ml_assets.evaluation.bootstrap import resample
from ml_assets.evaluation.measured import HoldoutRows, measure
from ml_assets.evaluation.metrics import METRICS, metrics_of
from ml_assets.evaluation.slices import by_slice
from ml_assets.evaluation.spec import COMPARED_BY, Standard
from ml_assets_tests.evaluation.holdouts import CUTOFF, FACTS, FIRST, KINDS, QUICK, make_holdout, measured


@pytest.mark.parametrize("kind", KINDS)
def test_it_holds_what_each_part_measures_by_itself(kind: Any) -> None:
    target, make = KINDS[kind]
    frame, metric = make(n=600), COMPARED_BY[kind][0]
    found = measured(frame, target=target, groups=("department",))
    assert found.problem is None
    assert found.rows == HoldoutRows(600, first=CUTOFF, last=CUTOFF)
    assert list(found.metrics) == list(found.said) == list(ROLES)
    assert set(found.resampled) == set(COMPARED_BY[kind])
    for role in ROLES:
        assert found.metrics[role] == metrics_of(target, frame, role)
        given = {"entity": ["household_id"], "draws": QUICK.draws, "seed": QUICK.seed}
        alone = resample(target, frame, [role], metrics=[metric], **given)[metric].interval(role)
        assert found.interval(role) == (alone.low, alone.high)
        assert alone.low < found.metrics[role][metric] < alone.high
    assert found.slices == {"department": tuple(by_slice(frame, "department", target, metric))}
    assert [row.n for row in found.groups["department"].rows] == [row.n for row in found.slices["department"]]


def test_gaps_are_of_the_large_groups_and_of_what_the_target_compares() -> None:
    frame = make_holdout()
    frame.loc[:60, "department"] = "FLORAL"
    grouped = measured(frame, groups=("department",)).groups["department"]
    assert (len(grouped.rows), len(grouped.large)) == (4, 3)
    assert (len(grouped.found), len(grouped.chosen), len(grouped.promised)) == (3, 3, 0)
    rates = {row.value: row.selection_rate for row in grouped.rows}
    for gap in grouped.chosen:
        assert gap.difference == pytest.approx(rates[gap.high] - rates[gap.low])
    target, make = KINDS["regression"]
    amounts = measured(make(), target=target, groups=("department",)).groups["department"]
    assert (len(amounts.found), len(amounts.chosen), len(amounts.promised)) == (0, 0, 3)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: f.head(0), "The holdout is empty"),
        (lambda f: pd.DataFrame(), "The holdout is empty"),
        (lambda f: f.drop(columns="as_of"), "no column as_of"),
        (lambda f: f.assign(label="yes"), "The labels are not numbers"),
        (lambda f: f.assign(label=2), "1500 of 1500 labels are neither 0 nor 1"),
        (lambda f: f.assign(label=1), "All 1500 labels are 1: with one value, AUC is not defined."),
        (lambda f: f.drop(columns="score_candidate"), "the candidate was not scored"),
        (lambda f: f.assign(score_champion="high"), "score_champion does not hold numbers"),
        (lambda f: f.assign(score_baseline=np.inf), "1500 of 1500 scores of the baseline"),
    ],
)
def test_what_cannot_be_measured_is_said_and_never_raised(spoil: Any, said: str) -> None:
    found = measured(spoil(make_holdout()), groups=("department",))
    assert found.problem is not None
    assert said in found.problem
    assert isnan(found.interval("candidate")[0]) or "candidate" in found.said


def test_a_metric_is_recorded_of_every_role_that_gave_numbers_be_it_undefined() -> None:
    frame = make_holdout()
    frame.loc[3, "score_champion"] = np.nan
    found = measured(frame)
    assert tuple(found.metrics["champion"]) == METRICS["binary"]
    assert isnan(found.metrics["champion"]["auc"])
    assert isnan(found.interval("champion")[0])
    assert not isnan(found.interval("candidate")[0])


def test_probabilities_without_a_score_are_not_compared() -> None:
    target, make = KINDS["multiclass"]
    found = measured(make().drop(columns="score_baseline"), target=target)
    assert list(found.said) == ["candidate", "champion"]
    assert found.unsound["baseline"].status == "NOT EVALUATED"
    assert found.problem is None


def test_an_empty_holdout_has_no_row_and_no_metric() -> None:
    found = measured(make_holdout().head(0))
    assert found.metrics["candidate"]["n"] == 0
    assert isnan(found.metrics["candidate"]["auc"])
    assert (found.resampled, found.slices, found.groups) == ({}, {}, {})


def test_labels_that_are_not_mature_are_measured_and_not_shown() -> None:
    found = measured(make_holdout(), replace(FACTS, landed_through=date(2017, 10, 1)))
    assert found.metrics["candidate"]["n"] == 1500
    assert found.problem is not None
    assert "not mature" in found.problem


def test_there_is_a_champion_if_anything_speaks_of_one() -> None:
    frame = make_holdout()
    assert measured(frame).others == measured(frame, FIRST).others == ["baseline", "champion"]
    assert measured(frame.drop(columns="score_champion")).has_champion
    assert measured(frame.drop(columns="score_champion"), FIRST).others == ["baseline"]


def test_rows_that_repeat_and_rows_without_an_as_of_are_counted() -> None:
    frame = make_holdout()
    assert measured(pd.concat([frame, frame.head(3)])).rows.repeated == 3
    frame["as_of"] = frame["as_of"].where(frame.index >= 5)
    rows = measured(frame).rows
    assert (rows.undated, rows.first, rows.last) == (5, None, None)


def test_scores_too_large_to_square_leave_nothing_to_compare() -> None:
    target, make = KINDS["regression"]
    frame = make(n=300).assign(score_candidate=1e200)
    with np.errstate(over="ignore"):
        found = measure(frame, FACTS, Standard(target, ["household_id"], QUICK))
    assert found.compared is None
