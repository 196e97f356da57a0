import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, log_loss, r2_score, roc_auc_score

from ml_assets.evaluation import bootstrap
from ml_assets.evaluation.bootstrap import Resampled, resample
from ml_assets.training.target import BINARY, REGRESSION
from ml_assets_tests.evaluation.holdouts import KINDS, SIZES, make_holdout

SHARES = [f"score_candidate_{k}" for k in range(3)], [f"score_champion_{k}" for k in range(3)]


def skill(rows: pd.DataFrame, columns: list[str]) -> float:
    classes = [0, 1, 2]
    constant = np.tile(np.bincount(rows["label"], minlength=3) / len(rows), (len(rows), 1))
    known, nothing = (
        log_loss(rows["label"], p, labels=classes) for p in (rows[columns].to_numpy(), constant)
    )
    return 1 - known / nothing


MEASURED = {
    "auc": ("binary", lambda rows, role: roc_auc_score(rows["label"], rows[f"score_{role}"])),
    "average_precision": (
        "binary",
        lambda rows, role: average_precision_score(rows["label"], rows[f"score_{role}"]),
    ),
    "r2": ("regression", lambda rows, role: r2_score(rows["label"], rows[f"score_{role}"])),
    "skill": ("multiclass", lambda rows, role: skill(rows, SHARES[role == "champion"])),
}
"""Each metric: of which target, and as others measure it."""


def small(kind: str = "binary", n: int = 120, entities: int = 30) -> pd.DataFrame:
    """Rows of few entities; scores of a binary target tie."""
    frame = KINDS[kind][1](n=n, seed=3)
    if kind == "binary":
        random = np.random.default_rng(3)
        label = (random.random(n) < 0.4).astype(int)
        one, other = label + random.normal(size=n), 0.5 * label + random.normal(size=n)
        frame = frame.assign(label=label, score_candidate=one.round(1), score_champion=other.round(1))
    return frame.assign(household_id=np.random.default_rng(3).integers(0, entities, n))


def paired(frame: pd.DataFrame, metric: str = "auc", draws: int = 300, **given) -> Resampled:
    target = KINDS[MEASURED[metric][0]][0]
    both = ["candidate", "champion"]
    found = resample(target, frame, both, entity=["household_id"], metrics=[metric], draws=draws, **given)
    return found[metric]


def weights_of(frame: pd.DataFrame, draws: int, seed: int) -> np.ndarray:
    """How often each row counts in the first draws."""
    codes, entities = bootstrap._entities(frame, ["household_id"])
    (counts,) = bootstrap._counts(entities, draws, draws, seed, 0)
    return counts.take(codes, axis=1)


@pytest.mark.parametrize("metric", MEASURED)
def test_each_draw_is_exactly_the_metric_of_the_drawn_rows(metric):
    kind, measured = MEASURED[metric]
    frame = small(kind)
    if kind == "binary":
        frame = frame.sort_values("label", kind="stable")
    found = paired(frame, metric, draws=20, seed=1)
    for number, weights in enumerate(weights_of(frame, 20, seed=1)):
        rows = frame.loc[np.repeat(frame.index, weights.astype(int))]
        for role in ("candidate", "champion"):
            assert found.drawn[role][number] == pytest.approx(measured(rows, role), abs=1e-9)
            assert found.observed[role] == pytest.approx(measured(frame, role), abs=1e-9)


def test_agrees_with_explicit_resampling_of_entities():
    _, measured = MEASURED["auc"]
    frame = small()
    rows_of = [np.flatnonzero(frame["household_id"] == e) for e in frame["household_id"].unique()]
    random = np.random.default_rng(11)
    differences = []
    for _ in range(400):
        rows = np.concatenate([rows_of[e] for e in random.integers(0, len(rows_of), len(rows_of))])
        differences.append(measured(frame.iloc[rows], "candidate") - measured(frame.iloc[rows], "champion"))
    found = paired(frame, draws=4000).difference("candidate", "champion")
    spread = np.std(differences)
    assert found.mean == pytest.approx(np.mean(differences), abs=0.2 * spread)
    assert [found.low, found.high] == pytest.approx(
        np.quantile(differences, [0.025, 0.975]), abs=0.4 * spread
    )


def test_a_draw_takes_as_many_entities_as_there_are_and_all_rows_of_each():
    frame = small()
    weights = pd.DataFrame(weights_of(frame, 30, seed=1).T).groupby(frame["household_id"].to_numpy())
    assert (weights.nunique() == 1).all(axis=None)
    assert (weights.first().sum() == frame["household_id"].nunique()).all()


@pytest.mark.parametrize("metric", ["auc", "average_precision"])
def test_scores_that_rank_alike_differ_by_exactly_nothing(metric):
    frame = small()
    for same in (frame["score_candidate"], 2 * frame["score_candidate"] + 5):
        found = paired(frame.assign(score_champion=same), metric).difference("candidate", "champion")
        assert (found.mean, found.low, found.high, found.observed) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("metric", MEASURED)
def test_neither_threads_nor_how_draws_are_cut_change_a_digit(metric, monkeypatch):
    frame = small(MEASURED[metric][0])
    whole = paired(frame, metric, draws=100, seed=5, threads=1)
    for cells, threads in ((1, 3), (7 * len(frame), 2)):
        monkeypatch.setattr(bootstrap, "_CELLS", cells)
        cut = paired(frame, metric, draws=100, seed=5, threads=threads)
        assert all((cut.drawn[role] == whole.drawn[role]).all() for role in whole.drawn)
    assert (paired(frame, metric, draws=100, seed=6).drawn["candidate"] != whole.drawn["candidate"]).any()


def test_more_draws_begin_with_the_same_ones():
    few, many = (paired(small(), draws=draws).drawn["candidate"] for draws in (50, 130))
    assert (many[:50] == few).all()


def test_neither_other_metrics_nor_other_roles_change_a_digit():
    frame, roles = small(), ["candidate", "champion"]
    given = {"entity": ["household_id"], "draws": 100}
    together = resample(BINARY, frame, roles, metrics=["auc", "average_precision"], **given)
    for metric, role in product(together, roles):
        alone = resample(BINARY, frame, [role], metrics=[metric], **given)[metric]
        assert (alone.drawn[role] == together[metric].drawn[role]).all()
        assert alone.observed[role] == together[metric].observed[role]


@pytest.mark.parametrize("metric", MEASURED)
def test_rows_in_another_order_are_the_same_but_for_the_draws(metric):
    frame = small(MEASURED[metric][0], n=400, entities=200)
    first, second = (
        paired(part, metric, draws=1500).difference("candidate", "champion")
        for part in (frame, frame.sample(frac=1, random_state=2))
    )
    assert second.observed == pytest.approx(first.observed, abs=1e-12)
    assert second.high - second.low == pytest.approx(first.high - first.low, rel=0.15)


def test_repeating_rows_of_an_entity_adds_no_certainty():
    frame = small().assign(household_id=np.arange(120))
    thrice = pd.concat([frame] * 3, ignore_index=True)
    once, clustered, as_if_new = (
        paired(part, draws=1500).difference("candidate", "champion")
        for part in (frame, thrice, thrice.assign(household_id=thrice.index))
    )
    assert clustered.high - clustered.low == pytest.approx(once.high - once.low, rel=0.1)
    assert as_if_new.high - as_if_new.low < 0.7 * (once.high - once.low)


def test_pairing_is_tighter_than_two_separate_intervals():
    found = paired(make_holdout())
    pair, alone = found.difference("candidate", "champion"), found.interval("candidate")
    assert pair.high - pair.low < 0.5 * (alone.high - alone.low)


def test_low_alone_is_a_one_sided_bound_at_twice_alpha():
    narrow, wide = (paired(small()).difference("candidate", "champion", c) for c in (0.90, 0.95))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_entities_may_be_text_and_several_columns():
    frame = small()
    named = frame.assign(household_id=[f"h{e:03d}" for e in frame["household_id"]], till=1)
    entity = ["household_id", "till"]
    both = resample(BINARY, named, ["candidate"], entity=entity, metrics=["auc"], draws=100)
    assert (both["auc"].drawn["candidate"] == paired(frame, draws=100).drawn["candidate"]).all()


def test_one_class_is_nan_all_over():
    found = paired(small().assign(label=1), draws=100).difference("candidate", "champion")
    assert all(math.isnan(value) for value in (found.mean, found.low, found.high, found.observed))


def test_draws_often_without_a_class_give_no_interval_but_the_observed_value():
    frame = pd.DataFrame(
        {"household_id": range(4), "label": [1, 0, 0, 0], "score_candidate": [0.9, 0.2, 0.3, 0.1]}
    )
    resampled = resample(BINARY, frame, ["candidate"], entity=["household_id"], metrics=["auc"], draws=500)
    found = resampled["auc"].interval("candidate")
    assert found.observed == 1.0
    assert math.isnan(found.low)
    assert 0 < found.draws < 500


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"score_candidate": [0.1, float("nan"), 0.3]}, "1 of 3 scores"),
        ({"household_id": [1, None, 2]}, "1 of 3 rows have no household_id"),
        ({"label": [0, 1, 2]}, "1 of 3 labels"),
        ({"metric": "r2"}, "auc or average_precision, not 'r2'"),
        ({"draws": 0}, "draws is at least 1"),
        ({"rows": 0}, "no rows"),
    ],
)
def test_wrong_input_is_refused(change, said):
    columns = {"label": [0, 1, 1], "score_candidate": [0.1, 0.2, 0.3], "household_id": [1, 2, 3]}
    given = {"rows": 3, "metric": "auc", "draws": 100, **columns, **change}
    frame = pd.DataFrame({name: given[name] for name in columns}).head(given["rows"])
    with pytest.raises(ValueError, match=said):
        resample(
            BINARY,
            frame,
            ["candidate"],
            entity=["household_id"],
            metrics=[given["metric"]],
            draws=given["draws"],
        )


@pytest.mark.parametrize(("target", "column"), [(REGRESSION, "score_champion"), (SIZES, "score_champion_1")])
def test_scores_that_are_no_numbers_are_refused(target, column):
    frame = small(target.kind)
    frame.loc[3, column] = float("nan")
    with pytest.raises(ValueError, match="not finite numbers"):
        paired(frame, "r2" if target is REGRESSION else "skill")
