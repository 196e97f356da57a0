"""From landing to raw: an immutable copy of every version of every landing file, and a log of what came.

The tables: ``raw`` holds the rows of accepted file versions, one partition per day and content hash;
``files`` is the append-only log of every version that was seen (accepted or refused) and of files that went
(deleted); ``refused`` keeps the bytes of refused versions, so that nothing is lost when a producer
overwrites a file. A file that goes takes no row with it: to take a day back, a producer lands a file
without rows.

What is newer is decided by ``sequence``, which each commit of ``files`` counts up from what it has read; clocks of
machines may differ or be set back. Rows of before it was kept have none, come first, and are in the order of their
``seen_at``.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from ml_assets.contracts import Contract
from ml_assets.contracts.contract import SEEN_AT
from ml_assets.instance import clock
from ml_assets.lake import Between, Provenance, Table, on_disk, records
from ml_assets.lake.errors import Overtaken
from ml_assets.lake.maintenance import expired_before
from ml_assets.lake.sql import text
from ml_assets.landing.pieces import Landing, LandingFile, by_day, content_hash
from ml_assets.landing.reading import RefusedFile, read
from ml_assets.landing.tables import FILES, REFUSED_FILES, SourceTables, raw_schema

LARGEST_KEPT = 256 * 2**20
"""Bytes of the largest refused file that is kept: it is held in memory as a whole."""
ENTRIES = 64
"""How often an entry in the log of files is tried while others make theirs."""


@dataclass(frozen=True)
class Landed:
    """What one look at the landing did."""

    accepted: Mapping[date, int]
    """Rows by day, of file versions that were new and are in raw now."""
    unchanged: tuple[date, ...]
    refused: tuple[RefusedFile, ...]
    deleted: tuple[date, ...]
    """Days whose file is gone since the last look."""
    absent: tuple[date, ...]
    """Days of the range without a file."""

    def became(self, day: date) -> str:
        """What became of the file of a day, in words."""
        refused = [
            f"{one.file.path.name} refused: {one.reason}" for one in self.refused if one.file.date == day
        ]
        if refused:
            return "; ".join(refused)
        of = {"accepted": self.accepted, "unchanged": self.unchanged, "deleted": self.deleted}
        return next((word for word, found in of.items() if day in found), "no file")


@dataclass(frozen=True)
class FileRecord:
    """What is on record of a day's file."""

    accepted: str | None
    """Content hash of the version in force, if any."""
    last: str
    """Content hash of the version seen last, accepted or not."""
    status: str
    """Of the version seen last: ``accepted``, ``refused``, or ``deleted`` since."""
    reason: str | None
    """Why the version seen last was refused, or None."""
    file: str
    versions: int
    contract: str
    """SHA-256 of the contract that the version seen last was read under."""

    def waits(self, contract: Contract) -> bool:
        """Whether the file was refused under another contract, and may be in order under this one."""
        return self.status == "refused" and self.contract != contract.sha256


def seen_files(
    con: duckdb.DuckDBPyConnection, files: Table, version: int | None = None
) -> dict[date, FileRecord]:
    """The state of every day on record, in a version of the log (default: the newest); empty before anything has landed."""
    if not files.exists:
        return {}
    _in_order(con, files, version)
    rows = con.sql(
        "SELECT landing_date, arg_max(content_hash, turn) FILTER (WHERE status = 'accepted'), "
        "arg_max(content_hash, turn), arg_max(status, turn), arg_max(coalesce(reason, ''), turn), "
        "arg_max(file, turn), count(*), arg_max(coalesce(contract, ''), turn) "
        "FROM seen_log GROUP BY landing_date ORDER BY landing_date"
    ).fetchall()
    return {
        day: FileRecord(accepted, last, status, reason or None, file, number, promise)
        for day, accepted, last, status, reason, file, number, promise in rows
    }


def _in_order(con: duckdb.DuckDBPyConnection, files: Table, version: int | None = None) -> None:
    """Create the view ``seen_log``: the log of files, each row with its ``turn`` in the order of acceptance."""
    files.read(con, version=version, lacking=FILES.types).create_view("all_seen", replace=True)
    con.sql(
        "SELECT *, row_number() OVER (ORDER BY sequence NULLS FIRST, seen_at) AS turn FROM all_seen"
    ).create_view("seen_log", replace=True)


@dataclass(frozen=True)
class Lost:
    """Rows of a landing day that aren't where they have to be."""

    day: date
    content_hash: str
    """The version of the day's file that they are of."""
    expected: int
    found: int

    def __str__(self) -> str:
        """In words."""
        return f"{self.day}: {self.found:,} rows, {self.expected:,} expected"


def lost_rows(
    con: duckdb.DuckDBPyConnection, tables: SourceTables, between: Between | None = None
) -> list[Lost]:
    """The accepted file versions of the days ``between`` (None: all) of which ``raw`` has other rows than were copied.

    Days beyond their retention aren't looked for, nor versions of whose rows the log of files doesn't tell.
    """
    if not tables.files.exists:
        return []
    _in_order(con, tables.files)
    copied = con.sql(
        "SELECT landing_date, content_hash, arg_max(rows, turn) FILTER (WHERE rows IS NOT NULL) AS rows "
        "FROM seen_log WHERE status = 'accepted' GROUP BY ALL HAVING rows IS NOT NULL ORDER BY ALL"
    ).fetchall()
    there = tables.raw.counts(between)
    lost = [
        Lost(day, digest, rows, found)
        for day, digest, rows in copied
        if between is None or between[0] <= day <= between[1]
        if (found := there.get((day, digest), 0)) != rows
    ]
    return not_expired(lost, tables.raw, 0)


def not_expired(lost: list[Lost], table: Table, late_days: int) -> list[Lost]:
    """Without what a table has been kept from since its days are beyond their retention."""
    before = expired_before(table) if lost else None
    return [one for one in lost if before is None or one.day - timedelta(days=late_days) >= before]


def landed_through(con: duckdb.DuckDBPyConnection, files: Table) -> date | None:
    """The last day of which a file was accepted, or None."""
    return max((day for day, seen in seen_files(con, files).items() if seen.accepted), default=None)


def land(
    con: duckdb.DuckDBPyConnection,
    tables: SourceTables,
    landing: Landing,
    contract: Contract,
    between: Between,
    provenance: Provenance,
) -> Landed:
    """Copy the new and changed files of the days ``between`` into raw; log what was accepted, refused, deleted.

    Doing it again does nothing; killed half way, the next call finishes it. A version whose rows ``raw`` has lost is
    copied again, if its file is still there. Raises NoLandingFiles if the landing holds no file at all, and
    LandingUnavailable if it can't be reached.
    """
    listed = {day: item for day, item in by_day(landing.listed()).items() if between[0] <= day <= between[1]}
    seen = seen_files(con, tables.files)
    deleted = tuple(
        day
        for day, record in seen.items()
        if between[0] <= day <= between[1] and day not in listed and record.status != "deleted"
    )
    with TemporaryDirectory(prefix="landing-") as scratch, on_disk(con) as database:
        found = {day: landing.fetch(item, Path(scratch)) for day, item in listed.items()}
        hashes = _hashes(found)
        lost = {(one.day, one.content_hash) for one in lost_rows(con, tables, between)}
        new = [
            day
            for day in found
            if day not in seen
            or day not in hashes
            or seen[day].accepted != hashes[day]
            or (day, hashes[day]) in lost
        ]
        back = [
            day
            for day in found
            if day not in new and (seen[day].last, seen[day].status) != (hashes[day], "accepted")
        ]
        files = [(found[day], hashes[day]) if day in hashes else found[day] for day in new]
        result = read(
            con, files, contract, delimiter=landing.delimiter, limits=landing.limits, database=database
        )
        accepted = result.counts
        if result.rows is not None:
            _copy(con, tables, result.rows, {day: hashes[day] for day in accepted}, provenance)
        fresh = [_as_it_is(r) for r in result.refused if not _on_record(r, seen, contract)]
        _keep_bytes(con, tables.refused, fresh)
    log = [
        *(_line(found[day], hashes[day], "accepted", rows, None) for day, rows in accepted.items()),
        *(_line(found[day], hashes[day], "accepted", None, None) for day in back),
        *(_line(r.file, r.content_hash, "refused", None, r.reason) for r in fresh),
        *(_line(LandingFile(d, Path(seen[d].file), 0), seen[d].last, "deleted", None, None) for d in deleted),
    ]
    log = [line | {"contract": contract.sha256} for line in log]
    if log and not _enter(con, tables.files, log, seen, provenance):
        return land(con, tables, landing, contract, between, provenance)
    absent = tuple(
        day
        for n in range((between[1] - between[0]).days + 1)
        if (day := date.fromordinal(between[0].toordinal() + n)) not in found
    )
    unchanged = tuple(day for day in found if day not in new)
    return Landed(accepted, unchanged, tuple(result.refused), deleted, absent)


def _enter(
    con: duckdb.DuckDBPyConnection,
    files: Table,
    log: Sequence[dict[str, Any]],
    seen: Mapping[date, FileRecord],
    provenance: Provenance,
) -> bool:
    """Enter lines in the log of files, behind all that is there; False if its days aren't as ``seen`` any more.

    Of writers at the same time one comes first; the others look again at what is on record then.
    """
    about = {line["landing_date"] for line in log}
    for attempt in range(1, ENTRIES + 1):
        version = files.version
        on_record = seen_files(con, files, version)
        if any(on_record.get(day) != seen.get(day) for day in about):
            return False
        turn = 1
        if version is not None:
            [(turn,)] = con.sql("SELECT coalesce(max(sequence), 0) + 1 FROM seen_log").fetchall()
        rows = records(con, [{**line, "sequence": turn} for line in log], FILES.types)
        try:
            files.append(rows, provenance=provenance, about=about, after=version or 0)
            return True
        except Overtaken:
            if attempt == ENTRIES:
                raise
    raise AssertionError("unreachable")


@dataclass
class _Batch:
    """File versions whose partitions one condition on days and hashes names, and no others on record."""

    versions: dict[date, str] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    """Hashes of other versions of the same days."""

    def takes(self, digest: str, others: set[str]) -> bool:
        return digest not in self.others and others.isdisjoint(self.versions.values())


def _copy(
    con: duckdb.DuckDBPyConnection,
    tables: SourceTables,
    rows: duckdb.DuckDBPyRelation,
    versions: Mapping[date, str],
    provenance: Provenance,
) -> None:
    """Make ``rows`` the content of these file versions in raw: in one commit, unless days share their content."""
    on_record: dict[date, set[str]] = {}
    if tables.files.exists:
        log = tables.files.read(con, columns=["landing_date", "content_hash"])
        for day, digest in log.distinct().fetchall():
            on_record.setdefault(day, set()).add(digest)
    batches: list[_Batch] = []
    for day, digest in versions.items():
        others = on_record.get(day, set()) - {digest}
        batch = next((batch for batch in batches if batch.takes(digest, others)), None)
        if batch is None:
            batches.append(batch := _Batch())
        batch.versions[day] = digest
        batch.others |= others
    for batch in batches:
        first, last = min(batch.versions), max(batch.versions)
        inside = [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]
        listed = ", ".join(f"DATE '{day}'" for day in batch.versions)
        digests = ", ".join(sorted({text(digest) for digest in batch.versions.values()}))
        tables.raw.replace(
            rows.filter(f"landing_date IN ({listed})"),
            between=(first, last),
            leaving=[day for day in inside if day not in batch.versions],
            also=f"content_hash IN ({digests})",
            provenance=provenance,
        )


def _hashes(found: Mapping[date, LandingFile]) -> dict[date, str]:
    """The content hashes of the files that can be read; the reader says why the others can't."""
    hashes = {}
    for day, file in found.items():
        with suppress(OSError):
            hashes[day] = content_hash(file.path)
    return hashes


def _on_record(refusal: RefusedFile, seen: Mapping[date, FileRecord], contract: Contract) -> bool:
    last = seen.get(refusal.file.date)
    known = last and (last.last, last.status, last.reason, last.contract)
    return known == (refusal.content_hash, "refused", refusal.reason, contract.sha256)


def _line(
    file: LandingFile, digest: str, status: str, rows: int | None, reason: str | None
) -> dict[str, Any]:
    return {
        "landing_date": file.date,
        "content_hash": digest,
        "file": file.path.name,
        "size": file.size,
        "rows": rows,
        "status": status,
        "reason": reason,
        "seen_at": clock.now(),
        "month": file.date.replace(day=1),
    }


def _as_it_is(refusal: RefusedFile) -> RefusedFile:
    """The refusal, without a content hash if the file isn't what was hashed any more: those bytes are gone."""
    with suppress(OSError):
        if content_hash(refusal.file.path) == refusal.content_hash:
            return refusal
    return replace(refusal, content_hash="")


def _keep_bytes(con: duckdb.DuckDBPyConnection, refused: Table, refusals: Sequence[RefusedFile]) -> None:
    """Keep the bytes of refused files, at most LARGEST_KEPT of them in memory at a time.

    Those that a run kept already which was killed before it logged them aren't kept again.
    """
    kept: set[tuple[str, str]] = set()
    if refusals and refused.exists:
        kept = set(refused.read(con, columns=["file", "content_hash"]).fetchall())
    rows: list[dict[str, Any]] = []
    for refusal in refusals:
        path = refusal.file.path
        identity = (path.name, refusal.content_hash)
        if not refusal.content_hash or identity in kept or path.stat().st_size > LARGEST_KEPT:
            continue
        if sum(len(row["content"]) for row in rows) + path.stat().st_size > LARGEST_KEPT:
            refused.append(records(con, rows, REFUSED_FILES.types), provenance=Provenance())
            rows = []
        rows.append(
            {
                "content_hash": refusal.content_hash,
                "file": path.name,
                "content": path.read_bytes(),
                "month": refusal.file.date.replace(day=1),
            }
        )
    if rows:
        refused.append(records(con, rows, REFUSED_FILES.types), provenance=Provenance())


def rows_in_force(
    con: duckdb.DuckDBPyConnection, tables: SourceTables, contract: Contract, between: Between
) -> duckdb.DuckDBPyRelation:
    """The rows of raw that count: of each day, those of the version in force, with when it was first seen.

    There are none where no file has been accepted yet. A column that the contract names and no file in raw has had
    yet is empty.
    """
    promised = contract.raw_schema(typed=False)
    if not tables.raw.exists:
        return records(con, [], raw_schema(contract, typed=False).types | SEEN_AT)
    tables.raw.read(con, between=between, lacking=promised).create_view("all_raw", replace=True)
    _in_order(con, tables.files)
    return con.sql(
        "WITH first_seen AS (SELECT landing_date, content_hash, arg_min(seen_at, turn) AS seen_at FROM seen_log "
        "WHERE status = 'accepted' GROUP BY ALL), "
        "in_force AS (SELECT landing_date, arg_max(content_hash, turn) AS content_hash FROM seen_log "
        "WHERE status = 'accepted' GROUP BY landing_date) "
        "SELECT all_raw.*, first_seen.seen_at FROM all_raw "
        "JOIN in_force USING (landing_date, content_hash) JOIN first_seen USING (landing_date, content_hash)"
    )
