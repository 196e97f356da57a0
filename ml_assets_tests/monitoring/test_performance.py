from datetime import date

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from ml_assets.monitoring.performance import PerformanceError, performance, performance_rows


def outcomes(seed: int = 0, rows: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    score = rng.random(rows)
    return pd.DataFrame({"label": (rng.random(rows) < score).astype(int), "score": score})


def test_each_cohort_has_its_own_metrics() -> None:
    parts = [
        outcomes(seed).assign(as_of=pd.Timestamp(as_of), model_version=version)
        for seed, (as_of, version) in enumerate([("2017-09-10", 1), ("2017-09-03", 2), ("2017-09-03", 1)])
    ]
    cohorts = performance(pd.concat(parts))
    assert [(c.as_of, c.model_version) for c in cohorts] == [
        (date(2017, 9, 3), 1),
        (date(2017, 9, 3), 2),
        (date(2017, 9, 10), 1),
    ]
    part, cohort = parts[2], cohorts[0]
    assert (cohort.n, cohort.positives) == (300, part["label"].sum())
    assert cohort.auc == pytest.approx(roc_auc_score(part["label"], part["score"]))
    assert cohort.average_precision == pytest.approx(average_precision_score(part["label"], part["score"]))
    assert cohort.brier == pytest.approx(brier_score_loss(part["label"], part["score"]))
    assert cohort.calibration_ratio == pytest.approx(part["score"].mean() / part["label"].mean())


def test_one_class_leaves_out_what_is_undefined() -> None:
    frame = outcomes().assign(label=0, as_of=pd.Timestamp("2017-09-03"), model_version=1)
    (cohort,) = performance(frame)
    assert (cohort.n, cohort.positives) == (300, 0)
    assert (cohort.auc, cohort.calibration_ratio) == (None, None)
    assert cohort.brier is not None


def test_dates_from_duckdb_stay_dates_and_rows_fit_a_table(con: duckdb.DuckDBPyConnection) -> None:
    frame = con.sql(
        "SELECT DATE '2017-09-03' AS as_of, 1::BIGINT AS model_version, (range % 3 = 0)::INT AS label, "
        "range / 20.0 AS score FROM range(20)"
    ).df()
    table = performance_rows(performance(frame))
    assert table.schema.field("as_of").type == pa.date32()
    assert table.to_pylist()[0]["as_of"] == date(2017, 9, 3)
    assert table.to_pylist()[0]["n"] == 20


def test_no_rows_give_no_cohorts_but_a_table() -> None:
    frame = pd.DataFrame({"as_of": [], "model_version": [], "label": [], "score": []})
    assert performance(frame) == []
    assert performance_rows([]).num_rows == 0
    assert performance_rows([]).column_names[0] == "as_of"


def test_what_cannot_be_compared_is_refused() -> None:
    frame = outcomes().assign(as_of=pd.Timestamp("2017-09-03"), model_version=1)
    with pytest.raises(PerformanceError, match="score is missing among label, as_of"):
        performance(frame.drop(columns="score"))
    wrong = frame.astype({"label": float})
    wrong.loc[:2, "label"] = np.nan
    wrong.loc[0, "score"] = np.inf
    with pytest.raises(
        PerformanceError, match=r"label is not 0 or 1 in 3 rows; score is not a finite number in 1 rows"
    ):
        performance(wrong)
