"""Tables of the lake: read a version and a range of partitions, replace a range in one commit.

A table is a Delta Lake table below the lake's root, partitioned by one leading column (a date) and, for
some, by more. Writes go by column name. A write replaces exactly its partitions or nothing: readers see
the table before it or after it, whatever is killed when.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import duckdb
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

if TYPE_CHECKING:
    import pyarrow as pa

Between = tuple[date, date]
"""A closed range of partitions: first and last day."""

CONFIGURATION = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
}
ATTEMPTS = 8
SQL_TYPES = {"date": "DATE", "long": "BIGINT", "integer": "INTEGER", "string": "VARCHAR"}
"""Delta's types of partition columns as DuckDB's."""


class LakeError(Exception):
    """What was asked of a table can't be done; the message says why and what to do."""


@dataclass(frozen=True)
class Commit:
    """One version of a table: when it came to be and what made it."""

    version: int
    at: datetime
    operation: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def between(self) -> Between | None:
        """The partitions this commit replaced, or None for a commit that replaced none."""
        if "first" not in self.metadata:
            return None
        return date.fromisoformat(self.metadata["first"]), date.fromisoformat(self.metadata["last"])


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
    ) -> duckdb.DuckDBPyRelation:
        """The rows as a DuckDB relation, lazily: only the needed files and columns are read.

        ``between`` is a closed range of the leading partition column, ``version`` an older version.
        Raises LakeError where the table, the version or a column doesn't exist.
        """
        delta = self._open(version)
        if delta is None:
            raise LakeError(
                f"Table {self.name} doesn't exist yet in {self.lake.root}. Materialize the asset that writes it first."
            )
        lead = self.partition_by[0]
        pruning = None
        if between is not None:
            pruning = [(lead, ">=", between[0].isoformat()), (lead, "<=", between[1].isoformat())]
        files = [self._path(uri) for uri in delta.file_uris(file_pruning_predicate=pruning)]
        if files:
            kinds = {
                f.name: SQL_TYPES.get(str(getattr(f.type, "type", "")), "VARCHAR")
                for f in delta.schema().fields
            }
            types = ", ".join(f"'{column}': {kinds[column]}" for column in self.partition_by)
            source = con.sql(
                f"SELECT * FROM read_parquet([{', '.join(files)}], hive_partitioning = true, "
                f"hive_types = {{{types}}}, union_by_name = true)"
            )
        else:
            source = con.from_arrow(_arrow_schema(delta).empty_table())
        names = [f.name for f in delta.schema().fields]
        unknown = set(columns or ()) - set(names)
        if unknown:
            raise LakeError(
                f"Table {self.name} has no column {', '.join(sorted(unknown))}; it has {', '.join(names)}. "
                "Materialize it again if the column was declared since."
            )
        present = set(source.columns)
        return source.select(
            ", ".join(f'"{n}"' if n in present else f'NULL AS "{n}"' for n in columns or names)
        )

    def replace(
        self, rows: duckdb.DuckDBPyRelation, *, between: Between, metadata: Mapping[str, str], also: str = ""
    ) -> int:
        """Make ``rows`` the only content of the partitions ``between``, in one commit; return the version.

        Rows are matched by column name; a new column is added to the table. ``metadata`` says what made
        the rows (run, code version, input versions) and reads back from ``history``. ``also`` is a
        condition on further partition columns that narrows what is replaced. A conflicting writer makes
        this one try again on the new version. Raises LakeError if a row lies outside ``between``: nothing
        is written.
        """
        lead, (first, last) = self.partition_by[0], between
        predicate = f"{lead} >= '{first.isoformat()}' AND {lead} <= '{last.isoformat()}'" + (
            f" AND {also}" if also else ""
        )
        commit = {**metadata, "first": first.isoformat(), "last": last.isoformat()}
        return self._write(rows, commit, mode="overwrite", predicate=predicate)

    def append(self, rows: duckdb.DuckDBPyRelation, *, metadata: Mapping[str, str]) -> int:
        """Add ``rows`` in one commit; return the version."""
        return self._write(rows, dict(metadata), mode="append")

    def _path(self, uri: str) -> str:
        """A file of the table as an SQL literal. Delta percent-encodes the folder above a local table."""
        if "://" not in self.uri:
            uri = "/".join([self.uri, *uri.split("/")[-len(self.partition_by) - 1 :]])
        return "'" + uri.replace("'", "''") + "'"

    def history(self, limit: int | None = None) -> list[Commit]:
        """The commits, newest first; empty before the first write."""
        delta = self._open()
        if delta is None:
            return []
        return [
            Commit(
                version=entry["version"],
                at=datetime.fromtimestamp(entry["timestamp"] / 1000, tz=UTC),
                operation=entry["operation"],
                metadata={k: v for k, v in entry.items() if isinstance(v, str)},
            )
            for entry in delta.history(limit)
        ]

    def _write(self, rows: duckdb.DuckDBPyRelation, commit: dict[str, str], **how: Any) -> int:
        self._create(rows)
        for attempt in range(1, ATTEMPTS + 1):
            delta = self._open()
            assert delta is not None
            try:
                write_deltalake(
                    delta,
                    rows.to_arrow_reader(122_880),
                    schema_mode="merge",
                    commit_properties=CommitProperties(custom_metadata=commit),
                    **how,
                )
                return delta.version()
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

    def _create(self, rows: duckdb.DuckDBPyRelation) -> None:
        if not self.exists:
            DeltaTable.create(
                self.uri,
                rows.limit(0).to_arrow_table().schema,
                mode="ignore",
                partition_by=list(self.partition_by),
                configuration=CONFIGURATION,
                storage_options=dict(self.lake.storage_options),
            )


def _arrow_schema(delta: DeltaTable) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(delta.schema().to_arrow())
