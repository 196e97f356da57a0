"""Tables of the lake: read a version and a range of partitions, replace a range in one commit.

A table is a Delta Lake table below the lake's root, partitioned by one leading column (a date) and, for
some, by more. Writes go by column name. A write replaces exactly its partitions or nothing: readers see
the table before it or after it, whatever is killed when.
"""

import errno
import os
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from ml_assets.lake.commit import Commit, history, span
from ml_assets.lake.days import Between, days
from ml_assets.lake.marks import Marks, marks_of
from ml_assets.lake.provenance import Provenance
from ml_assets.lake.sql import quote, text

if TYPE_CHECKING:
    import pyarrow as pa

CONFIGURATION = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
}
ATTEMPTS = 8
SQL_TYPES = {"date": "DATE", "long": "BIGINT", "integer": "INTEGER", "string": "VARCHAR"}
"""Delta's types of partition columns as DuckDB's."""


class LakeError(Exception):
    """What was asked of a table can't be done; the message says why and what to do."""


class Damaged(LakeError):
    """A file that a table names is lost or can't be read."""


class Overtaken(LakeError):
    """The table has moved on since its writer read it; nothing was written."""


@dataclass(frozen=True)
class Lake:
    """A folder or an object-store URL below which the tables live."""

    root: str
    storage_options: Mapping[str, str] = field(default_factory=dict)

    def table(self, name: str, *partition_by: str) -> "Table":
        """The table of that name, for example ``transactions/events``; it need not exist yet.

        ``partition_by`` are the partition columns, the leading one a DATE.
        """
        return Table(self, name, partition_by)


@dataclass(frozen=True)
class Table:
    """A Delta table; see the module's docstring for what reads and writes promise."""

    lake: Lake
    name: str
    partition_by: tuple[str, ...]

    @property
    def uri(self) -> str:
        """Where the table lives."""
        return f"{self.lake.root.rstrip('/')}/{self.name}"

    def _open(self, version: int | None = None) -> DeltaTable | None:
        try:
            return DeltaTable(self.uri, version=version, storage_options=dict(self.lake.storage_options))
        except TableNotFoundError:
            return None
        except DeltaError as error:
            newest = self.version if version is not None else None
            if version is None or newest is None or version <= newest:
                raise
            raise LakeError(
                f"Table {self.name} has no version {version}; its newest is {newest}. "
                "Materialize again what asks for that version."
            ) from error

    def _check_partitioned(self, delta: DeltaTable) -> None:
        partitioned = tuple(delta.metadata().partition_columns)
        if partitioned != self.partition_by:
            raise LakeError(
                f"Table {self.name} in {self.lake.root} is partitioned by {', '.join(partitioned)}; "
                f"{', '.join(self.partition_by)} expected. Another version of ml_assets made it: put its folder "
                "away, and materialize the asset again."
            )

    @property
    def exists(self) -> bool:
        """Whether anything has been written."""
        return self._open() is not None

    @property
    def version(self) -> int | None:
        """The newest version, or None before the first write."""
        delta = self._open()
        return None if delta is None else delta.version()

    def read(
        self,
        con: duckdb.DuckDBPyConnection,
        *,
        columns: Sequence[str] | None = None,
        between: Between | None = None,
        version: int | None = None,
        lacking: Mapping[str, str] | None = None,
    ) -> duckdb.DuckDBPyRelation:
        """The rows as a DuckDB relation, lazily: only the needed files and columns are read.

        ``between`` is a closed range of the leading partition column, ``version`` an older version. ``lacking`` are
        columns, with their types, that were declared since the table was made and are NULL where it lacks them.
        Raises LakeError where the table, the version or a column doesn't exist, the table has other partition
        columns, or a file is lost or damaged (Damaged; damage further inside a file shows when the rows are
        read, as duckdb.Error).
        """
        delta = self._open(version)
        if delta is None:
            raise LakeError(
                f"Table {self.name} doesn't exist yet in {self.lake.root}. Materialize the asset that writes it first."
            )
        self._check_partitioned(delta)
        lead = self.partition_by[0]
        pruning = None
        if between is not None:
            pruning = [(lead, ">=", between[0].isoformat()), (lead, "<=", between[1].isoformat())]
        source = self._scan(con, delta, pruning)
        names = [f.name for f in delta.schema().fields]
        unknown = set(columns or ()) - set(names)
        if unknown:
            raise LakeError(
                f"Table {self.name} has no column {', '.join(sorted(unknown))}; it has {', '.join(names)}. "
                "Materialize it again if the column was declared since."
            )
        present, known = set(source.columns), {name.lower() for name in names}
        selected = [quote(n) if n in present else f"NULL AS {quote(n)}" for n in columns or names]
        selected += [
            f"CAST(NULL AS {kind}) AS {quote(n)}"
            for n, kind in (lacking or {}).items()
            if n.lower() not in known
        ]
        return source.select(", ".join(selected))

    def replace(
        self,
        rows: duckdb.DuckDBPyRelation,
        *,
        between: Between,
        provenance: Provenance,
        leaving: Collection[date] = (),
        also: str = "",
    ) -> int:
        """Make ``rows`` the only content of the partitions ``between``, in one commit; return the version.

        Rows are matched by column name; a new column is added to the table. ``provenance`` says what made
        the rows, and reads back from ``history``. The partitions ``leaving`` stay as they are, and the commit
        says so. ``also`` is a condition on further partition columns that narrows what is replaced. A
        conflicting writer makes this one try again on the new version. Raises LakeError if a row lies outside
        what is replaced: nothing is written.
        """
        return self._overwrite(rows, between, leaving, also, provenance.as_metadata())

    def _overwrite(
        self,
        rows: duckdb.DuckDBPyRelation,
        between: Between,
        leaving: Collection[date],
        also: str,
        said: Mapping[str, str],
    ) -> int:
        lead, (first, last) = self.partition_by[0], between
        predicate = f"{lead} >= '{first.isoformat()}' AND {lead} <= '{last.isoformat()}'"
        if leaving:
            predicate += f" AND {lead} NOT IN ({', '.join(repr(day.isoformat()) for day in leaving)})"
        if also:
            predicate += f" AND {also}"
        commit = {**said, **span(set(days(*between)) - set(leaving), between)}
        return self._write(rows, commit, mode="overwrite", predicate=predicate)

    def update(
        self,
        con: duckdb.DuckDBPyConnection,
        rows: duckdb.DuckDBPyRelation,
        *,
        between: Between,
        provenance: Provenance,
        withhold: Collection[date] = (),
    ) -> set[date]:
        """Like ``replace``, but partitions that hold exactly these rows already stay untouched, as do ``withhold``.

        What reads the table can so tell what has changed: returns the days that have. The commit is made even
        if none has: it says that the whole range has been looked at, and with which version it was ``compared``.
        """
        compared = self.version
        same = self.unchanged(con, rows, between) | set(withhold)
        listed = ", ".join(f"DATE '{day}'" for day in sorted(same))
        others = rows.filter(f"{quote(self.partition_by[0])} NOT IN ({listed})") if same else rows
        seen = {"compared": str(-1 if compared is None else compared)}
        self._overwrite(others, between, same, "", provenance.as_metadata() | seen)
        return set(days(*between)) - same

    def unchanged(
        self, con: duckdb.DuckDBPyConnection, rows: duckdb.DuckDBPyRelation, between: Between
    ) -> set[date]:
        """The partitions ``between`` that hold exactly ``rows`` already, by a digest of all rows of a day.

        A partition that is empty on both sides is unchanged if a commit was about it before: that it is empty
        is a fact only then. ``rows`` is read once; every column counts, in any order of rows. A table that
        lacks one of the columns is all changed, as are partitions of which a file is lost or damaged: building
        them again is what mends them.
        """
        if not self.exists:
            return set()
        wanted = _digests(rows, rows.columns, self.partition_by[0])
        try:
            stored = self.read(con, between=between)
            if set(stored.columns) != set(rows.columns):
                return set()
            found = _digests(stored, rows.columns, self.partition_by[0])
        except (Damaged, duckdb.Error):
            return set()
        same = {day for day in days(*between) if wanted.get(day) == found.get(day)}
        empty = same - set(found)
        if empty:
            same -= empty - set(self.marks())
        return same

    def append(
        self,
        rows: duckdb.DuckDBPyRelation,
        *,
        provenance: Provenance,
        about: Collection[date] = (),
        after: int | None = None,
    ) -> int:
        """Add ``rows`` in one commit, which names the days it is ``about``; return the version.

        ``after`` makes it a compare-and-swap: the version that the rows were worked out from, 0 for a table that
        nothing has been written to. Raises Overtaken, and writes nothing, if there is a newer one by then: of
        writers that have read the same version one wins, in however many processes.
        """
        commit = provenance.as_metadata() | (span(about) if about else {})
        return self._write(rows, commit, after=after, mode="append")

    def _scan(
        self, con: duckdb.DuckDBPyConnection, delta: DeltaTable, pruning: list[tuple[str, str, str]] | None
    ) -> duckdb.DuckDBPyRelation:
        """The rows of the files that ``pruning`` leaves, lazily.

        DuckDB reads local files itself; what reads an object store would have to be downloaded as an extension,
        so there Arrow reads and DuckDB hands filters and columns down to it.
        """
        if "://" in self.uri:
            return con.from_arrow(delta.to_pyarrow_dataset(file_pruning_predicate=pruning))
        files = [self._path(uri) for uri in delta.file_uris(file_pruning_predicate=pruning)]
        if not files:
            return con.from_arrow(_arrow_schema(delta).empty_table())
        kinds = {
            f.name: SQL_TYPES.get(str(getattr(f.type, "type", "")), "VARCHAR") for f in delta.schema().fields
        }
        types = ", ".join(f"'{column}': {kinds[column]}" for column in self.partition_by)
        try:
            return con.sql(
                f"SELECT * FROM read_parquet([{', '.join(files)}], hive_partitioning = true, "
                f"hive_types = {{{types}}}, union_by_name = true)"
            )
        except duckdb.Error as error:
            raise Damaged(
                f"Table {self.name}: a file that it names can't be read ({str(error).splitlines()[0]}). If it is "
                "lost or damaged, restore it from a backup; or, where the table is built from others, "
                "materialize the partitions in that file's path again."
            ) from error

    def _path(self, uri: str) -> str:
        """A file of a local table as an SQL literal. Delta percent-encodes the folder above the table."""
        path = "/".join([self.uri, *uri.split("/")[-len(self.partition_by) - 1 :]])
        return text(path)

    def history(self, limit: int | None = None) -> list[Commit]:
        """The commits, newest first; empty before the first write."""
        delta = self._open()
        return [] if delta is None else history(delta, limit)

    def marks(self, version: int | None = None, **said: str) -> Marks:
        """What the commits say of every slot, up to a version (default: the newest); empty before the first write.

        Only of the commits whose provenance has the facts ``said``: a model's version, for example.
        """
        delta = self._open()
        return {} if delta is None else marks_of(delta, version, said)

    def made(self, day: date, version: int | None = None, **said: str) -> Commit:
        """The commit that made a partition as it is in a version (default: the newest).

        Only of the commits whose provenance has the facts ``said``. Raises LakeError where there is none.
        """
        for commit in self.history():
            if commit.between is None or (version is not None and commit.version > version):
                continue
            first, last = commit.between
            about = first <= day <= last and day not in commit.left
            if about and commit.says(said):
                return commit
        raise LakeError(
            f"Table {self.name} has no commit about {day}. Materialize that partition first, or name another."
        )

    def _write(
        self, rows: duckdb.DuckDBPyRelation, commit: dict[str, str], *, after: int | None = None, **how: Any
    ) -> int:
        try:
            self._create(rows)
            if after is not None:
                return self._commit_after(after, rows, commit, **how)
            return self._commit(rows, commit, **how)
        except (DeltaError, OSError) as error:
            cause = _cause(error)
            if cause is None:
                raise
            raise LakeError(
                f"Table {self.name}: can't write to {self.uri}: {cause}, and run it again. Nothing was committed, "
                f"the table is as it was. ({_plain(error)})"
            ) from error

    def _commit(self, rows: duckdb.DuckDBPyRelation, commit: dict[str, str], **how: Any) -> int:
        for attempt in range(1, ATTEMPTS + 1):
            delta = self._open()
            assert delta is not None
            self._check_partitioned(delta)
            try:
                return _put(delta, rows, CommitProperties(custom_metadata=commit), how)
            except CommitFailedError as conflict:
                if attempt == ATTEMPTS:
                    raise LakeError(
                        f"Table {self.name}: {ATTEMPTS} attempts to commit met another writer of the same "
                        f"partitions. Nothing was written; run it again once that writer has ended. ({conflict})"
                    ) from conflict
                time.sleep(0.05 * 2**attempt)
            except DeltaError as refused:
                if "failed validation check" not in str(refused):
                    raise
                raise LakeError(
                    f"Table {self.name}: rows lie outside the partitions they are to replace, which are "
                    f"{self.partition_by[0]} from {commit['first']} to {commit['last']}. Nothing was written; "
                    f"mend the query or the range. ({refused})"
                ) from refused
        raise AssertionError("unreachable")

    def _commit_after(
        self, version: int, rows: duckdb.DuckDBPyRelation, commit: dict[str, str], **how: Any
    ) -> int:
        delta = self._open(version)
        assert delta is not None
        self._check_partitioned(delta)
        try:
            return _put(delta, rows, CommitProperties(custom_metadata=commit, max_commit_retries=0), how)
        except CommitFailedError as conflict:
            raise Overtaken(
                f"Table {self.name} has moved on from version {version}, which these rows were worked out from, to "
                f"{self.version}. Nothing was written; read it again and decide anew. ({conflict})"
            ) from conflict

    def _create(self, rows: duckdb.DuckDBPyRelation) -> None:
        if self.exists:
            return
        try:
            DeltaTable.create(
                self.uri,
                rows.limit(0).to_arrow_table().schema,
                mode="ignore",
                partition_by=list(self.partition_by),
                configuration=CONFIGURATION,
                storage_options=dict(self.lake.storage_options),
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except CommitFailedError:
            if not self.exists:
                raise


def _put(
    delta: DeltaTable, rows: duckdb.DuckDBPyRelation, properties: CommitProperties, how: Mapping[str, Any]
) -> int:
    """Stream the rows into one commit on the table as it was opened; return the version."""
    write_deltalake(
        delta, rows.to_arrow_reader(122_880), schema_mode="merge", commit_properties=properties, **how
    )
    return delta.version()


def _plain(error: Exception) -> str:
    """What Rust says of an error, on one line and without colours."""
    return " ".join(re.sub("\x1b\\[[0-9;]*m|↳", " ", str(error)).split())


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def _cause(error: Exception) -> str | None:
    """What the operating system says of a write that failed, and what to do; None if it says nothing."""
    said = re.search(r"(?:os error|code:) (\d+)", str(error))
    number = int(said[1]) if said else getattr(error, "errno", None)
    if number is None:
        return None
    if number in FULL:
        return f"there is no room left ({os.strerror(number)}); free some space"
    if number in FORBIDDEN:
        return f"it may not be written ({os.strerror(number)}); let the user who runs this write there"
    return f"{os.strerror(number)}; see to the disk"


def _digests(
    rows: duckdb.DuckDBPyRelation, columns: Sequence[str], lead: str
) -> dict[date, tuple[int, int, int]]:
    """Per partition: how many rows, and two sums over hashes of the rows, in whatever order they come."""
    listed = ", ".join(quote(column) for column in columns)
    found = rows.aggregate(
        f"{quote(lead)}, count(*), sum(hash({listed})::HUGEINT), sum(hash(1, {listed})::HUGEINT)",
        quote(lead),
    ).fetchall()
    return {day: (number, first, second) for day, number, first, second in found}


def _arrow_schema(delta: DeltaTable) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(delta.schema().to_arrow())
