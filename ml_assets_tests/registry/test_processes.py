"""Real processes and a real MLflow: races for the log, a process killed before the alias follows, and rollback."""

import multiprocessing
import signal
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from ml_assets.lake import Lake
from ml_assets.registry.mlflow_registry import Registry, RegistryError
from ml_assets.registry.promotion import promote
from ml_assets.registry.rollback import rollback
from ml_assets_tests.registry import movers
from ml_assets_tests.registry.shelf import book_of, decide, moves, verdict, week

SPAWN = multiprocessing.get_context("spawn")
ROUNDS = 10


def register(registry: Registry, model: str, versions: int = 1) -> None:
    """Versions without artifacts."""
    client = registry.client()
    client.create_registered_model(model)
    for number in range(1, versions + 1):
        client.create_model_version(
            model, f"{registry.artifact_root}/none", tags={"cutoff": str(week(number))}
        )


@pytest.mark.proof
def test_of_two_processes_one_wins_and_a_killed_one_is_finished_for(
    con: duckdb.DuckDBPyConnection, lake: Lake, prepared: Registry
) -> None:
    """Two race for many models; then one of them is killed between the log and the alias of a last one."""
    models = [f"raced_{n}" for n in range(ROUNDS)]
    for model in (*models, "killed"):
        register(prepared, model)
        decide(book_of(con, lake, prepared, model), verdict(1, None))
    together, told = SPAWN.Barrier(2), SPAWN.Queue()
    processes = [
        SPAWN.Process(target=movers.promote_all, args=(lake.root, prepared, models, last, together, told))
        for last in ("killed", None)
    ]
    for process in processes:
        process.start()
    answers = sorted(told.get(timeout=120) for _ in range(2 * ROUNDS))
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [-signal.SIGKILL, 0]
    for number, model in enumerate(models):
        loser, winner = (said for _, said in answers[2 * number : 2 * number + 2])
        assert winner == "promoted 1"
        assert loser.startswith(f"Somebody else has moved the champion of {model} meanwhile: ")
        book = book_of(con, lake, prepared, model)
        assert moves(book) == [("promote", None, 1)]
        assert f"{book.log().moves[0].who} promoted version 1 at" in loser
        assert prepared.aliases(model) == {"champion": 1}
    book = book_of(con, lake, prepared, "killed")
    assert (moves(book), prepared.aliases("killed")) == ([("promote", None, 1)], {})
    outcome = promote(book, who="ada", run="next")
    assert outcome.champion == prepared.version("killed", 1)
    assert outcome.notes == (
        "the alias champion of killed said no version, the promotion log version 1: it follows the log again",
    )
    assert len(moves(book)) == 1


@pytest.mark.slow
def test_promotion_and_rollback_in_mlflow(
    con: duckdb.DuckDBPyConnection, lake: Lake, prepared: Registry, tmp_path: Path
) -> None:
    register(prepared, "moved", versions=2)
    assert [v.number for v in prepared.versions("moved")] == [2, 1]
    assert (prepared.aliases("unknown"), prepared.versions("unknown")) == ({}, [])
    book = book_of(con, lake, prepared, "moved")
    decide(book, verdict(1, None), verdict(2, 1))
    champion = promote(book, who="ada", run="r").champion
    assert champion == prepared.version("moved", 2)
    assert champion is not None
    assert (champion.number, champion.cutoff) == (2, week(2))
    assert champion.created is not None
    assert prepared.aliases("moved") == {"champion": 2, "previous": 1}
    assert prepared.aliases_by_model()["moved"] == {"champion": 2, "previous": 1}
    elsewhere = replace(prepared, tracking_uri=prepared.tracking_uri.replace("sqlite:", "sqlite+pysqlite:"))
    assert elsewhere.aliases_by_model() == prepared.aliases_by_model(), "by MLflow's client"

    def load(version: object) -> str:
        raise OSError("no such artifact")

    with pytest.raises(RegistryError, match="Version 1 of moved can't predict, so version 2 stays champion"):
        rollback(book, who="ada", reason="complaints", smoke=load)
    assert prepared.aliases("moved") == {"champion": 2, "previous": 1}
    rollback(book, who="ada", reason="complaints", smoke=lambda version: "scored")
    assert prepared.aliases("moved") == {"champion": 1}
    assert "version 2 was rolled back" in promote(book, who="ada", run="r").refused_newest
    with pytest.raises(RegistryError, match="Model moved has no version 7 in sqlite:"):
        prepared.version("moved", 7)
    prepared.delete_alias("moved", "champion")
    prepared.delete_alias("moved", "champion")
    assert prepared.aliases("moved") == {}
