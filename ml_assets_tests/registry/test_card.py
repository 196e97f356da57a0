import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ml_assets.lake import Lake, Provenance, records
from ml_assets.project.tables import ModelTables
from ml_assets.registry.book import Book
from ml_assets.registry.card import card_markdown, limits, sections
from ml_assets.registry.card_page import card_html
from ml_assets.registry.compare import VersionDifference, differences
from ml_assets.registry.declared import DeclaredInWords, label_in_words, target_in_words
from ml_assets.registry.facts import ModelFacts, facts_of
from ml_assets.registry.mlflow_registry import Registry
from ml_assets.registry.promotion import override, promote
from ml_assets.registry.promotion_log import Move
from ml_assets.training.spec import Label
from ml_assets_tests.registry.shelf import MODEL, book_of, decide, verdict, week

DECLARED = DeclaredInWords(
    name=MODEL,
    description="Probability that a household buys nothing in the next 28 days",
    owners=("team:ml", "ada@example.org"),
    target="binary",
    label="1 if no event with `amount > 0` comes in the 28 days from the as_of on, else 0",
    population="trips_56d > 0",
    features={"trips_7d": "Shopping trips", "spend_28d": "Money spent, USD", "mood": ""},
    slices=("department",),
    groups=(),
    config="c" * 64,
)
FULL = ModelFacts(
    declared=DECLARED,
    version=14,
    cutoff=date(2017, 11, 26),
    created=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
    aliases=("champion",),
    target="binary",
    features=("trips_7d", "spend_28d", "mood", "unheard_of"),
    training={"rows": "22,412", "train rows": "20,512 of 11 as_ofs, 2017-08-06 to 2017-10-15", "seed": "7"},
    parameters={"max_depth": "4", "learning_rate": "0.05"},
    inputs={"lapse/training_set": 31},
    hashes={
        "training set": "a1" * 32,
        "config": "c" * 64,
        "commit": "d4" * 20,
        "uncommitted changes": "false",
        "lock file": "e5" * 32,
    },
    machine={"cpus": "2", "python": "3.11.9"},
    metrics=(
        {"cutoff": date(2017, 11, 26), "role": "candidate", "model_version": 14, "n": 2134, "auc": 0.7913},
        {"cutoff": date(2017, 11, 26), "role": "champion", "model_version": 13, "n": 2134, "auc": 0.7871},
        {
            "cutoff": date(2017, 11, 26),
            "role": "baseline",
            "model_version": None,
            "n": 2134,
            "auc": float("nan"),
        },
    ),
    gates=(
        {
            "gate": "beats_baseline",
            "status": "PASS",
            "observed": "0.7913",
            "required": "> 0.55",
            "reason": "It does.",
        },
        {
            "gate": "slices_hold",
            "status": "WARN",
            "observed": "-0.06",
            "required": ">= -0.05",
            "reason": "MEAT < all.",
        },
    ),
    slices=({"slice": "department", "value": "MEAT", "n": 412, "auc": 0.7512},),
    importance={"trips_7d": 0.61, "spend_28d": 0.39, "mood": 0.0},
    promotions=(
        Move(
            "promote",
            13,
            14,
            date(2017, 11, 26),
            "dagster",
            "passed every gate",
            None,
            datetime(2026, 11, 21, tzinfo=UTC),
        ),
    ),
)
NOTHING = ModelFacts(declared=DECLARED, version=1)
OVERRIDDEN = replace(
    FULL,
    gates=({**FULL.gates[0], "status": "NOT EVALUATED"}, FULL.gates[1]),
    promotions=(replace(FULL.promotions[0], action="override", who="eve", reason="<b>the launch</b> | now"),),
)


class Page(HTMLParser):
    """Checks that tags are closed in order; keeps the text and what would be fetched."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.addresses: list[str | None] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


TITLES = [section.title for section in sections(FULL)]


@pytest.mark.parametrize("facts", [FULL, NOTHING, OVERRIDDEN], ids=["full", "nothing", "overridden"])
def test_both_forms_have_every_section_and_call_nobody(facts: ModelFacts) -> None:
    html, text = card_html(facts), card_markdown(facts)
    page = Page(html)
    assert page.addresses == []
    assert "default-src 'none'" in html
    shown = page.text.replace("\n", "")
    for section in sections(facts):
        assert f"<h2>{section.title}</h2>" in html
        assert f"\n## {section.title}\n" in text
        for value in (*section.says, *section.pairs.values(), *section.shares):
            assert value.replace("`", "") in shown
    assert [section.title for section in sections(facts)] == TITLES
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(line.endswith(" |") for line in rows)


def test_a_full_card_says_what_is_known() -> None:
    text = card_markdown(FULL)
    for line in (
        "version 14 · cutoff 2017-11-26 · champion",
        "**PASS.** All 2 gates pass.",
        "| trips_7d | Shopping trips |",
        "| unheard_of | not recorded |",
        "| auc | 0.7913 | 0.7871 | undefined |",
        "| n | 2,134 | 2,134 | 2,134 |",
        "| Metric | candidate, version 14 | champion, version 13 | baseline |",
        "| WARN | slices_hold | -0.06 | >= -0.05 | MEAT &lt; all. |",
        "| Model file, SHA-256 | not recorded |",
        "| Uncommitted changes | no |",
        "| trips_7d | 61.0% |",
        "| department | MEAT | 412 | 0.7512 |",
        "| 2026-11-21 00:00 UTC | promote | 13 → 14 | dagster | passed every gate |",
        "- No groups are declared: how it treats groups of people was not evaluated.",
    ):
        assert line in text, line


def test_what_is_not_known_is_said_and_nothing_is_invented() -> None:
    text = card_markdown(NOTHING)
    for title in (
        "Features",
        "Training",
        "Parameters",
        "Machine",
        "Metrics on the holdout",
        "Gates",
        "Importance",
    ):
        assert f"## {title}\n\nNot recorded.\n" in text, title
    for line in (
        "**NOT EVALUATED.** No decision record of this version is on record.",
        "Which declaration it was trained from is not recorded; what is said of its purpose is today's.",
        "| Target | not recorded with the version; declared as binary |",
        "| Commit | not recorded |",
        "| Tables | not recorded |",
        "Declared by department; what was measured is not recorded here.",
        "It has never been champion.",
        "- No evaluation of this version is on record.",
    ):
        assert line in text, line
    numbers = [word for word in text.split() if any(c.isdigit() for c in word)]
    allowed = "".join(
        (*vars(DECLARED)["features"], DECLARED.label, DECLARED.population, DECLARED.description)
    )
    assert all(
        word in allowed or word in ("1", "`trips_56d", "0`") or "SHA-256" in word for word in numbers
    ), numbers


def test_a_declaration_that_changed_is_told() -> None:
    changed = replace(FULL, hashes={**FULL.hashes, "config": "f" * 64})
    assert "Its declaration has changed since it was trained (config ffffffffffff, today cccccccccccc)" in (
        card_markdown(changed)
    )
    assert "declaration" not in card_markdown(FULL)


def test_an_override_is_loud_and_harmless() -> None:
    text, html = card_markdown(OVERRIDDEN), card_html(OVERRIDDEN)
    assert (
        "**REFUSED.** 1 of 2 gates does not pass: beats_baseline. eve made it champion all the same" in text
    )
    assert "Promoted against its evidence by eve on 2026-11-21: &lt;b>the launch" in text
    assert "&lt;b>the launch&lt;/b> \\| now" in text
    assert "<b>the launch</b>" not in html
    assert "<code>amount &gt; 0</code>" in html
    assert '<span class="badge fail">override</span>' in html
    assert "Not evaluated: beats_baseline." in limits(OVERRIDDEN)


def test_a_rollback_is_told_until_the_version_is_back() -> None:
    away = Move(
        "rollback", 14, 13, date(2017, 11, 19), "eve", "complaints", None, datetime(2026, 11, 22, tzinfo=UTC)
    )
    gone = replace(FULL, promotions=(*FULL.promotions, away))
    assert "**PASS.** All 2 gates pass. eve rolled it back on 2026-11-22: complaints" in card_markdown(gone)
    back = replace(gone, promotions=(*gone.promotions, replace(away, from_version=13, to_version=14)))
    assert back.rolled_back is None
    assert replace(gone, version=13).rolled_back is None


@pytest.mark.parametrize("name", ["name", "description", "label", "population"])
def test_no_text_of_a_declaration_becomes_code(name: str) -> None:
    evil = replace(FULL, declared=replace(DECLARED, **{name: "<script>alert(1)</script>"}))
    assert "<script" not in card_html(evil)
    assert "<script" not in card_markdown(evil)


def test_the_page_colours_nothing_green_that_failed() -> None:
    bad = replace(FULL, gates=({**FULL.gates[0], "status": "FAIL"},))
    assert 'class="verdict fail"' in card_html(bad)
    assert 'class="verdict open"' in card_html(NOTHING)
    assert 'class="verdict pass"' in card_html(FULL)


@pytest.mark.parametrize(
    ("label", "words", "target"),
    [
        (
            {"absent": "a > 0"},
            "1 if no event with `a > 0` comes in the 28 days from the as_of on, else 0",
            "binary",
        ),
        (
            {"occurs": "a > 0"},
            "1 if an event with `a > 0` comes in the 28 days from the as_of on, else 0",
            "binary",
        ),
        ({"count": "*"}, "how many events come in the 28 days from the as_of on", "regression"),
        ({"count": "a"}, "how many events with `a` come in the 28 days from the as_of on", "regression"),
        (
            {"sum": "a", "where": "b"},
            "the sum of `a` over the events with `b` in the 28 days from the as_of on",
            "regression",
        ),
        (
            {"time_to": "a", "classes": ["7d"]},
            "when the first event with `a` comes: 0-7d, 7-28d, not within 28d",
            "multiclass, of the ordered classes 0-7d, 7-28d, not within 28d",
        ),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_labels_in_words(label: Mapping[str, Any], words: str, target: str) -> None:
    found = Label(within="28d", **label)
    assert (label_in_words(found), target_in_words(found.target)) == (words, target)


# what differs


def test_two_versions_differ_in_what_differs() -> None:
    other = replace(
        FULL,
        version=15,
        features=("trips_7d", "spend_28d"),
        parameters={"max_depth": "5", "learning_rate": "0.05", "eta": "1"},
        inputs={"lapse/training_set": 32},
        hashes={**FULL.hashes, "commit": "f6" * 20},
    )
    assert differences(FULL, FULL) == []
    assert differences(FULL, other) == [
        VersionDifference("parameter", "max_depth", "4", "5"),
        VersionDifference("parameter", "eta", "not recorded", "1"),
        VersionDifference("feature", "mood", "used", "not used"),
        VersionDifference("feature", "unheard_of", "used", "not used"),
        VersionDifference("input", "lapse/training_set", "version 31", "version 32"),
        VersionDifference("code", "commit", "d4" * 20, "f6" * 20),
    ]
    unknown = differences(FULL, NOTHING)
    assert VersionDifference("feature", "mood", "used", "not recorded") in unknown
    assert VersionDifference("metric", "auc", "0.7913", "not recorded") in unknown
    assert VersionDifference("decision", "gates", "passed", "not evaluated") in unknown


# facts


def facts(book: Book, number: int) -> ModelFacts:
    tables = book.tables
    assert isinstance(tables, ModelTables)
    return facts_of(
        book, DECLARED, book.registry.version(book.model, number), training_set=tables.training_set
    )


@pytest.fixture
def trained(con: duckdb.DuckDBPyConnection, lake: Lake, prepared: Registry, tmp_path: Path) -> Book:
    """Version 1 with everything on record, version 2 with nothing but its cutoff."""
    import mlflow

    model = tmp_path.name
    book = book_of(con, lake, prepared, model)
    tables = book.tables
    assert isinstance(tables, ModelTables)
    rows = con.sql(
        f"SELECT DATE '{week(1)}' AS cutoff, DATE '{week(0)}' - i::INTEGER * 7 AS as_of, "
        "if(i = 0, 'tune', 'train') AS split FROM range(3) AS weeks(i), range(10)"
    )
    number = tables.training_set.replace(rows, between=(week(1), week(1)), provenance=Provenance())
    tags = {
        "cutoff": str(week(1)),
        "training_set": "digest",
        "inputs": json.dumps({tables.training_set.name: number}),
        "parameters": json.dumps({"max_depth": 4}),
        "machine": json.dumps({"cpus": 2}),
        "target": "binary",
        "seed": "7",
    }
    with prepared.run(model, "run", {}) as run_id:
        mlflow.log_dict({"spend": 0.25, "trips": 0.75}, "importance.json")
        mlflow.log_metric("holdout_auc", 0.5)
    client = prepared.client()
    client.create_registered_model(model)
    client.create_model_version(model, "none", run_id=run_id, tags=tags)
    client.create_model_version(model, "none", tags={"cutoff": str(week(2))})
    columns = {"cutoff": "DATE", "model_version": "BIGINT", "rows": "BIGINT", "tune_logloss": "DOUBLE"}
    decide(book, verdict(1, None))
    row = {"cutoff": week(1), "model_version": 1, "rows": 30, "tune_logloss": 0.31}
    tables.candidate.replace(
        records(con, [row], columns), between=(week(1), week(1)), provenance=Provenance()
    )
    return book


def evaluated(book: Book, version: int, at: date, auc: float) -> None:
    rows = [
        {"cutoff": at, "role": role, "model_version": number, "auc": value}
        for role, number, value in (("candidate", version, auc), ("baseline", None, 0.6))
    ]
    columns = {"cutoff": "DATE", "role": "VARCHAR", "model_version": "BIGINT", "auc": "DOUBLE"}
    book.tables.evaluation.replace(
        records(book.con, rows, columns), between=(at, at), provenance=Provenance()
    )


@pytest.mark.slow
def test_facts_are_what_is_on_record(trained: Book) -> None:
    evaluated(trained, 1, week(1), 0.71)
    promote(trained, who="ada", run="r")
    override(trained, who="eve", reason="the launch", version=2)
    found = facts(trained, 1)
    assert found.aliases == ("previous",)
    assert found.training == {
        "rows": "30",
        "tune logloss": "0.31",
        "seed": "7",
        "train rows": f"20 of 2 as_ofs, {week(-2)} to {week(-1)}",
        "tune rows": f"10 of 1 as_ofs, {week(0)} to {week(0)}",
    }
    assert found.parameters == {"max_depth": "4"}
    assert found.machine == {"cpus": "2"}
    assert found.hashes == {"training set": "digest"}
    assert list(found.importance.items()) == [("trips", 0.75), ("spend", 0.25)]
    assert [(row["role"], row["auc"]) for row in found.metrics] == [("candidate", 0.71), ("baseline", 0.6)]
    assert found.own_metrics == {"auc": 0.71}
    assert (found.decision, len(found.gates), found.overrides) == ("passed", 2, ())
    assert [m.action for m in found.promotions] == ["promote", "override"]
    other = facts(trained, 2)
    assert [m.who for m in other.overrides] == ["eve"]
    assert (other.metrics, other.gates, other.importance, other.training) == ((), (), {}, {})
    assert "Not recorded." in card_markdown(other)


@pytest.mark.slow
def test_a_record_that_was_overwritten_is_read_as_it_was_then(trained: Book) -> None:
    evaluated(trained, 1, week(1), 0.71)
    promote(trained, who="ada", run="r")
    decide(trained, verdict(9, None, passed=False, cutoff=1))
    evaluated(trained, 9, week(1), 0.99)
    found = facts(trained, 1)
    assert (found.decision, found.own_metrics) == ("passed", {"auc": 0.71})
    assert found.training["rows"] == "30", "every version keeps its own"


@pytest.mark.slow
def test_without_an_evaluation_the_metrics_are_those_of_the_run(trained: Book) -> None:
    assert facts(trained, 1).metrics == ({"role": "candidate", "model_version": 1, "auc": 0.5},)
