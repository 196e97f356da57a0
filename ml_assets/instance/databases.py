"""SQLite databases that appear whole: made in a scratch folder by one process at a time, and renamed into place.

Dagster and MLflow make theirs in place, in many steps: two first commands at once trip over each other, and a command
that is killed leaves a database that no later one can open.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copyfile, rmtree
from tempfile import TemporaryDirectory

DAGSTERS = {
    "history/runs.db": "runs",
    "history/runs/index.db": "event_logs",
    "schedules/schedules.db": "jobs",
}
"""The databases of a Dagster instance, and the table of each that has rows once it was used."""
MADE, MAKING = "databases.made", "making-"
WHOLE = 1
"""The ``user_version`` of a database that says it is whole."""
SIDECARS = ("-wal", "-shm", "-journal")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process at a time do what the body does."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder to make things in, for who is ``alone``; those of processes that were killed go."""
    for left in folder.glob(f"{MAKING}*"):
        rmtree(left)
    with TemporaryDirectory(dir=folder, prefix=MAKING) as made:
        yield Path(made)


def make_dagsters(folder: Path) -> None:
    """Make the databases of the instance in a DAGSTER_HOME, where they aren't there or were left half made."""
    if (folder / MADE).exists():
        return
    with alone(folder / "databases.lock"):
        if (folder / MADE).exists():
            return
        with scratch(folder) as making:
            copyfile(folder / "dagster.yaml", making / "dagster.yaml")
            _fill(making)
            for name, table in DAGSTERS.items():
                if (making / name).exists() and is_half_made(folder / name, table):
                    put(making / name, folder / name)
        (folder / MADE).touch()


def _fill(folder: Path) -> None:
    """Open the instance of a folder, which makes its databases."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(folder)) as made:
        _ = made.run_storage, made.event_log_storage, made.schedule_storage


def is_half_made(database: Path, table: str) -> bool:
    """Whether a database that Alembic migrates isn't there, or was left in the middle before ``table`` had a row."""
    if not database.exists():
        return True
    with closing(sqlite3.connect(database)) as opened:
        there = {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"alembic_version", table} <= there:
            return True
        return _count(opened, "alembic_version") != 1 and _count(opened, table) == 0


def holds(database: Path, tables: Iterable[str]) -> bool:
    """Whether any of the tables has a row."""
    with closing(sqlite3.connect(database)) as opened:
        there = {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return any(_count(opened, name) for name in tables if name in there)


def is_marked(database: Path) -> bool:
    """Whether there is a database that ``mark`` was called for."""
    if not database.exists():
        return False
    with closing(sqlite3.connect(database)) as opened:
        return bool(opened.execute("PRAGMA user_version").fetchone() == (WHOLE,))


def mark(database: Path) -> None:
    """Say of a database, in itself, that it is whole."""
    with closing(sqlite3.connect(database)) as opened:
        opened.execute(f"PRAGMA user_version = {WHOLE}")


def _count(opened: sqlite3.Connection, table: str) -> int:
    ((count,),) = opened.execute(f"SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT 2)")
    return int(count)


def put(made: Path, place: Path) -> None:
    """Put a closed database in its place; nothing is left of the one that was there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for sidecar in SIDECARS:
        place.with_name(place.name + sidecar).unlink(missing_ok=True)
    os.replace(made, place)
