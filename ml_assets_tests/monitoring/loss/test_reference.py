import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.lake import records
from ml_assets.monitoring.loss.curve import expect, fit_curves
from ml_assets.monitoring.loss.normalised import loss_of
from ml_assets.monitoring.loss.reference import Reference, build_reference
from ml_assets.monitoring.tables import REFERENCES
from ml_assets.training.target import BINARY, REGRESSION
from ml_assets_tests.monitoring.scored import CUTOFF, TARGETS, draw, reference
from ml_assets_tests.profiles import examples


@pytest.mark.parametrize("kind", TARGETS)
def test_a_reference_reads_back_from_its_row(kind: str, con: duckdb.DuckDBPyConnection) -> None:
    made = reference(TARGETS[kind])
    (row,) = records(con, [made.row()], REFERENCES.types).to_arrow_table().to_pylist()
    assert Reference.from_row(row) == made
    assert len(str(row)) < 10_000


@pytest.mark.parametrize("kind", TARGETS)
def test_it_holds_the_loss_and_the_scores_of_the_holdout(kind: str) -> None:
    labels, said = draw(TARGETS[kind], 2_000, seed=0)
    made, loss = reference(TARGETS[kind]), loss_of(TARGETS[kind], labels, said)
    assert (made.loss, made.loss_deviation, made.rows) == (loss.value, loss.deviation, 2_000)
    assert made.expected == pytest.approx(made.loss, abs=0.01)
    assert made.shares == pytest.approx([0.05] * 20, abs=0.001)
    assert made.rarest == (None if kind == "regression" else np.unique(labels, return_counts=True)[1].min())


@pytest.mark.parametrize(
    ("labels", "said"), [([], []), ([0] * 50, [0.2] * 50), ([0, 1] * 20, [0.1, np.nan] * 20)]
)
def test_a_holdout_without_a_loss_has_a_reference_that_says_why(
    labels: list[float], said: list[float], con: duckdb.DuckDBPyConnection
) -> None:
    made = build_reference(
        BINARY, np.asarray(labels, float), np.asarray(said, float), cutoff=CUTOFF, model_version=1
    )
    assert (made.loss, made.expected, made.curves) == (None, None, ())
    assert made.undefined
    (row,) = records(con, [made.row()], REFERENCES.types).to_arrow_table().to_pylist()
    assert Reference.from_row(row) == made


def test_a_curve_finds_the_truth_behind_overconfident_scores() -> None:
    labels, said = draw(BINARY, 20_000, seed=3, sure=2.0)
    truth = 1 / (1 + np.exp(-np.log(said / (1 - said)) / 2))
    (curve,) = fit_curves(BINARY, labels, said)
    assert np.abs(curve.expected(said) - truth).mean() < 0.015
    assert np.abs(said - truth).mean() > 0.05


def test_amounts_have_a_variance_by_score() -> None:
    labels, said = draw(REGRESSION, 20_000, seed=3)
    (curve,) = fit_curves(REGRESSION, labels, said)
    at = np.array([50.0, 70.0])
    assert np.sqrt(curve.variance(at)) == pytest.approx([10, 15], rel=0.1)
    found = expect(REGRESSION, [curve], said)
    assert found.losses.mean() == pytest.approx(((labels - said) ** 2).mean(), rel=0.02)


@examples(40)
@given(st.integers(0, 10_000), st.integers(1, 300), st.integers(1, 30))
def test_curves_never_fall_and_stay_probabilities(seed: int, rows: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    said = rng.choice(rng.random(values), rows)
    (curve,) = fit_curves(BINARY, (rng.random(rows) < 0.4) * 1.0, said)
    expected = curve.expected(np.linspace(0, 1, 101))
    assert (np.diff(expected) >= -1e-12).all()
    assert (expected >= 0).all()
    assert (expected <= 1).all()
    assert sum(curve.rows) == rows
    assert min(curve.rows) > 0


def test_rows_in_support_are_few_where_scores_crowd() -> None:
    labels, said = draw(BINARY, 2_000, seed=0)
    (curve,) = fit_curves(BINARY, labels, said)
    assert curve.supporting(said) == pytest.approx(2_000)
    assert curve.supporting(np.full(500, said.max())) == pytest.approx(100, abs=2)
    assert curve.outside(said) == 0
    assert curve.outside(np.array([0.0, 0.5])) == 0.5
