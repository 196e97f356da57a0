"""Tables of the lake: read a version and a range of partitions, replace a range in one commit.

A table is a Delta Lake table below the lake's root, partitioned by one leading column (a date) and, for
some, by more. Writes go by column name. A write replaces exactly its partitions or nothing: readers see
the table before it or after it, whatever is killed when.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import duckdb

from ml_assets.lake.commit import ADOPTS, RETYPED, Commit, history, span
from ml_assets.lake.days import Between, days
from ml_assets.lake.definition import Definitions, redefined
from ml_assets.lake.engine import digests
from ml_assets.lake.errors import Damaged, LakeError
from ml_assets.lake.location import Location
from ml_assets.lake.marks import Marks, marks_of
from ml_assets.lake.provenance import Provenance
from ml_assets.lake.scan import retyped, scan
from ml_assets.lake.sql import quote
from ml_assets.lake.write import rewrite, write


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
        return self.location.uri

    @property
    def location(self) -> Location:
        """The same, to be opened."""
        uri = f"{self.lake.root.rstrip('/')}/{self.name}"
        return Location(self.name, uri, self.partition_by, self.lake.storage_options)

    @property
    def exists(self) -> bool:
        """Whether anything has been written."""
        return self.location.open() is not None

    @property
    def version(self) -> int | None:
        """The newest version, or None before the first write."""
        return self.location.version

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
        delta = self.location.opened(version)
        source = scan(con, self.location, delta, between)
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
        after: int | None = None,
    ) -> int:
        lead, (first, last) = self.partition_by[0], between
        predicate = f"{lead} >= '{first.isoformat()}' AND {lead} <= '{last.isoformat()}'"
        if leaving:
            predicate += f" AND {lead} NOT IN ({', '.join(repr(day.isoformat()) for day in leaving)})"
        if also:
            predicate += f" AND {also}"
        commit = {**said, **span(set(days(*between)) - set(leaving), between)}
        return write(self.location, rows, commit, instead_of=predicate, after=after)

    def update(
        self,
        con: duckdb.DuckDBPyConnection,
        rows: duckdb.DuckDBPyRelation,
        *,
        between: Between,
        provenance: Provenance,
        withhold: Collection[date] = (),
        after: int | None = None,
    ) -> set[date]:
        """Like ``replace``, but partitions that hold exactly these rows already stay untouched, as do ``withhold``.

        What reads the table can so tell what has changed: returns the days that have. The commit is made even
        if none has: it says that the whole range has been looked at, and with which version it was ``compared``.
        Of days that differ in no other columns than those of another definition it says that. ``after`` is the
        version that some of the rows were copied from: raises Overtaken, and writes nothing, if there is a newer one.
        """
        compared = self.version
        same = self.unchanged(con, rows, between) | set(withhold)
        in_part = self._in_part(con, rows, between, same, provenance.definitions)
        listed = ", ".join(f"DATE '{day}'" for day in sorted(same))
        others = rows.filter(f"{quote(self.partition_by[0])} NOT IN ({listed})") if same else rows
        seen = {
            "compared": str(-1 if compared is None else compared),
            "redefined": " ".join(map(str, sorted(in_part))),
        }
        self._overwrite(others, between, same, "", provenance.as_metadata() | seen, after)
        return set(days(*between)) - same

    def _in_part(
        self,
        con: duckdb.DuckDBPyConnection,
        rows: duckdb.DuckDBPyRelation,
        between: Between,
        same: Collection[date],
        declared: Definitions,
    ) -> set[date]:
        """The days ``between``, without the ``same``, whose rows are equal in every column of the same definition."""
        if not declared or not self.exists:
            return set()
        marks, found = self.marks(), set[date]()
        others: dict[frozenset[str], set[date]] = {}
        for day in set(days(*between)) - set(same):
            if day in marks and marks[day].changed is not None:
                others.setdefault(redefined(marks[day].definitions, declared), set()).add(day)
        for columns, wanted in others.items():
            kept = [column for column in rows.columns if column not in columns]
            if len(kept) < len(rows.columns):
                ends = (min(wanted), max(wanted))
                found |= wanted & self.unchanged(con, rows.select(*map(quote, kept)), ends)
        return found

    def adopt(self, con: duckdb.DuckDBPyConnection, provenance: Provenance) -> None:
        """Say of the slots that record no definitions that they follow these, in a commit that changes no row."""
        some = next(iter(self.marks()))
        none = self.read(con, between=(some, some)).limit(0)
        write(self.location, none, provenance.as_metadata() | {ADOPTS: "true"}, instead_of=None)

    def retype(
        self,
        con: duckdb.DuckDBPyConnection,
        types: Mapping[str, str],
        provenance: Provenance,
        definitions: Mapping[str, str] | None = None,
    ) -> None:
        """Give the columns that are stored as another type than these DuckDB types the new one, in one commit.

        Without it a write would cast what is new to what is stored, and cut its digits off. What can't be cast
        becomes NULL. So the commit says that no slot follows the definition of such a column any more, and all are due,
        also if the column gets its earlier type again. ``definitions`` names that of a column that has another name.
        """
        delta = self.location.open()
        if delta is None:
            return
        others = retyped(con, delta, types)
        if others:
            rows = self.read(con, version=delta.version())
            listed = [f"{others.get(name, quote(name))} AS {quote(name)}" for name in rows.columns]
            names = sorted({(definitions or {}).get(column, column) for column in others})
            said = provenance.as_metadata() | {RETYPED: "\n".join(names)}
            rewrite(self.location, rows.select(", ".join(listed)), said, delta.version())

    def unchanged(
        self, con: duckdb.DuckDBPyConnection, rows: duckdb.DuckDBPyRelation, between: Between
    ) -> set[date]:
        """The partitions ``between`` that hold exactly ``rows`` already, by a digest of all rows of a day.

        A partition that is empty on both sides is unchanged if it was written before: that it is empty is a fact
        only then, and not while it was left as it was. ``rows`` is read once; every column of it counts, in any order
        of rows. A table that lacks one of them is all changed, as are partitions of which a file is lost or damaged:
        building them again is what mends them.
        """
        if not self.exists:
            return set()
        wanted = digests(rows, rows.columns, self.partition_by[0])
        try:
            stored = self.read(con, between=between)
            if not set(rows.columns) <= set(stored.columns):
                return set()
            found = digests(stored, rows.columns, self.partition_by[0])
        except (Damaged, duckdb.Error):
            return set()
        same = {day for day in days(*between) if wanted.get(day) == found.get(day)}
        empty = same - set(found)
        if empty:
            same -= empty - {day for day, mark in self.marks().items() if mark.changed is not None}
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
        return write(self.location, rows, commit, instead_of=None, after=after)

    def counts(self, between: Between | None = None) -> dict[tuple[Any, ...], int]:
        """How many rows each partition has: the values of the partition columns -> rows; empty before the first write.

        Taken from what the log says of each file, without reading one.
        """
        return self._by_partition("num_records", between)

    def sizes(self, between: Between | None = None) -> dict[tuple[Any, ...], int]:
        """How many bytes the files of each partition have, as ``counts``."""
        return self._by_partition("size_bytes", between)

    def _by_partition(self, what: str, between: Between | None) -> dict[tuple[Any, ...], int]:
        delta = self.location.open()
        if delta is None:
            return {}
        files = delta.get_add_actions(flatten=True)
        values = (files.column(f"partition.{name}").to_pylist() for name in self.partition_by)
        found: dict[tuple[Any, ...], int] = {}
        for *partition, number in zip(*values, files.column(what).to_pylist(), strict=True):
            if between is None or between[0] <= partition[0] <= between[1]:
                found[tuple(partition)] = found.get(tuple(partition), 0) + number
        return found

    def history(self, limit: int | None = None) -> list[Commit]:
        """The commits, newest first; empty before the first write."""
        delta = self.location.open()
        return [] if delta is None else history(delta, limit)

    def marks(self, version: int | None = None, **said: str) -> Marks:
        """What the commits say of every slot, up to a version (default: the newest); empty before the first write.

        Only of the commits whose provenance has the facts ``said``: a model's version, for example.
        """
        delta = self.location.open()
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
