"""The aliases in MLflow follow the promotion log."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ml_assets.lake import Lake
from ml_assets.registry.aliases import follow, repair
from ml_assets.registry.book import Book
from ml_assets.registry.mlflow_registry import Registry, RegistryError, Version
from ml_assets.registry.promotion import Followed, override, promote
from ml_assets_tests.registry.shelf import Shelf, decide, moves, under, verdict


def promoted(book: Book) -> Followed:
    return promote(book, who="ada", run="r")


class Killed(BaseException):
    """The process ends here."""


def test_killed_between_log_and_alias_the_next_call_puts_it_right(
    book: Book, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(book, verdict(1, None))
    promoted(book)
    decide(book, verdict(2, 1))

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "set_alias", die)
        with pytest.raises(Killed):
            promoted(book)
    assert (shelf.pointing, book.log().champion) == ({"champion": 1}, 2)
    outcome = promoted(book)
    assert outcome.notes == (
        "the alias champion of lapse said version 1, the promotion log version 2: it follows the log again",
        "the alias previous of lapse said no version, the promotion log version 1: it follows the log again",
    )
    assert (shelf.pointing, len(moves(book))) == ({"champion": 2, "previous": 1}, 2)
    assert follow(book) == ()


def test_an_alias_that_somebody_moved_by_hand_is_moved_back(book: Book, shelf: Shelf) -> None:
    decide(book, verdict(1, None))
    promoted(book)
    shelf.pointing.update({"champion": 7, "challenger": 7, "mine": 7})
    assert follow(book) == (
        "the alias champion of lapse said version 7, the promotion log version 1: it follows the log again",
    )
    assert shelf.pointing == {"champion": 1, "mine": 7}


def test_without_a_log_an_alias_is_left_alone_and_told(book: Book, shelf: Shelf) -> None:
    shelf.pointing.update({"champion": 7, "challenger": 7})
    (note,) = follow(book)
    assert note.startswith("the alias champion of lapse says version 7, but there is no promotion log at ")
    assert note.endswith("say it on record with ml-assets models promote lapse 7 --override.")
    assert shelf.pointing == {"champion": 7}
    assert promoted(book).champion is None
    override(book, who="ada", reason="it was champion before the lake was lost", version=7)
    assert (follow(book), shelf.pointing) == ((), {"champion": 7})


def test_a_version_the_registry_has_lost_is_told(book: Book, shelf: Shelf) -> None:
    decide(book, verdict(1, None), verdict(2, 1))
    promoted(book)
    shelf.gone.add(2)
    lost = "champion of lapse is version 2 by the promotion log, but the registry has no such version"
    assert follow(book)[0].startswith(lost)
    assert shelf.pointing == {"previous": 1}
    outcome = promoted(book)
    assert outcome.champion is None
    assert outcome.refused_newest.startswith(
        "The champion, version 2, is not in the registry. Restore MLflow's database and artifacts"
    )
    assert "ml-assets models rollback lapse --to 1 --why TEXT" in outcome.refused_newest


def test_a_start_tells_of_a_registry_made_anew_beside_a_log(book: Book, lake: Lake, tmp_path: Path) -> None:
    override(book, who="ada", reason="x", version=1)
    anew = Registry.below(tmp_path / "data")
    (note,) = repair(lake, anew)
    assert note.startswith(
        "champion of lapse is version 1 by the promotion log, but the registry has no such"
    )
    assert "or train again" in note
    assert not (tmp_path / "data").exists(), "to look into a registry doesn't make it"


def test_a_database_that_is_none_is_told(lake: Lake, tmp_path: Path) -> None:
    registry = Registry.below(tmp_path)
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_text("torn " * 1000)
    with pytest.raises(RegistryError, match=r"mlflow.db can't be read: file is not a database. Restore it"):
        repair(lake, registry)


def test_a_follower_looks_again_if_the_log_moved_meanwhile(
    book: Book, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(book, verdict(1, None), verdict(2, 1))
    promoted(book)
    shelf.pointing.clear()
    once, plain = [True], Shelf.set_alias

    def slow(self: Shelf, version: Version, name: str) -> None:
        if once:
            once.pop()
            override(book, who="eve", reason="meanwhile", version=5)
        plain(self, version, name)

    monkeypatch.setattr(Shelf, "set_alias", slow)
    follow(book)
    assert shelf.pointing == {"champion": 5, "previous": 2}


def test_at_a_start_the_aliases_of_every_model_follow(book: Book, shelf: Shelf, lake: Lake) -> None:
    decide(book, verdict(1, None), verdict(2, 1))
    promoted(book)
    assert repair(lake, shelf) == ()
    shelf.pointing.update({"champion": 1, "challenger": 2, "mine": 7})
    del shelf.pointing["previous"]
    assert repair(lake, shelf) == (
        "the alias champion of lapse said version 1, the promotion log version 2: it follows the log again",
        "the alias previous of lapse said no version, the promotion log version 1: it follows the log again",
    )
    assert shelf.pointing == {"champion": 2, "previous": 1, "mine": 7}, "who was promoted waits for nothing"
    assert repair(lake, shelf) == ()


def test_a_start_knows_nothing_of_who_waits(book: Book, shelf: Shelf, lake: Lake) -> None:
    decide(book, verdict(1, None))
    promoted(book)
    decide(book, verdict(2, 1))
    promoted(under(book, approval="manual"))
    assert shelf.pointing == {"champion": 1, "challenger": 2}
    shelf.pointing["champion"] = 7
    assert len(repair(lake, shelf)) == 1
    assert shelf.pointing == {"champion": 1, "challenger": 2}


def test_a_start_leaves_the_aliases_alone_without_a_log(shelf: Shelf, lake: Lake) -> None:
    shelf.pointing["champion"] = 7
    assert repair(lake, shelf) == ()
    assert shelf.pointing == {"champion": 7}


def test_a_start_does_not_fail_for_a_log_that_cannot_be_read(book: Book, shelf: Shelf, lake: Lake) -> None:
    decide(book, verdict(1, None))
    promoted(book)
    for commit in (Path(lake.root) / "lapse" / "promotions" / "_delta_log").glob("*.json"):
        commit.write_text("{")
    (note,) = repair(lake, shelf)
    assert note.startswith("whether the aliases of lapse follow its promotion log isn't known: ")


def test_a_start_looks_again_if_the_log_moved_meanwhile(
    book: Book, shelf: Shelf, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(book, verdict(1, None), verdict(2, 1))
    promoted(book)
    shelf.pointing.clear()
    once, plain = [True], Shelf.set_alias

    def slow(self: Shelf, version: Version, name: str) -> None:
        if once:
            once.pop()
            override(book, who="eve", reason="meanwhile", version=5)
        plain(self, version, name)

    monkeypatch.setattr(Shelf, "set_alias", slow)
    repair(lake, shelf)
    assert shelf.pointing == {"champion": 5, "previous": 2}


@pytest.mark.parametrize("made", ["nothing", "an empty file", "a champion"])
def test_what_a_registry_points_to_is_read_without_mlflow(tmp_path: Path, made: str) -> None:
    registry = Registry.below(tmp_path)
    database = tmp_path / "mlflow" / "mlflow.db"
    if made != "nothing":
        database.parent.mkdir()
        database.touch()
    if made == "a champion":
        with closing(sqlite3.connect(database)) as opened:
            opened.executescript(
                "CREATE TABLE registered_models (name); CREATE TABLE registered_model_aliases (name, alias, version);"
                "INSERT INTO registered_models VALUES ('new'), ('lapse');"
                "INSERT INTO registered_model_aliases VALUES ('lapse', 'champion', 2), ('lapse', 'previous', 1)"
            )
    wanted = {"new": {}, "lapse": {"champion": 2, "previous": 1}} if made == "a champion" else {}
    assert registry.aliases_by_model() == wanted


def test_what_a_killed_writer_left_half_written_is_rolled_back_by_who_reads_next(tmp_path: Path) -> None:
    database = tmp_path / "mlflow" / "mlflow.db"
    database.parent.mkdir()
    with closing(sqlite3.connect(database)) as opened:
        opened.executescript(
            "CREATE TABLE registered_models (name); CREATE TABLE registered_model_aliases (name, alias, version);"
            "INSERT INTO registered_models VALUES ('lapse');"
            "INSERT INTO registered_model_aliases VALUES ('lapse', 'champion', 1)"
        )
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(database)])
    assert (killed.returncode, database.with_name("mlflow.db-journal").exists()) == (-signal.SIGKILL, True)
    assert Registry.below(tmp_path).aliases_by_model() == {"lapse": {"champion": 1}}


KILLED_WRITER = """
import os, signal, sqlite3, sys

opened = sqlite3.connect(sys.argv[1])
opened.execute("PRAGMA cache_size = 1")
opened.execute("UPDATE registered_model_aliases SET version = 2")
opened.executemany("INSERT INTO registered_models VALUES (?)", [("x" * 4000,)] * 100)
os.kill(os.getpid(), signal.SIGKILL)
"""
