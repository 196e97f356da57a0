"""The commands about models, on the mini use case with planted records and a real MLflow."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from ml_assets.cli import show
from ml_assets.cli.app import main
from ml_assets.cli.shared import Opened, opened
from ml_assets.evaluation.tables import evaluation_schema
from ml_assets.lake import Lake, Provenance, connect, records
from ml_assets.operations import versions
from ml_assets.operations.opened import instance
from ml_assets.pipeline import book as book_module
from ml_assets.pipeline.book import book_of
from ml_assets.project.project import Project
from ml_assets.registry.book import Book
from ml_assets.registry.mlflow_registry import Registry, Version
from ml_assets.registry.promotion import override, promote
from ml_assets.training.target import BINARY
from ml_assets_tests.house import MINI
from ml_assets_tests.registry.shelf import HOLDOUT, decide, moves, verdict, week

Cli = Callable[..., "tuple[int, str, str]"]


def evaluate(book: Book, version: int, auc: float) -> None:
    """Metrics of a version and the baseline, at the week of the same number."""
    at = week(version)
    rows = [
        {"cutoff": at, "role": role, "model_version": number, "n": 1200, "auc": value, "brier": 0.1}
        for role, number, value in (("candidate", version, auc), ("baseline", None, 0.6))
    ]
    types = {name: kind for name, kind in evaluation_schema(BINARY).types.items() if name in rows[0]}
    book.tables.evaluation.replace(records(book.con, rows, types), between=(at, at), provenance=Provenance())


def same_holdout(patch: pytest.MonkeyPatch) -> None:
    """Let no holdout have changed since it was judged."""
    patch.setattr(book_module, "holdout_of", lambda *_: None)
    patch.setattr(book_module, "digest_of", lambda _: HOLDOUT)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three versions of churn: 1 and 2 passed, 3 failed a gate; 2 is champion."""
    home = tmp_path_factory.mktemp("planted") / "home"
    registry = Registry.below(home / "data")
    registry.prepare()
    client = registry.client()
    client.create_registered_model("churn")
    for number in (1, 2, 3):
        tags = {
            "cutoff": str(week(number)),
            "training_set": f"digest{number}",
            "config": "c" * 64,
            "git_commit": "abcdef0123456789",
            "git_dirty": str(number == 3).lower(),
            "inputs": json.dumps({"churn/training_set": number}),
            "parameters": json.dumps({"max_depth": 2 + number, "objective": "binary:logistic"}),
        }
        client.create_model_version("churn", str(home / "none"), tags=tags)
    with connect() as con, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_ASSETS_MINI_LANDING", str(home / "landing"))
        same_holdout(patch)
        book = book_of(con, Project.of(MINI).models["churn"], Lake(str(home / "data" / "lake")), registry)
        found = [verdict(1, None), verdict(2, 1), verdict(3, 2, passed=False)]
        decide(book, *(replace(one, policy=book.rules.policy) for one in found))
        for number in (1, 2, 3):
            evaluate(book, number, 0.7 + number / 100)
        promote(book, who="ada", run="r1")
    return home


@pytest.fixture
def home(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the planted home."""
    monkeypatch.setenv("ML_ASSETS_HOME", str(copytree(planted, tmp_path / "home")))
    monkeypatch.setenv("ML_ASSETS_DEFS", MINI)
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(tmp_path / "landing"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("ML_ASSETS_LAKE", raising=False)
    same_holdout(monkeypatch)
    return tmp_path / "home"


@pytest.fixture
def cli(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """`ml-assets` in this process: exit code, output, errors; it doesn't say that it is at work."""
    monkeypatch.setattr(show, "PATIENCE", 600)

    def command(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


@pytest.fixture
def churn(home: Path) -> Iterator[Opened]:
    with opened("churn") as shown:
        yield shown


def test_list_has_a_line_for_every_version(cli: Cli, churn: Opened) -> None:
    code, out, err = cli("models", "list")
    assert (code, err) == (0, "")
    lines = [line.split("  ") for line in out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[0] == [
        "model",
        "version",
        "cutoff",
        "alias",
        "metric",
        "decision",
        "registered, UTC",
        "commit",
    ]
    assert [line[:6] + line[7:] for line in cells[1:]] == [
        ["churn", "1", str(week(1)), "previous", "auc 0.7100", "passed", "abcdef0123"],
        ["churn", "2", str(week(2)), "champion", "auc 0.7200", "passed", "abcdef0123"],
        ["churn", "3", str(week(3)), "-", "auc 0.7300", "refused", "abcdef0123 and changes"],
    ]
    assert all(line == line.rstrip() for line in out.splitlines())
    churn.book.registry.set_alias(churn.version(3), "champion")
    again = cli("models", "list", "churn")
    assert (again[1], again[2]) == (
        out,
        "note: the alias champion of churn said version 3, the promotion log version 2: it follows the log again\n",
    )


def test_show_has_tags_inputs_metrics_gates_and_moves(cli: Cli, churn: Opened) -> None:
    override(churn.book, who="eve", reason="the launch can't wait", version=3)
    code, out, _ = cli("models", "show", "churn", "3")
    assert code == 0
    assert out.startswith(
        f"churn version 3 · cutoff {week(3)} · champion\nREFUSED: 1 of 2 gates does not pass: "
    )
    for text in (
        "eve made it champion all the same: the launch can't wait",
        "Table churn/training_set version 3",
        "auc 0.7300 0.6000",
        "FAIL is_calibrated",
        "2 → 3",
        "Training set, SHA-256 digest3",
        "git_dirty",
        "max_depth 5",
    ):
        assert text in " ".join(out.split()), text
    assert "overridden by eve" in cli("models", "list")[1]


def test_diff_names_what_differs_and_nothing_else(cli: Cli) -> None:
    code, out, _ = cli("models", "diff", "churn", "1", "2")
    assert code == 0
    found = {tuple(line.split()[:2]): line.split()[2:] for line in out.splitlines()[1:-1]}
    assert found[("parameter", "max_depth")] == ["3", "4"]
    assert found[("metric", "auc")] == ["0.7100", "0.7200"]
    assert found[("input", "churn/training_set")] == ["version", "1", "version", "2"]
    assert found[("training", "training")] == ["set", "digest1", "digest2"]
    assert not any(kind in ("code", "config") or what in ("objective", "brier") for kind, what in found)
    assert out.splitlines()[-1].startswith(
        f"The metrics are of two holdouts, {week(1)} and {week(2)}: they don't"
    )
    assert (
        cli("models", "diff", "churn", "1", "1")[1] == "nothing on record differs between versions 1 and 1\n"
    )


def test_a_card_is_printed_or_written(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli("models", "card", "churn", "2")
    assert code == 0
    assert out.startswith("# churn\n")
    path = tmp_path / "card.md"
    assert cli("models", "card", "churn", "2", "--markdown", str(path))[1] == f"{path} is written\n"
    assert path.read_text() == out
    page = tmp_path / "card.html"
    assert cli("models", "card", "churn", "2", "--html", str(page))[0] == 0
    assert "<title>churn version 2</title>" in page.read_text()
    code, _, err = cli("models", "card", "churn", "2", "--html", str(tmp_path / "none" / "x.html"))
    assert code == 1
    assert "No such file or directory; name a file in a folder that exists" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("models", "show", "lapse", "1"), "there is no model lapse; there are churn"),
        (("models", "diff", "churn", "1", "9"), "churn has no version 9; there are 1, 2, 3"),
        (("models", "card", "churn", "9"), "churn has no version 9; there are 1, 2, 3"),
        (
            ("models", "approve", "churn", "--why", "x"),
            "Version 3 of cutoff .* is not promoted. is_calibrated: measured",
        ),
        (
            ("models", "promote", "churn", "3", "--why", "x"),
            "Version 3 of cutoff .* is not promoted. is_calibrated",
        ),
        (("models", "promote", "churn", "3", "--override", "--why", "x"), "--override needs --who NAME"),
        (("models", "promote", "churn", "3", "--override", "--who", "eve", "--why", " "), "say who and why"),
        (
            ("models", "rollback", "churn", "--to", "3", "--why", "x"),
            "Version 3 of churn has never been champion.*; 1 has",
        ),
        (
            ("models", "rollback", "churn", "--why", "x"),
            "Version 1 of churn can't predict, so version 2 stays champion",
        ),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_what_is_refused(cli: Cli, churn: Opened, words: tuple[str, ...], said: str) -> None:
    code, out, err = cli(*words)
    assert (code, out) == (1, "")
    assert re.search(said, err), err
    assert len(moves(churn.book)) == 2


@pytest.mark.parametrize(
    "words",
    [("models", "promote", "churn", "3", "--override"), ("models", "rollback", "churn")],
    ids=" ".join,
)
def test_a_reason_is_needed(cli: Cli, words: tuple[str, ...]) -> None:
    code, out, err = cli(*words)
    assert (code, out) == (2, "")
    assert "Missing option '--why'" in err


def test_without_any_training_it_says_so(cli: Cli, home: Path) -> None:
    (home / "data" / "mlflow" / "mlflow.db").unlink()
    assert (
        cli("models", "list")[2]
        == f"ml-assets: no model has been trained in {home / 'data'} yet: ml-assets materialize\n"
    )


def test_override_approve_and_rollback(cli: Cli, churn: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        versions, "smoke_prediction", lambda model, lake, book, version: f"version {version.number} scores"
    )
    words = ("models", "promote", "churn", "3", "--override", "--who", "eve", "--why", "the launch")
    assert cli(*words) == (0, "champion of churn: version 2 -> version 3\n", "")
    assert cli("models", "rollback", "churn", "--why", "complaints") == (
        0,
        "before: version 2 scores\nafter:  version 2 scores\nchampion of churn: version 3 -> version 2\n",
        "",
    )
    by_itself = book_of

    def by_hand(*given: Any) -> Book:
        book = by_itself(*given)
        return replace(book, rules=replace(book.rules, approval="manual"))

    monkeypatch.setattr(book_module, "book_of", by_hand)
    good = replace(verdict(3, 2), cutoff=week(4), policy=churn.book.rules.policy)
    registry = churn.book.registry
    registry.client().create_model_version("churn", "none", tags={"cutoff": str(week(4))})
    decide(churn.book, replace(good, version=4))
    assert cli("models", "list")[0] == 0
    assert registry.aliases("churn") == {"champion": 2, "previous": 1, "challenger": 4}
    assert (
        "waits for approval: ml-assets models approve churn 4"
        in cli("models", "promote", "churn", "4", "--why", "x")[2]
    )
    assert (
        cli("models", "approve", "churn", "--why", "fine")[1] == "champion of churn: version 2 -> version 4\n"
    )
    with instance() as running:
        (event,) = running.fetch_materializations(dg.AssetKey(["churn", "promotions"]), limit=1).records
    assert event.asset_materialization is not None
    assert "eve promoted, against its evidence, version 3" in str(
        event.asset_materialization.metadata["overrides"].value
    )
    assert [action for action, *_ in moves(churn.book)] == [
        "promote",
        "promote",
        "override",
        "rollback",
        "approve",
    ]


def test_a_smoke_prediction_scores_the_newest_population(
    churn: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    import pandas as pd

    from ml_assets.training.predictor import Scores

    asked: list[int] = []

    class Counting:
        step = 0.1
        task = SimpleNamespace(columns=churn.model.group.feature_types)

        def score(self, frame: pd.DataFrame) -> Scores:
            return Scores(np.arange(len(frame)) * self.step)

    def load(registry: Registry, version: Version) -> Counting:
        asked.append(version.number)
        return Counting()

    monkeypatch.setattr(Registry, "load", load)
    snapshot = churn.model.group.snapshot(churn.lake)
    columns = ", ".join(f"1::{kind} AS {name}" for name, kind in churn.model.group.feature_types.items())
    for day in (date(2024, 3, 1), date(2024, 3, 2)):
        rows = churn.book.con.sql(
            f"SELECT DATE '{day}' AS as_of, i::BIGINT AS visitor_id, {columns} FROM range(8) AS r(i)"
        )
        snapshot.replace(rows, between=(day, day), provenance=Provenance())
    said = versions.smoke_prediction(churn.model, churn.lake, churn.book, churn.version(1))
    assert said == "version 1 scores 5 rows of 2024-03-02: 0, 0.1, 0.2, 0.3, 0.4"
    assert asked == [1]
    monkeypatch.setattr(Counting, "step", np.nan)
    with pytest.raises(Exception, match="of 5 rows of 2024-03-02, 0 have a finite score"):
        versions.smoke_prediction(churn.model, churn.lake, churn.book, churn.version(1))
