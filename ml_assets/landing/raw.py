"""From landing to raw: an immutable copy of every version of every landing file, and a log of what came.

The tables: ``raw`` holds the rows of accepted file versions, one partition per day and content hash;
``files`` is the append-only log of every version that was seen, accepted or refused; ``refused`` keeps
the bytes of refused versions, so that nothing is lost when a producer overwrites a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import duckdb

from ml_assets.contracts import Contract
from ml_assets.lake import Between, Lake, Table, records
from ml_assets.landing.files import LandingFile, LandingFolder, content_hash
from ml_assets.landing.reading import Refusal, read

FILES_COLUMNS = {
    "landing_date": "DATE",
    "content_hash": "VARCHAR",
    "file": "VARCHAR",
    "size": "BIGINT",
    "rows": "BIGINT",
    "status": "VARCHAR",
    "reason": "VARCHAR",
    "seen_at": "TIMESTAMPTZ",
    "month": "DATE",
}
REFUSED_COLUMNS = {
    "content_hash": "VARCHAR",
    "file": "VARCHAR",
    "content": "BLOB",
    "month": "DATE",
}


@dataclass(frozen=True)
class SourceTables:
    """The tables of one source."""

    raw: Table
    files: Table
    refused: Table
    events: Table
    quarantine: Table

    @classmethod
    def of(cls, lake: Lake, source: str) -> "SourceTables":
        """The tables of the source of that name."""
        return cls(
            raw=lake.table(f"{source}/raw", "landing_date", "content_hash"),
            files=lake.table(f"{source}/files", "month"),
            refused=lake.table(f"{source}/refused_files", "month"),
            events=lake.table(f"{source}/events", "event_date"),
            quarantine=lake.table(f"{source}/quarantine", "landing_date"),
        )


@dataclass(frozen=True)
class Landed:
    """What one look at the landing folder did."""

    accepted: Mapping[date, int]
    """Rows by day, of file versions that were new and are in raw now."""
    unchanged: tuple[date, ...]
    refused: tuple[Refusal, ...]
    absent: tuple[date, ...]
    """Days of the range without a file."""


@dataclass(frozen=True)
class Seen:
    """The newest versions of a day's file on record."""

    accepted: str | None
    """Content hash of the version in force, if any."""
    last: str
    """Content hash of the version seen last, accepted or not."""
    reason: str | None
    """Why the version seen last was refused, or None."""
    file: str
    versions: int


def seen_files(con: duckdb.DuckDBPyConnection, files: Table) -> dict[date, Seen]:
    """The state of every day on record; empty before anything has landed."""
    if not files.exists:
        return {}
    files.read(con).create_view("seen_log", replace=True)
    rows = con.sql(
        "SELECT landing_date, arg_max(content_hash, seen_at) FILTER (WHERE status = 'accepted'), "
        "arg_max(content_hash, seen_at), arg_max(coalesce(reason, ''), seen_at), arg_max(file, seen_at), count(*) "
        "FROM seen_log GROUP BY landing_date ORDER BY landing_date"
    ).fetchall()
    return {
        day: Seen(accepted, last, reason or None, file, n) for day, accepted, last, reason, file, n in rows
    }


def landed_through(con: duckdb.DuckDBPyConnection, files: Table) -> date | None:
    """The last day of which a file was accepted, or None."""
    return max((day for day, seen in seen_files(con, files).items() if seen.accepted), default=None)


def land(
    con: duckdb.DuckDBPyConnection,
    tables: SourceTables,
    folder: LandingFolder,
    contract: Contract,
    between: Between,
    metadata: Mapping[str, str],
) -> Landed:
    """Copy the new and changed files of the days ``between`` into raw; log accepted and refused versions.

    Doing it again does nothing; killed half way, the next call finishes it. Raises NoLandingFiles if the
    folder holds no landing file at all.
    """
    found = {day: file for day, file in folder.files().items() if between[0] <= day <= between[1]}
    seen = seen_files(con, tables.files)
    hashes = {day: content_hash(file.path) for day, file in found.items()}
    new = [day for day, digest in hashes.items() if day not in seen or seen[day].accepted != digest]
    back_in_force = [day for day in found if day not in new and seen[day].last != hashes[day]]
    result = read(con, [(found[day], hashes[day]) for day in new], contract)
    accepted = result.counts
    if result.rows is not None and accepted:
        digests = ", ".join(f"'{hashes[day]}'" for day in accepted)
        tables.raw.replace(
            result.rows,
            between=(min(accepted), max(accepted)),
            also=f"content_hash IN ({digests})",
            metadata=metadata,
        )
    fresh = [r for r in result.refused if not _on_record(r, seen)]
    _keep_bytes(con, tables.refused, fresh)
    log = [
        *(_line(found[day], hashes[day], "accepted", rows, None) for day, rows in accepted.items()),
        *(_line(found[day], hashes[day], "accepted", None, None) for day in back_in_force),
        *(_line(r.file, r.content_hash, "refused", None, r.reason) for r in fresh),
    ]
    if log:
        tables.files.append(records(con, log, FILES_COLUMNS), metadata=metadata)
    absent = tuple(
        day
        for n in range((between[1] - between[0]).days + 1)
        if (day := date.fromordinal(between[0].toordinal() + n)) not in found
    )
    return Landed(accepted, tuple(day for day in found if day not in new), tuple(result.refused), absent)


def _on_record(refusal: Refusal, seen: Mapping[date, Seen]) -> bool:
    last = seen.get(refusal.file.date)
    return last is not None and (last.last, last.reason) == (refusal.content_hash, refusal.reason)


def _line(
    file: LandingFile, digest: str, status: str, rows: int | None, reason: str | None
) -> dict[str, object]:
    now = datetime.now(tz=UTC)
    return {
        "landing_date": file.date,
        "content_hash": digest,
        "file": file.path.name,
        "size": file.size,
        "rows": rows,
        "status": status,
        "reason": reason,
        "seen_at": now,
        "month": file.date.replace(day=1),
    }


def _keep_bytes(con: duckdb.DuckDBPyConnection, refused: Table, refusals: Sequence[Refusal]) -> None:
    rows = [
        {
            "content_hash": refusal.content_hash,
            "file": refusal.file.path.name,
            "content": refusal.file.path.read_bytes(),
            "month": refusal.file.date.replace(day=1),
        }
        for refusal in refusals
    ]
    if rows:
        refused.append(records(con, rows, REFUSED_COLUMNS), metadata={})


def rows_in_force(
    con: duckdb.DuckDBPyConnection, tables: SourceTables, between: Between
) -> duckdb.DuckDBPyRelation:
    """The rows of raw that count: of each day, those of the version in force."""
    tables.raw.read(con, between=between).create_view("all_raw", replace=True)
    tables.files.read(con).create_view("seen_log", replace=True)
    return con.sql(
        "SELECT all_raw.* FROM all_raw SEMI JOIN (SELECT landing_date, arg_max(content_hash, seen_at) AS content_hash "
        "FROM seen_log WHERE status = 'accepted' GROUP BY landing_date) AS in_force "
        "ON all_raw.landing_date = in_force.landing_date AND all_raw.content_hash = in_force.content_hash"
    )
