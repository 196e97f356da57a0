from datetime import date
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from ml_assets.lake import connect, records
from ml_assets.monitoring.loss.performance import PerformanceError
from ml_assets.monitoring.loss.performance import performance as by_cohort
from ml_assets.monitoring.loss.reference import build_reference
from ml_assets.monitoring.loss.verdict import DayWatched
from ml_assets.monitoring.spec import MonitoringPolicy
from ml_assets.monitoring.tables import performance_schema
from ml_assets.training.target import BINARY, REGRESSION, Target

POLICY = MonitoringPolicy()  # type: ignore[call-arg]


def performance(frame: pd.DataFrame, target: Target, **given: Any) -> list[dict[str, Any]]:
    known = frame.assign(known_until=pd.Timestamp("2017-09-03"))
    return by_cohort(
        known,
        target,
        **{"model": "lapse", "references": {}, "unlike": {}, "watched": {}, "policy": POLICY} | given,
    )


def outcomes(seed: int = 0, rows: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    score = rng.random(rows)
    return pd.DataFrame({"label": (rng.random(rows) < score).astype(int), "score": score})


def test_each_cohort_has_its_own_metrics() -> None:
    parts = [
        outcomes(seed).assign(as_of=pd.Timestamp(as_of), model_version=version)
        for seed, (as_of, version) in enumerate([("2017-09-10", 1), ("2017-09-03", 2), ("2017-09-03", 1)])
    ]
    cohorts = performance(pd.concat(parts), BINARY)
    assert [(c["as_of"], c["model_version"]) for c in cohorts] == [
        (date(2017, 9, 3), 1),
        (date(2017, 9, 3), 2),
        (date(2017, 9, 10), 1),
    ]
    part, cohort = parts[2], cohorts[0]
    assert (cohort["n"], cohort["positives"]) == (300, part["label"].sum())
    assert cohort["auc"] == pytest.approx(roc_auc_score(part["label"], part["score"]))
    assert cohort["average_precision"] == pytest.approx(average_precision_score(part["label"], part["score"]))
    assert cohort["brier"] == pytest.approx(brier_score_loss(part["label"], part["score"]))
    assert cohort["calibration_ratio"] == pytest.approx(part["score"].mean() / part["label"].mean())


def test_a_cohort_is_judged_by_the_reference_of_its_version() -> None:
    frame = outcomes(seed=1, rows=2_000)
    held = outcomes(seed=2, rows=2_000)
    reference = build_reference(
        BINARY,
        held["label"].to_numpy(float),
        held["score"].to_numpy(),
        cutoff=date(2017, 9, 3),
        model_version=2,
    )
    parts = [frame.assign(as_of=pd.Timestamp("2017-09-10"), model_version=version) for version in (1, 2)]
    watched = {(date(2017, 9, 10), 2): DayWatched(0.4, moved=True)}
    first, second = performance(pd.concat(parts), BINARY, references={2: reference}, watched=watched)
    assert first["loss"] == second["loss"]
    assert (first["worse"], first["reference_loss"], first["diagnosis"]) == (None, None, None)
    assert first["reason"] == (
        "Not judged: version 1 was judged before references were kept; materialize lapse/evaluation of cutoff "
        "2017-09-03 to have one."
    )
    assert (second["worse"], second["unexpected"], second["diagnosis"]) == (False, False, "data drift")
    assert second["reference_loss"] == reference.loss
    cohort = (date(2017, 9, 10), 2)
    _, other = performance(
        pd.concat(parts), BINARY, references={2: reference}, unlike={cohort: "its label is another"}
    )
    assert other["loss"] == second["loss"]
    assert (other["worse"], other["reason"]) == (None, "Not judged: its label is another.")
    with connect() as con:
        (_, row) = (
            records(con, [first, second], performance_schema(BINARY).types).to_arrow_table().to_pylist()
        )
    assert row == second


def test_one_class_leaves_out_what_is_undefined() -> None:
    frame = outcomes().assign(label=0, as_of=pd.Timestamp("2017-09-03"), model_version=1)
    (cohort,) = performance(frame, BINARY)
    assert (cohort["n"], cohort["positives"]) == (300, 0)
    assert (cohort["auc"], cohort["calibration_ratio"]) == (None, None)
    assert cohort["brier"] is not None
    assert (cohort["loss"], cohort["worse"]) == (None, None)
    assert cohort["reason"] == "Not judged: its loss is not defined, all 300 labels are 0."


def test_dates_from_duckdb_stay_dates_and_rows_fit_a_table(con: duckdb.DuckDBPyConnection) -> None:
    frame = con.sql(
        "SELECT DATE '2017-09-03' AS as_of, 1::BIGINT AS model_version, (range % 3 = 0)::INT AS label, "
        "range / 20.0 AS score FROM range(20)"
    ).df()
    table = records(con, performance(frame, BINARY), performance_schema(BINARY).types).to_arrow_table()
    assert table.schema.field("as_of").type == pa.date32()
    assert table.to_pylist()[0]["as_of"] == date(2017, 9, 3)
    assert table.to_pylist()[0]["n"] == 20


def test_no_rows_give_no_cohorts() -> None:
    frame = pd.DataFrame({"as_of": [], "model_version": [], "label": [], "score": []})
    assert performance(frame, BINARY) == []


def test_what_cannot_be_compared_is_refused() -> None:
    frame = outcomes().assign(as_of=pd.Timestamp("2017-09-03"), model_version=1)
    with pytest.raises(PerformanceError, match="score is missing among label, as_of"):
        performance(frame.drop(columns="score"), BINARY)
    wrong = frame.astype({"label": float})
    wrong.loc[:2, "label"] = np.nan
    wrong.loc[0, "score"] = np.inf
    with pytest.raises(
        PerformanceError, match=r"label is no binary label in 3 rows; score is not a finite number in 1 rows"
    ):
        performance(wrong, BINARY)


def test_amounts_and_classes_have_metrics_of_their_own() -> None:
    frame = outcomes().assign(as_of=pd.Timestamp("2017-09-03"), model_version=1)
    (amount,) = performance(frame, REGRESSION)
    assert amount["mae"] == pytest.approx((frame["label"] - frame["score"]).abs().mean())
    assert list(amount) == list(performance_schema(REGRESSION).types)
    with pytest.raises(PerformanceError, match="label is no regression label in 300 rows"):
        performance(frame.assign(label=np.inf), REGRESSION)
    target = Target("multiclass", ("soon", "later", "never"))
    classes = np.random.default_rng(0).dirichlet([1, 1, 1], len(frame))
    label = np.arange(len(frame)) % 3
    given = frame.assign(probabilities=list(classes), label=label)
    (cohort,) = performance(given, target)
    assert cohort["log_loss"] == pytest.approx(-np.log(classes[np.arange(len(frame)), label]).mean())
    with pytest.raises(PerformanceError, match="probabilities is missing"):
        performance(given.drop(columns="probabilities"), target)
