import numpy as np
import pytest
from pydantic import ValidationError

from ml_assets.evaluation.spec import Costs
from ml_assets.evaluation.thresholds import SHARES, selection_threshold, threshold_table
from ml_assets_tests.evaluation.holdouts import make_holdout


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    frame = make_holdout(n=20_000)
    return frame["label"].to_numpy(dtype=float), frame["score_candidate"].to_numpy()


def cost_of(costs: Costs, label: np.ndarray, selected: np.ndarray) -> float:
    per_row = np.where(
        selected,
        np.where(label == 1, costs.true_positive, costs.false_positive),
        np.where(label == 1, costs.false_negative, costs.true_negative),
    )
    return float(1000 * per_row.mean())


@pytest.mark.parametrize(
    ("costs", "threshold"),
    [
        (Costs(), 0.5),
        (Costs(false_positive=1, false_negative=9), 0.1),
        (Costs(true_positive=-8, false_positive=2, false_negative=0), 0.2),
        (Costs(false_positive=3, true_negative=2, false_negative=3), 0.25),
    ],
)
def test_the_threshold_follows_the_costs_and_is_cheapest_for_calibrated_scores(costs, threshold, rows):
    label, score = rows
    assert costs.threshold == pytest.approx(threshold)
    assert selection_threshold(label, score, costs) == costs.threshold
    (best,) = [line for line in threshold_table(label, score, costs) if line.best]
    at_theory = cost_of(costs, label, score >= costs.threshold)
    assert best.cost == pytest.approx(cost_of(costs, label, score >= best.threshold))
    assert best.cost <= at_theory
    assert best.cost == pytest.approx(at_theory, abs=0.02 * abs(at_theory) + 2)


@pytest.mark.parametrize("wrong", [{"false_positive": 0}, {"false_negative": 1, "true_positive": 1}])
def test_mistakes_that_cost_nothing_more_are_refused(wrong):
    with pytest.raises(ValidationError, match="all rows, or none, would be selected"):
        Costs(**wrong)


def test_without_costs_as_many_are_selected_as_have_label_1(rows):
    label, score = rows
    assert (score >= selection_threshold(label, score, None)).sum() == label.sum()
    tied = score.round(1)
    taken = (tied >= selection_threshold(label, tied, None)).sum()
    choices = [(tied >= value).sum() for value in np.unique(tied)]
    assert abs(taken - label.sum()) == min(abs(count - label.sum()) for count in choices)


def test_a_line_is_what_its_threshold_does(rows):
    label, score = rows
    table = threshold_table(label, score, None)
    assert [line.selected for line in table] == pytest.approx(SHARES, abs=1e-3)
    for line in table:
        taken = score >= line.threshold
        assert line.selected == taken.mean()
        assert line.precision == label[taken].mean()
        assert line.recall == pytest.approx(label[taken].sum() / label.sum())
        assert (line.cost, line.best) == (None, False)


def test_rows_of_one_score_are_selected_together():
    table = threshold_table(np.array([0.0, 1.0, 0.0, 1.0]), np.full(4, 0.5), Costs())
    assert [(line.selected, line.precision, line.best) for line in table] == [(1.0, 0.5, True)]
    assert threshold_table(np.array([]), np.array([]), Costs()) == []
