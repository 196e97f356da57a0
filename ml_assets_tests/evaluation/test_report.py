import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

from ml_assets.evaluation.gates import GATES, HoldoutFacts
from ml_assets.evaluation.report import evaluation_report
from ml_assets_tests.evaluation.holdouts import CUTOFF, DIGEST, FACTS, FIRST, decide, make_holdout

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and keeps text and addresses."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.addresses: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data + " "


def report(
    holdout: pd.DataFrame, facts: HoldoutFacts = FACTS, reloads: bool | None = True, **changed: Any
) -> str:
    given: dict[str, Any] = {
        "model": "lapse",
        "cutoff": CUTOFF,
        "candidate_version": 14,
        "champion_version": 13,
        "holdout": holdout,
        "facts": facts,
        "decision": decide(holdout, facts=facts, reloads=reloads),
        "entity": ["household_id"],
        "slices": ["department"],
        "draws": 200,
    }
    return evaluation_report(**{**given, **changed})


def test_the_page_says_it_all_and_calls_nobody():
    html = report(make_holdout())
    page = Page(html)
    for said in (
        "lapse",
        "2017-10-01",
        "version 14",
        "champion version 13",
        "PASS",
        "All 6 gates pass",
        DIGEST,
        *GATES,
    ):
        assert said in page.text
    for said in (
        "AUC",
        "Average precision",
        "Brier score",
        "candidate − baseline",
        "GROCERY",
        "How to read this",
    ):
        assert said in page.text
    assert len(page.addresses) == 2
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not re.search(r"https?:|<script|@import|url\(", html)
    assert len(html) < 200_000


def test_the_same_evaluation_gives_the_same_page():
    assert report(make_holdout()) == report(make_holdout())


def test_a_refusal_names_the_gates_that_refuse():
    frame = make_holdout()
    page = Page(report(frame.assign(score_candidate=frame["score_baseline"]), reloads=None))
    assert "REFUSED" in page.text
    assert "beats_baseline, not_worse_than_champion" in page.text
    assert "NOT EVALUATED" in page.text


def test_the_metrics_are_those_of_the_holdout():
    from ml_assets.evaluation.metrics import binary_metrics

    frame = make_holdout()
    text = Page(report(frame)).text
    for role in ("candidate", "champion", "baseline"):
        found = binary_metrics(frame["label"], frame[f"score_{role}"])
        for value in (
            found.auc,
            found.average_precision,
            found.log_loss,
            found.brier,
            found.calibration_ratio,
        ):
            assert f"{value:.4f}" in text


def test_without_a_champion_there_is_no_column_for_one():
    html = report(make_holdout().drop(columns="score_champion"), facts=FIRST, champion_version=None)
    text = Page(html).text
    assert "no champion yet" in text
    assert "candidate − champion" not in text


def test_names_are_text_not_markup():
    frame = make_holdout()
    frame["department"] = frame["department"].replace("MEAT", "<img src=x onerror=alert(1)>")
    html = report(frame, model="<b>lapse</b>")
    assert "<img src=x" not in html
    assert "<b>lapse</b>" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_braces_in_names_are_left_alone():
    html = report(make_holdout(), model="{body}{title}")
    assert "<h1>{body}{title}</h1>" in html
    assert html.count("<header>") == 1


@pytest.mark.parametrize(
    ("spoil", "facts", "said"),
    [
        (lambda f: f.head(0), FACTS, "the holdout is empty"),
        (lambda f: f.drop(columns="score_candidate"), FACTS, "no column score_candidate"),
        (lambda f: f.assign(label=0), FACTS, "not of both classes"),
        (lambda f: f.assign(score_champion=float("nan")), FACTS, "the champion has scores"),
        (lambda f: f, replace(FACTS, labels_mature=False), "labels are not mature"),
    ],
)
def test_what_cannot_be_measured_is_said_in_its_place(spoil, facts, said):
    page = Page(report(spoil(make_holdout()), facts=facts))
    assert page.text.count(f"Nothing to show: {said}") + page.text.count(said) >= 3
    assert "REFUSED" in page.text
    assert page.addresses == []


def test_a_missing_slice_column_and_small_slices_are_said():
    frame = make_holdout()
    frame.loc[:9, "department"] = "FLORAL"
    text = Page(report(frame, slices=["department", "aisle"])).text
    assert "The holdout has no such column" in text
    assert "FLORAL (10)" in text
    assert "The model declares no slices" in Page(report(frame, slices=[])).text
