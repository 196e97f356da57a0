"""Training a version again, following a prediction back, and the commands for both, on a project that has gone on."""

from datetime import date
from pathlib import Path

import pytest

from ml_assets.cli.app import main
from ml_assets.evaluation.gates.every import GATES
from ml_assets.instance.refusal import Refusal
from ml_assets.lake import connect
from ml_assets.operations.reproduce import reproduce
from ml_assets.operations.trace import described, trace
from ml_assets.pipeline.book import book_of
from ml_assets.pipeline.facts import facts
from ml_assets_tests.conftest import LANDED
from ml_assets_tests.house import FEATURES, SOURCE, House, failures, opened, scratch_defs


def go_on(house: House) -> None:
    """Days that land later, and a correction of one that the model has learnt from."""
    house.land(LANDED + 1, LANDED + 3)
    house.land(40, 40, salt="corrected")
    assert house.run(SOURCE, 40).success
    assert house.run(SOURCE, LANDED + 1, LANDED + 3).success
    assert house.run(FEATURES[:1], 40, LANDED + 3).success
    assert house.run(FEATURES[1:], 41, LANDED + 4).success
    assert house.run(["churn/labels"], 42, LANDED + 3).success


def cli(monkeypatch: pytest.MonkeyPatch, house: House, *words: str) -> int:
    monkeypatch.setenv("ML_ASSETS_DEFS", house.module)
    monkeypatch.setenv("ML_ASSETS_LAKE", house.lake.root)
    return main(words)


@pytest.mark.slow
def test_a_version_comes_out_the_same_whatever_has_landed_since(
    finished: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    go_on(finished)
    assert cli(monkeypatch, finished, "models", "reproduce", "churn", "1") == 0
    said = capsys.readouterr().out
    assert said.count("the same") == 5, said
    registry = finished.registry
    tags = registry.version("churn", 1).tags
    assert tags["model_sha256"].startswith("files-1:")
    before_schemes = tags["training_set"].removeprefix("rows-1:")
    assert len(before_schemes) == 64
    registry.client().set_model_version_tag("churn", "1", "training_set", before_schemes)
    registry.client().set_model_version_tag("churn", "1", "model_sha256", "0" * 64)
    assert cli(monkeypatch, finished, "models", "reproduce", "churn", "1") == 1
    assert f"model file     {'0' * 64}  on record, " in capsys.readouterr().out
    with connect() as con:
        found = reproduce(con, finished.churn, finished.lake, registry, 1)
    assert [result.name for result in found.results if not result.is_same] == ["model file"]
    assert {one.name for one in found.circumstances} >= {"git_commit", "lock_sha256", "python", "cpus"}


def test_another_declaration_is_told_from_the_one_on_record(finished_home: Path, tmp_path: Path) -> None:
    module = scratch_defs(tmp_path / "deeper_defs", {"churn/defs.yaml": ("max_depth: 2", "max_depth: 3")})
    said = r"trained by another declaration .* Check out commit [0-9a-f]+"
    with (
        opened(tmp_path / "home", template=finished_home, module=module) as house,
        connect() as con,
        pytest.raises(Refusal, match=said),
    ):
        reproduce(con, house.churn, house.lake, house.registry, 1)


@pytest.mark.slow
def test_a_prediction_is_followed_back_to_its_events(
    finished: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with connect() as con:
        rows = finished.churn.tables(finished.lake).predictions.read(con).order("as_of DESC, visitor_id")
        prediction = rows.limit(1).to_arrow_table().to_pylist()[0]
        models = finished.project.models
        before = trace(con, models, finished.lake, finished.registry, prediction["prediction_id"])
        go_on(finished)
        after = trace(con, models, finished.lake, finished.registry, prediction["prediction_id"])
        with pytest.raises(Refusal, match="there is no prediction nobody of churn"):
            trace(con, models, finished.lake, finished.registry, "nobody")
    assert described(before) == described(after), "what lands later changes nothing that was known then"
    assert after.score_again == prediction["score"]
    assert after.features_hash == prediction["features_hash"]
    assert after.unlike_events == []
    (visits,) = after.events
    assert visits.known >= visits.within > 0
    assert visits.newest[0]["file"].endswith(".parquet")
    assert cli(monkeypatch, finished, "models", "trace", prediction["prediction_id"], "--events", "2") == 0
    said = capsys.readouterr().out
    assert "each as the events give it by definition" in said
    assert "to train it again: ml-assets models reproduce churn 1" in said
    assert said.count(".parquet row ") == 2


@pytest.mark.slow
def test_a_card_keeps_what_was_measured_when_the_cutoff_is_trained_again(finished: House) -> None:
    cutoff = date(2024, 3, 4)
    assert finished.run(["churn/candidate"], cutoff).success
    assert not failures(finished.run(["churn/evaluation"], cutoff))
    with connect() as con:
        book = book_of(con, finished.churn, finished.lake, finished.registry)
        cards = [
            facts(book, finished.churn, finished.lake, finished.registry.version("churn", number))
            for number in (1, 2)
        ]
    for card in cards:
        assert {row["column"] for row in card.slices} == {"channel"}
        assert {row["gate"] for row in card.gates} == {gate.name for gate in GATES}
        assert card.own_metrics["auc"] > 0.5
