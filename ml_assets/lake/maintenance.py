"""Maintenance of the lake: small files made few, old ones removed, and what somebody still needs kept.

A version of a table is kept if a registered model names it, directly or through the tables it was made from,
or if it was in force within the last six months. The log of commits is kept whole: it is small, and it is how
everything else knows what has been read and built.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from ml_assets.lake.table import Lake, LakeError, Table

KEPT = timedelta(days=182)
"""How long every version stays readable, whoever needs it."""
SMALL_FILES = 4
"""A partition with more files than this is compacted."""
Versions = Mapping[str, Collection[int]]
"""Table name -> versions."""


@dataclass(frozen=True)
class Maintained:
    """What was done to one table. Files and bytes are those of the Parquet files in the table's folder."""

    table: str
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    files_removed: int
    kept: tuple[int, ...]
    note: str = ""


def tables(lake: Lake) -> list[Table]:
    """Every table of a lake in a folder, by name; of an object store, LakeError."""
    if "://" in lake.root:
        raise LakeError(
            f"The tables of {lake.root} can't be listed here; maintain a lake in an object store by its own tools."
        )
    root = Path(lake.root)
    found = sorted(log.parent.relative_to(root).as_posix() for log in root.glob("*/*/_delta_log"))
    return [Table(lake, name, ()) for name in found if Table(lake, name, ()).exists]


def needed(lake: Lake, named: Versions) -> dict[str, set[int]]:
    """The versions ``named``, and those they were made from, as their commits say, back to raw."""
    kept: dict[str, set[int]] = {}
    waiting = [(table, version) for table, versions in named.items() for version in versions]
    commits: dict[str, dict[int, Mapping[str, str]]] = {}
    while waiting:
        name, version = waiting.pop()
        if version in kept.setdefault(name, set()):
            continue
        kept[name].add(version)
        if name not in commits:
            commits[name] = {c.version: c.metadata for c in Table(lake, name, ()).history()}
        inputs = json.loads(commits[name].get(version, {}).get("inputs", "{}"))
        waiting += [(table, int(number)) for table, number in inputs.items()]
    return kept


def maintain(table: Table, keep: Collection[int], keep_for: timedelta = KEPT) -> Maintained:
    """Compact a table and remove the files that no kept version needs.

    A writer that commits meanwhile goes first: a compaction that meets one is left to the next time. Files
    younger than ``keep_for`` stay, so that nothing a writer is about to commit is touched. Raises LakeError if
    a version to keep can't be read afterwards.
    """
    before = _files(table)
    note = ""
    delta = _open(table)
    try:
        for partition in _crowded(delta):
            delta.optimize.compact(partition_filters=[(name, "=", value) for name, value in partition])
    except CommitFailedError:
        note = "a writer was busy; compacted next time"
    delta = _open(table)
    kept = sorted({version for version in keep if version <= delta.version()} | {delta.version()})
    removed = delta.vacuum(
        retention_hours=int(keep_for.total_seconds() // 3600),
        dry_run=False,
        enforce_retention_duration=False,
        full=True,
        keep_versions=kept,
    )
    lost = [version for version in kept if not readable(table, version)]
    if lost:
        raise LakeError(
            f"Table {table.name}: versions {', '.join(map(str, lost))} are needed and can't be read any more. Restore "
            "the table's folder from a backup, and don't vacuum it by other means than this."
        )
    after = _files(table)
    return Maintained(
        table=table.name,
        files_before=len(before),
        files_after=len(after),
        bytes_before=sum(before.values()),
        bytes_after=sum(after.values()),
        files_removed=len(removed),
        kept=tuple(kept),
        note=note,
    )


def expire(table: Table, before: date, why: str) -> int:
    """Delete the days of a table before a date; returns the number of rows. Older versions still have them.

    The commit names no days, since nothing is to be built again for it.
    """
    if not table.exists:
        return 0
    delta = _open(table)
    lead = delta.metadata().partition_columns[0]
    done = delta.delete(
        f"{lead} < '{before.isoformat()}'",
        commit_properties=CommitProperties(custom_metadata={"why": why, "before": before.isoformat()}),
    )
    return int(done.get("num_deleted_rows") or 0)


def readable(table: Table, version: int) -> bool:
    """Whether a version opens and all its files are there."""
    try:
        delta = DeltaTable(table.uri, version=version, storage_options=dict(table.lake.storage_options))
    except (DeltaError, OSError):
        return False
    depth = len(delta.metadata().partition_columns) + 1
    files = ("/".join([table.uri, *uri.split("/")[-depth:]]) for uri in delta.file_uris())
    return all(Path(file).is_file() for file in files)


def _open(table: Table) -> DeltaTable:
    delta = table._open()
    if delta is None:
        raise LakeError(f"Table {table.name} doesn't exist in {table.lake.root}.")
    return delta


def _files(table: Table) -> dict[Path, int]:
    folder = Path(table.uri)
    return {path: path.stat().st_size for path in folder.rglob("*.parquet") if "_delta_log" not in path.parts}


def _crowded(delta: DeltaTable) -> list[tuple[tuple[str, str], ...]]:
    names = delta.metadata().partition_columns
    counts: dict[tuple[tuple[str, str], ...], int] = {}
    for uri in delta.file_uris():
        values = dict(part.split("=", 1) for part in uri.split("/")[:-1] if "=" in part)
        partition = tuple((name, values[name]) for name in names)
        counts[partition] = counts.get(partition, 0) + 1
    return [partition for partition, number in counts.items() if number > SMALL_FILES]
