import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.evaluation.arrays import ROLES
from ml_assets.evaluation.gates.every import GATES
from ml_assets.evaluation.gates.judge import judge
from ml_assets.evaluation.metrics import METRICS, metrics_of
from ml_assets.evaluation.plots import pictures
from ml_assets.evaluation.report.report import Background, evaluation_report
from ml_assets.evaluation.report.tables import TITLES
from ml_assets.evaluation.spec import Costs
from ml_assets_tests.evaluation.holdouts import (
    CUTOFF,
    DIGEST,
    FACTS,
    FIRST,
    KINDS,
    QUICK,
    SERVED,
    make_holdout,
    measured,
)

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


@pytest.fixture
def undrawn(monkeypatch):
    """A report without its pictures, which take most of its time."""
    monkeypatch.setattr("ml_assets.evaluation.report.report.pictures", lambda *_: {})
    for name in ("importance_plot", "walk_forward_plot"):
        monkeypatch.setattr(f"ml_assets.evaluation.report.report.{name}", lambda *_: bytes(24))


def report(holdout: pd.DataFrame, kind: str = "binary", **changed: Any) -> str:
    target, make = KINDS[kind]
    told: dict[str, Any] = {
        "model": "lapse",
        "candidate": 14,
        "champion": 13,
        "importance": {"trips_28d": 0.7, "spend_7d": 0.3},
        "history": [
            {
                "cutoff": CUTOFF - timedelta(weeks=week),
                "role": role,
                **metrics_of(target, make(n=99), role),
            }
            for week in (1, 2)
            for role in ROLES
        ],
        "training": {"Fit": "4.1 s"},
    }
    told |= {name: changed.pop(name) for name in told if name in changed}
    served, policy = changed.pop("served", SERVED), changed.pop("policy", QUICK)
    found = measured(holdout, target=target, policy=policy, **changed)
    return evaluation_report(found, judge(found, served, policy.warn_only), Background(**told))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_says_it_all_and_calls_nobody(kind):
    target, make = KINDS[kind]
    frame = make().assign(age=np.arange(1500) % 60)
    html = report(frame, kind, groups=("department",), slices=("department", "age"))
    page = Page(html)
    said = ("lapse", "2017-10-01", "version 14", "champion version 13", "PASS", "All 9 gates pass", DIGEST)
    reads = ("candidate − baseline", "GROCERY", "0 to 11", "4.1 s", "How to read this")
    own = {"binary": "Average precision", "regression": "Mean absolute error", "multiclass": "Accuracy"}
    assert [
        text for text in (*said, *(gate.name for gate in GATES), *reads, own[kind]) if text not in page.text
    ] == []
    drawn = measured(frame, target=target)
    assert len(page.addresses) == len(pictures(target, drawn.labels, drawn.said)) + 2
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not re.search(r"https?:|<script|@import|url\(", html)
    assert len(html) < 300_000


@pytest.mark.parametrize("kind", KINDS)
def test_the_metrics_are_those_of_the_holdout(kind, undrawn):
    target, make = KINDS[kind]
    frame = make()
    text = Page(report(frame, kind)).text
    for role in ROLES:
        found = metrics_of(target, frame, role)
        names = [name for name in METRICS[kind] if name in TITLES]
        assert [name for name in names if f"{found[name]:.4f}" not in text] == []


def test_the_same_evaluation_gives_the_same_page():
    first, second = (report(make_holdout(n=300)) for _ in range(2))
    assert first == second


def test_thresholds_and_groups_follow_the_costs(undrawn):
    frame = make_holdout()
    free, costly = (
        report(frame, groups=("department",), costs=costs) for costs in (None, Costs(false_negative=9))
    )
    assert "as many are selected as have label 1" in free
    assert '<tr class="best">' not in free
    assert costly.count('<tr class="best">') == 1
    text = Page(costly).text
    assert "Selected from score 0.1000: the costs." in text
    assert "Cost per 1,000 rows" in text


def test_what_is_not_told_is_said_in_its_place(undrawn):
    text = Page(report(make_holdout(), importance={}, history=[], training={})).text
    for said in (
        "Nothing is told of the training",
        "the features' importance",
        "the first cutoff",
        "no groups",
    ):
        assert said in text


def test_a_warning_is_no_refusal_and_is_named(undrawn):
    slow = replace(SERVED, latency_ms=99.0)
    policy = QUICK.model_copy(update={"warn_only": ("is_fast_and_small",)})
    text = Page(report(make_holdout(), served=slow, policy=policy)).text
    assert "No gate of 9 refuses. Warned of: is_fast_and_small." in text
    assert "WARN" in text


def test_a_refusal_names_the_gates_that_refuse(undrawn):
    frame = make_holdout()
    page = Page(report(frame.assign(score_candidate=frame["score_baseline"]), served=None))
    assert "REFUSED" in page.text
    assert "beats_baseline, not_worse_than_champion" in page.text
    assert "NOT EVALUATED" in page.text


def test_without_a_champion_there_is_no_column_for_one(undrawn):
    html = report(make_holdout().drop(columns="score_champion"), facts=FIRST, champion=None)
    text = Page(html).text
    assert "no champion yet" in text
    assert "candidate − champion" not in text


HOSTILE = "<script>alert('x')</script>"


def test_names_are_text_not_markup(undrawn):
    frame = make_holdout()
    frame["department"] = frame["department"].replace("MEAT", HOSTILE)
    frame.loc[:9, "department"] = HOSTILE + "&small"
    frame["<b>"] = frame["department"]
    html = report(
        frame,
        model=HOSTILE,
        slices=("<b>", "department"),
        groups=("<b>",),
        training={HOSTILE: HOSTILE},
        importance={HOSTILE: 1.0},
    )
    assert "<script" not in html
    Page(html)
    assert "<h3>&lt;b&gt;</h3>" in html
    assert html.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;") >= 8
    assert "&amp;small (10)" in html


def test_what_is_markup_is_markup_and_only_once_text(undrawn):
    html = report(make_holdout().assign(age=np.arange(1500) % 60), groups=("department",))
    assert "&amp;lt;" not in html
    assert "&lt;" not in html.replace("&lt;= ", "")
    assert '<span class="badge pass">PASS</span>' in html


def test_the_interval_shown_is_the_one_on_record(undrawn):
    frame = make_holdout(n=600)
    found = measured(frame)
    page = Page(report(frame))
    for role in ROLES:
        low, high = found.interval(role)
        assert f"{low:.3f} to {high:.3f}" in page.text
    bound = found.compared and found.compared.difference("candidate", "champion")
    assert bound
    assert f"{bound.low:+.3f} to {bound.high:+.3f}" in page.text


def test_braces_in_names_are_left_alone(undrawn):
    html = report(make_holdout(), model="{body}{title}")
    assert "<h1>{body}{title}</h1>" in html
    assert html.count("<header>") == 1


@pytest.mark.parametrize(
    ("spoil", "facts", "said"),
    [
        (lambda f: f.head(0), FACTS, "The holdout is empty"),
        (lambda f: f.drop(columns="score_candidate"), FACTS, "no column score_candidate"),
        (lambda f: f.assign(label=0), FACTS, "All 1500 labels are 0"),
        (
            lambda f: f.assign(score_champion=float("nan")),
            FACTS,
            "1500 of 1500 scores of the champion are not finite numbers",
        ),
        (lambda f: f, replace(FACTS, labels_mature=False), "labels are marked as not mature"),
    ],
)
def test_what_cannot_be_measured_is_said_in_its_place(spoil, facts, said):
    page = Page(report(spoil(make_holdout()), facts=facts, importance={}, history=[]))
    assert page.text.count(said) >= 4
    assert "REFUSED" in page.text
    assert page.addresses == []


def test_a_missing_slice_column_and_small_slices_are_said(undrawn):
    frame = make_holdout()
    frame.loc[:9, "department"] = "FLORAL"
    text = Page(report(frame, slices=("department", "aisle"))).text
    assert "The holdout has no such column" in text
    assert "FLORAL (10)" in text
    assert "The model declares no slices" in Page(report(frame, slices=())).text
