import os
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.lake.engine import connect
from ml_assets.monitoring.measure.drift import FeatureDrift, measure
from ml_assets.monitoring.measure.profile import build_profile
from ml_assets.monitoring.measure.statistics import chi_square
from ml_assets.monitoring.show.report import DriftReport, _verdicts, _with_note, evidently_report
from ml_assets.monitoring.spec import MonitoringPolicy

# Evidently's test of a category that the reference has no row of.
pytestmark = pytest.mark.filterwarnings("ignore:divide by zero encountered in divide")
NAMES = {"numeric": ["spend", "empty"], "categorical": ["department", "member", "gone"]}


def frame(rows: int, seed: int, **columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            "spend": rng.normal(0, 1, rows),
            "empty": np.nan,
            "department": rng.choice(["GROCERY", "DELI"], rows),
            "member": pd.array(rng.random(rows) < 0.5, dtype="boolean"),
            "gone": rng.choice(["a", "b"], rows),
        }
    )
    return made.assign(**columns)


@pytest.fixture(scope="module")
def report() -> DriftReport:
    spend = np.where(np.arange(900) % 9 == 0, np.inf, 1.0)
    return evidently_report(frame(700, 0), frame(900, 1, gone=None, spend=spend), **NAMES, seed=7, sample=500)


@pytest.fixture(scope="module")
def page(report: DriftReport) -> str:
    return report.html


def test_the_table_has_evidently_s_method_score_and_verdict_of_each_column(report: DriftReport) -> None:
    spend, department, member = report.table
    assert (spend["column"], spend["method"], spend["drifted"]) == ("spend", "K-S p_value", True)
    assert spend["score"] < spend["threshold"] == 0.05
    assert (department["column"], department["drifted"]) == ("department", department["score"] < 0.05)
    assert member["column"] == "member"


def test_a_distance_drifts_from_its_threshold_on_and_a_p_value_below_it() -> None:
    def metric(method: str, score: float) -> dict[str, Any]:
        config = {"type": "evidently:metric_v2:ValueDrift", "column": "x", "method": method, "threshold": 0.1}
        return {"config": config, "value": score}

    metrics = [
        metric(method, score)
        for method in ("Wasserstein distance (normed)", "K-S p_value")
        for score in (0.09, 0.1)
    ]
    assert [row["drifted"] for row in _verdicts(metrics)] == [False, True, True, False]
    with pytest.raises(ValueError, match="no ValueDrift metric"):
        _verdicts([])


def test_the_page_says_what_was_compared_and_what_was_left_out(page: str) -> None:
    assert "500 of 900 current rows against 500 of 700 training rows, drawn with seed 7." in page
    assert "Left out, because one side has no value: empty, gone." in page
    assert page.index("500 of 900") > page.index("<body>")
    assert "Dataset Drift" in page


def test_the_page_fetches_nothing(page: str) -> None:
    tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)\s*=\s*[\"']?(?!data:)[^>]*>", page)
    assert tags == []
    assert not re.search(r"url\(\s*[\"']?https?:", page)
    assert not re.search(r"@import\s", page)


def test_telemetry_is_off(page: str) -> None:
    assert page
    assert os.environ["DO_NOT_TRACK"]


def test_the_sample_is_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[pd.DataFrame] = []

    def remember(reference: pd.DataFrame, current: pd.DataFrame, *_: object) -> tuple[str, list[Any]]:
        seen.extend([reference, current])
        return "<body></body>", []

    monkeypatch.setattr("ml_assets.monitoring.show.report._render", remember)
    for seed in (1, 1, 2):
        evidently_report(frame(300, 0), frame(300, 1), **NAMES, seed=seed, sample=100)
    assert [len(part) for part in seen] == [100] * 6
    pd.testing.assert_frame_equal(seen[1], seen[3])
    assert not seen[1].equals(seen[5])


def test_without_a_common_column_the_page_still_says_so() -> None:
    only = {"numeric": ["empty"], "categorical": []}
    report = evidently_report(frame(5, 0), frame(5, 1), **only, seed=7)
    assert "Left out, because one side has no value: empty." in report.html
    assert report.table == ()


def test_a_missing_column_is_an_error() -> None:
    with pytest.raises(KeyError, match="spend"):
        evidently_report(frame(5, 0).drop(columns="spend"), frame(5, 1), **NAMES, seed=7)


def test_a_page_without_a_body_is_refused() -> None:
    with pytest.raises(ValueError, match="no <body> tag"):
        _with_note("<html></html>", "note")


# our numbers next to Evidently's, on the same rows


@pytest.fixture(scope="module")
def both() -> tuple[dict[str, FeatureDrift], dict[str, float], tuple[pd.DataFrame, pd.DataFrame]]:
    """What we say, what Evidently says by the method that has our name, and the rows."""
    rng = np.random.default_rng(3)

    def made(rows: int, by: float, shares: list[float]) -> pd.DataFrame:
        letters = rng.choice(list("abcde"), rows, p=shares)
        skewed = rng.lognormal(by, 0.8, rows)
        return pd.DataFrame({"even": rng.normal(by, 1, rows), "skewed": skewed, "letter": letters})

    before, after = made(6_000, 0, [0.4, 0.3, 0.2, 0.1, 0]), made(2_000, 0.3, [0.3, 0.3, 0.2, 0.15, 0.05])
    before["as_of"] = np.arange(6_000) % 5
    numeric, categorical = ["even", "skewed"], ["letter"]
    with connect() as con:
        profiles = build_profile(con, con.from_df(before), numeric=numeric, categorical=categorical)
        drifts = measure(con, con.from_df(after), profiles, MonitoringPolicy())
    return {d.feature: d for d in drifts}, theirs(before, after, numeric, categorical), (before, after)


def theirs(
    before: pd.DataFrame, after: pd.DataFrame, numeric: list[str], categorical: list[str]
) -> dict[str, float]:
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    wanted = [(name, method) for name in numeric for method in ("wasserstein", "psi")]
    wanted += [(name, method) for name in categorical for method in ("jensenshannon", "chisquare", "psi")]
    definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
    metrics = [ValueDrift(column=name, method=method) for name, method in wanted]
    sides = [Dataset.from_pandas(side[numeric + categorical], definition) for side in (after, before)]
    found = Report(metrics).run(*sides).dict()["metrics"]
    return {f"{name} {method}": float(m["value"]) for (name, method), m in zip(wanted, found, strict=True)}


def test_wasserstein_by_the_reference_deviation_is_evidently_s(both: Any) -> None:
    ours, evidently, _ = both
    for name in ("even", "skewed"):
        assert ours[name].shift == pytest.approx(evidently[f"{name} wasserstein"], rel=0.05)


def test_jensen_shannon_of_categories_is_evidently_s(both: Any) -> None:
    ours, evidently, _ = both
    assert ours["letter"].jensen_shannon == pytest.approx(evidently["letter jensenshannon"], rel=1e-6)


def test_the_ks_statistic_is_nearly_scipy_s(both: Any) -> None:
    from scipy.stats import ks_2samp

    ours, _, (before, after) = both
    for name in ("even", "skewed"):
        exact = ks_2samp(before[name], after[name])
        assert exact.statistic - 0.02 <= ours[name].ks <= exact.statistic + 1e-12


def test_psi_of_numbers_is_another_than_evidently_s_bins_of_equal_width(both: Any) -> None:
    """Where most rows are in one of the wide bins, a shift within it isn't seen."""
    ours, evidently, (before, after) = both
    assert abs(ours["skewed"].psi / evidently["skewed psi"] - 1) > 0.2
    far = pd.DataFrame({"skewed": [10_000.0]})
    stretched = theirs(pd.concat([before, far]), pd.concat([after, far]), ["skewed"], [])
    assert stretched["skewed psi"] < 0.01 < 0.08 < ours["skewed"].psi


def test_chi_square_is_of_two_samples_where_evidently_takes_the_reference_as_truth() -> None:
    """Two samples of one distribution over 50 categories: Evidently's p-value is below 0.05 nearly every time."""
    letters = [f"k{number}" for number in range(50)]
    ours, evidently = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        sides = [pd.DataFrame({"letter": rng.choice(letters, 1_000)}) for _ in range(2)]
        before, after = (s["letter"].value_counts().reindex(letters, fill_value=0).tolist() for s in sides)
        ours.append(chi_square(before, after)[2])
        evidently.append(theirs(*sides, [], ["letter"])["letter chisquare"])
    assert sum(p < 0.05 for p in ours) <= 1
    assert sum(p < 0.05 for p in evidently) >= 3
