import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from ml_assets.evaluation import bootstrap
from ml_assets.evaluation.bootstrap import metric_interval, paired_difference
from ml_assets_tests.evaluation.holdouts import make_holdout

SKLEARN = {"auc": roc_auc_score, "average_precision": average_precision_score}


def small(n: int = 120, entities: int = 30, seed: int = 3):
    random = np.random.default_rng(seed)
    entity = random.integers(0, entities, n)
    label = (random.random(n) < 0.4).astype(int)
    better = np.round(label + random.normal(size=n), 1)
    other = np.round(0.5 * label + random.normal(size=n), 1)
    return label, better, other, entity


@pytest.mark.parametrize("metric", ["auc", "average_precision"])
def test_agrees_with_explicit_resampling_of_entities_measured_by_sklearn(metric):
    label, better, other, entity = small()
    rows_of = [np.flatnonzero(entity == e) for e in np.unique(entity)]
    random = np.random.default_rng(11)
    differences = []
    for _ in range(1500):
        rows = np.concatenate([rows_of[e] for e in random.integers(0, len(rows_of), len(rows_of))])
        first, second = (SKLEARN[metric](label[rows], score[rows]) for score in (better, other))
        differences.append(first - second)
    found = paired_difference(label, better, other, entity, metric, draws=4000)
    expected = np.quantile(differences, [0.025, 0.975])
    spread = np.std(differences)
    assert found.observed == pytest.approx(SKLEARN[metric](label, better) - SKLEARN[metric](label, other))
    assert found.mean == pytest.approx(np.mean(differences), abs=0.1 * spread)
    assert [found.low, found.high] == pytest.approx(expected, abs=0.15 * spread)


def test_each_draw_is_exactly_sklearns_metric_of_the_drawn_rows():
    label, score, _, entity = small()
    codes, entities = bootstrap._codes(entity, len(label))
    (weights,) = bootstrap._weights(codes, entities, 25, seed=1)
    ranking = bootstrap.Ranking(label, score)
    for weight, value in zip(weights, ranking.auc(weights), strict=True):
        rows = np.repeat(np.arange(len(label)), weight.astype(int))
        assert value == pytest.approx(roc_auc_score(label[rows], score[rows]), abs=1e-12)


def test_a_draw_takes_as_many_entities_as_there_are_and_all_rows_of_each():
    _, _, _, entity = small()
    codes, entities = bootstrap._codes(entity, len(entity))
    (weights,) = bootstrap._weights(codes, entities, 50, seed=1)
    for e in range(entities):
        own = weights[:, codes == e]
        assert (own == own[:, :1]).all()
    first_rows = [int(np.flatnonzero(codes == e)[0]) for e in range(entities)]
    assert (weights[:, first_rows].sum(axis=1) == entities).all()


@pytest.mark.parametrize("metric", ["auc", "average_precision"])
def test_identical_scores_and_identical_ranks_differ_by_exactly_nothing(metric):
    label, score, _, entity = small()
    for same in (score.copy(), 2 * score + 5):
        found = paired_difference(label, score, same, entity, metric, draws=300)
        assert (found.mean, found.low, found.high, found.observed) == (0.0, 0.0, 0.0, 0.0)


def test_the_same_seed_gives_the_same_numbers_however_draws_are_cut(monkeypatch):
    given = small()
    whole = paired_difference(*given, draws=300, seed=5)
    monkeypatch.setattr(bootstrap, "_CELLS", 7 * len(given[0]))
    assert paired_difference(*given, draws=300, seed=5) == whole
    assert paired_difference(*given, draws=300, seed=6) != whole


def test_repeating_rows_of_an_entity_adds_no_certainty():
    label, better, other, _ = small(entities=120)
    entity = np.arange(120)
    thrice = [np.tile(part, 3) for part in (label, better, other, entity)]
    once = paired_difference(label, better, other, entity)
    clustered = paired_difference(*thrice)
    as_if_new = paired_difference(*thrice[:3], np.arange(360))
    assert clustered.high - clustered.low == pytest.approx(once.high - once.low, rel=0.05)
    assert as_if_new.high - as_if_new.low < 0.7 * (once.high - once.low)


def test_pairing_is_tighter_than_two_separate_intervals():
    frame = make_holdout()
    label, entity = frame["label"], frame["household_id"]
    pair = paired_difference(label, frame["score_candidate"], frame["score_champion"], entity, draws=500)
    alone = metric_interval(label, frame["score_candidate"], entity, draws=500)
    assert pair.high - pair.low < 0.5 * (alone.high - alone.low)


def test_low_alone_is_a_one_sided_bound_at_twice_alpha():
    given = small()
    narrow, wide = (paired_difference(*given, confidence=confidence) for confidence in (0.90, 0.95))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_entities_may_be_text():
    label, better, other, entity = small()
    named = np.array([f"h{e:03d}" for e in entity], dtype=object)
    by_text, by_number = (paired_difference(label, better, other, e, draws=200) for e in (named, entity))
    assert by_text == by_number


def test_one_class_is_nan_all_over():
    found = paired_difference([1, 1, 1], [0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [1, 2, 3], draws=100)
    assert all(math.isnan(value) for value in (found.mean, found.low, found.high, found.observed))


def test_draws_often_without_a_class_give_no_interval_but_the_observed_value():
    found = metric_interval([1, 0, 0, 0], [0.9, 0.2, 0.3, 0.1], [1, 2, 3, 4], draws=500)
    assert found.observed == 1.0
    assert math.isnan(found.low)
    assert 0 < found.draws < 500


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"better": [0.1, float("nan"), 0.3]}, "1 of 3 scores"),
        ({"entity": [1, 2]}, "one entity"),
        ({"entity": [1, None, 2]}, "1 of 3 rows have no entity"),
        ({"metric": "accuracy"}, "auc or average_precision"),
        ({"draws": 0}, "draws is at least 1"),
        ({"label": [], "better": [], "other": [], "entity": []}, "at least one row"),
    ],
)
def test_wrong_input_is_refused(change, said):
    given = {"label": [0, 1, 1], "better": [0.1, 0.2, 0.3], "other": [0.3, 0.1, 0.2], "entity": [1, 2, 3]}
    with pytest.raises(ValueError, match=said):
        paired_difference(**{**given, **change})
