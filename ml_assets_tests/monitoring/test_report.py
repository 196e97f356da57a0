import os
import re

import numpy as np
import pandas as pd
import pytest

from ml_assets.monitoring.report import _with_note, evidently_report

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
def page() -> str:
    spend = np.where(np.arange(900) % 9 == 0, np.inf, 1.0)
    return evidently_report(frame(700, 0), frame(900, 1, gone=None, spend=spend), **NAMES, seed=7, sample=500)


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

    def remember(reference: pd.DataFrame, current: pd.DataFrame, *_: object) -> str:
        seen.extend([reference, current])
        return "<body></body>"

    monkeypatch.setattr("ml_assets.monitoring.report._render", remember)
    for seed in (1, 1, 2):
        evidently_report(frame(300, 0), frame(300, 1), **NAMES, seed=seed, sample=100)
    assert [len(part) for part in seen] == [100] * 6
    pd.testing.assert_frame_equal(seen[1], seen[3])
    assert not seen[1].equals(seen[5])


def test_without_a_common_column_the_page_still_says_so() -> None:
    only = {"numeric": ["empty"], "categorical": []}
    page = evidently_report(frame(5, 0), frame(5, 1), **only, seed=7)
    assert "Left out, because one side has no value: empty." in page


def test_a_missing_column_is_an_error() -> None:
    with pytest.raises(KeyError, match="spend"):
        evidently_report(frame(5, 0).drop(columns="spend"), frame(5, 1), **NAMES, seed=7)


def test_a_page_without_a_body_is_refused() -> None:
    with pytest.raises(ValueError, match="no <body> tag"):
        _with_note("<html></html>", "note")
