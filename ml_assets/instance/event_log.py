"""Dagster's event log on SQLite, with its databases kept open from one event to the next.

Dagster stores each event of a run in the database of that run and, if it is about an asset or a check, once
more in the index. The stock storage opens a database, compiles its SQL and closes the database again for
each of them, and closing makes SQLite move its write-ahead log into the database: that is most of what an
event costs. This storage writes the same rows in the same order into the same files, and keeps them open.

Each event is committed before the next one is handled, so a process that is killed loses what the stock
storage loses: the one event it was storing. After a power failure the index is complete, as with the stock
storage; the log of a run that was in progress, or has just ended, may lack its last lines, because only
the index is synced to disk at every commit.

``dagster.yaml`` names the class, so every process that opens the instance imports this module: webserver,
daemon, code server, runs. It is no part of ``ml_assets.components``, so that an error in a component can't
keep them from opening the instance.
"""

import os
import shutil
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from tempfile import NamedTemporaryFile
from typing import Any, ClassVar, Self

from dagster import DagsterInstance
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.event import listen
from sqlalchemy.pool import NullPool, QueuePool

KEPT_OPEN = 8
"""Databases that stay open in one process: the index, and the runs used last."""


@dataclass(frozen=True)
class _Opened:
    """A database that is open, in which process, and which file it was then."""

    engine: Engine
    pid: int
    file: tuple[int, int] | None

    def still(self, path: str) -> bool:
        """Whether it is this process's, and the path leads to the same file."""
        return (self.pid, self.file) == (os.getpid(), _file(path))


class SqliteEventLog(SqliteEventLogStorage):
    """The stock storage in its usual place, ``history/runs`` of the instance's folder, kept open.

    It overrides how a database is connected to, and remembers which tables and columns were found: no
    migration of Dagster takes one away. The databases of a process's later runs begin as copies of its first
    run's when that was empty: making tables anew costs as much as storing twenty events.
    """

    _empty: ClassVar[bytes | None] = None
    """The database of a run without events."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._opened: OrderedDict[str, _Opened] = OrderedDict()
        # A child process must not close what its parent has opened; what is referred to stays open.
        self._inherited: list[_Opened] = []
        self._tables: set[str] = set()
        self._columns: set[str] = set()

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing to set."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Called by Dagster when it opens the instance."""
        return cls(inst_data)

    def register_instance(self, instance: DagsterInstance) -> None:
        """Open the index in the folder of the instance, which is known only now."""
        if not self.has_instance:
            folder = os.path.join(instance.root_directory, "history", "runs")
            super().__init__(folder, self._inst_data)
        super().register_instance(instance)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._open(shard)
            try:
                with engine.begin() as connection:
                    yield connection
            except BaseException:
                self._close(shard)
                raise

    def _open(self, shard: str) -> Engine:
        """The engine of a database, with one connection; a new one after a fork or if the file is another."""
        path = self.path_for_shard(shard)
        opened = self._opened.get(shard)
        if opened and opened.still(path) and shard in self._initialized_dbs:
            self._opened.move_to_end(shard)
            return opened.engine
        if opened:
            self._close(shard)
            self._initialized_dbs.discard(shard)
        url = self.conn_string_for_shard(shard)
        options = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
        if shard not in self._initialized_dbs:
            if not self._begun_as_another(shard):
                self._initdb(create_engine(url, poolclass=NullPool, connect_args=options))
                self._keep_if_empty(shard)
            self._initialized_dbs.add(shard)
        engine = create_engine(url, poolclass=QueuePool, pool_size=1, connect_args=options)
        if shard != INDEX_SHARD_NAME:
            listen(engine, "connect", _sync_at_checkpoints)
        self._opened[shard] = _Opened(engine, os.getpid(), _file(path))
        while len(self._opened) > KEPT_OPEN:
            self._close(next(iter(self._opened)))
        return engine

    def _begun_as_another(self, shard: str) -> bool:
        """Begin the database of a run as a copy of an empty one; False where there is none, or this one exists."""
        path = self.path_for_shard(shard)
        if self._empty is None or shard == INDEX_SHARD_NAME or os.path.exists(path):
            return False
        with NamedTemporaryFile(dir=os.path.dirname(path), prefix=".begun-") as file:
            file.write(self._empty)
            file.flush()
            shutil.copymode(self.path_for_shard(INDEX_SHARD_NAME), file.name)
            try:
                os.link(file.name, path)
            except OSError:  # another process was faster, or this disk has no hard links
                return False
        return True

    def _keep_if_empty(self, shard: str) -> None:
        """Let the databases of later runs begin as copies of this one."""
        if self._empty is None and shard != INDEX_SHARD_NAME:
            with closing(sqlite3.connect(self.path_for_shard(shard))) as connection:
                if connection.execute("SELECT count(*) FROM event_logs").fetchone() == (0,):
                    type(self)._empty = connection.serialize()

    def _close(self, shard: str) -> None:
        opened = self._opened.pop(shard, None)
        if opened and opened.pid == os.getpid():
            opened.engine.dispose()
        elif opened:
            self._inherited.append(opened)

    def _close_all(self) -> None:
        with self._db_lock:
            for shard in list(self._opened):
                self._close(shard)

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event, and touch the run's file: whoever watches the run waits for it to be modified.

        An open database is written to its write-ahead log first, and watchers don't look there.
        """
        super().store_event(event)
        with suppress(FileNotFoundError):  # another process has wiped the log since
            os.utime(self.path_for_shard(event.run_id))

    def has_table(self, table_name: str) -> bool:
        """Whether the index has the table."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        if column_name not in self._columns and super()._has_asset_key_col_on_connection(conn, column_name):
            self._columns.add(column_name)
        return column_name in self._columns

    def wipe(self) -> None:
        """Delete all events; the files of runs are closed first."""
        self._close_all()
        super().wipe()

    def drop(self, run_id: str) -> bool:
        """Delete the file of a run that has ended; False where there is none. What the index has of it stays."""
        with self._db_lock:
            self._close(run_id)
            self._initialized_dbs.discard(run_id)
            path = self.path_for_shard(run_id)
            there = os.path.exists(path)
            for file in (path, f"{path}-wal", f"{path}-shm"):
                with suppress(FileNotFoundError):
                    os.remove(file)
        return there

    def dispose(self) -> None:
        """Close all databases. SQLite then moves what their write-ahead logs hold into them."""
        super().dispose()
        self._close_all()


def _sync_at_checkpoints(connection: sqlite3.Connection, record: object) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")


def _file(path: str) -> tuple[int, int] | None:
    """Which file a path leads to: device and inode; None if there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
