"""Maintenance of the lake: small files made few, old ones removed, and what somebody still needs kept.

A version of a table is kept if a registered model names it, directly or through the tables it was made from,
or if it was in force within the last six months. The log of commits is kept whole: it is small, and it is how
everything else knows what has been read and built.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from ml_assets.lake.errors import LakeError
from ml_assets.lake.marks import BEFORE
from ml_assets.lake.provenance import Provenance
from ml_assets.lake.table import Lake, Table

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

KEPT = timedelta(days=182)
"""How long every version stays readable, whoever needs it."""
SMALL_FILES = 4
"""A partition with more files than this is compacted."""
CHECKPOINTS = 2
"""How many checkpoints stay. Each lists all files of the table, so that all together grow with the square of its age."""
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
    """Every table of a lake, by name, in a folder or an object store. OSError if it can't be listed."""
    from pyarrow.fs import FileType

    store = _store(lake, lake.root)
    names = [table for folder in _folders(store, "") for table in _folders(store, folder)]
    logs = store.get_file_info([f"{name}/_delta_log" for name in names])
    found = sorted(name for name, log in zip(names, logs, strict=True) if log.type is FileType.Directory)
    return [Table(lake, name, ()) for name in found if Table(lake, name, ()).exists]


def owners(lake: Lake, table: str) -> list[str]:
    """The folders of a lake that have a table of this name: ``lapse`` has ``promotions``. OSError if it can't be listed."""
    from pyarrow.fs import FileType

    store = _store(lake, lake.root)
    folders = _folders(store, "")
    logs = store.get_file_info([f"{folder}/{table}/_delta_log" for folder in folders])
    return sorted(f for f, log in zip(folders, logs, strict=True) if log.type is FileType.Directory)


def needed(lake: Lake, named: Versions) -> dict[str, set[int]]:
    """The versions ``named``, and those they were made from, as their commits say, back to raw."""
    kept: dict[str, set[int]] = {}
    waiting = [(table, version) for table, versions in named.items() for version in versions]
    inputs: dict[str, dict[int, Mapping[str, int]]] = {}
    while waiting:
        name, version = waiting.pop()
        if version in kept.setdefault(name, set()):
            continue
        kept[name].add(version)
        if name not in inputs:
            inputs[name] = {commit.version: commit.inputs for commit in Table(lake, name, ()).history()}
        waiting += inputs[name].get(version, {}).items()
    return kept


def maintain(table: Table, keep: Collection[int], keep_for: timedelta = KEPT) -> Maintained:
    """Compact a table and remove the files that no kept version needs, and all checkpoints but the newest.

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
    gone = lost(table, kept)
    if gone:
        raise LakeError(
            f"Table {table.name}: versions {', '.join(map(str, gone))} are needed and can't be read any more. Restore "
            "the table's folder from a backup, and don't vacuum it by other means than this."
        )
    _drop_checkpoints(table)
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


def _drop_checkpoints(table: Table) -> None:
    """Keep the newest: they only spare reading commits, which are all kept, so every version still opens."""
    from pyarrow.fs import FileSelector

    store = _store(table.lake, table.uri)
    found = store.get_file_info(FileSelector("_delta_log", allow_not_found=True))
    checkpoints = sorted(info.path for info in found if info.path.endswith(".checkpoint.parquet"))
    for path in checkpoints[:-CHECKPOINTS]:
        store.delete_file(path)


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
        commit_properties=CommitProperties(
            custom_metadata=Provenance(facts={"why": why, BEFORE: before.isoformat()}).as_metadata()
        ),
    )
    return int(done.get("num_deleted_rows") or 0)


def drop(table: Table) -> None:
    """Remove a table, with all its versions."""
    _store(table.lake, table.lake.root).delete_dir(table.name)


def expired_before(table: Table) -> date | None:
    """The day that ``expire`` has kept the table from, by its commits; None if nothing has ever been deleted."""
    said = (commit.provenance.facts.get("before") for commit in table.history())
    return max((date.fromisoformat(before) for before in said if before), default=None)


def lost(table: Table, versions: Collection[int]) -> list[int]:
    """The versions that don't open, or of which a file is gone. OSError if the table's place can't be listed."""
    there = _files(table)
    return [version for version in sorted(versions) if not _whole(table, version, there)]


def _whole(table: Table, version: int, there: Collection[str]) -> bool:
    try:
        delta = DeltaTable(table.uri, version=version, storage_options=dict(table.lake.storage_options))
    except (DeltaError, OSError):
        return False
    depth = len(delta.metadata().partition_columns) + 1
    return all("/".join(uri.split("/")[-depth:]) in there for uri in delta.file_uris())


def _open(table: Table) -> DeltaTable:
    delta = table.location.open()
    if delta is None:
        raise LakeError(f"Table {table.name} doesn't exist in {table.lake.root}.")
    return delta


def _store(lake: Lake, root: str) -> "FileSystem":
    """What there is below a place: a folder, or an object store as delta-rs sees it, by the lake's credentials."""
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import LocalFileSystem, PyFileSystem, SubTreeFileSystem

    if "://" not in root:
        return SubTreeFileSystem(str(Path(root).absolute()), LocalFileSystem())
    return PyFileSystem(DeltaStorageHandler(root, dict(lake.storage_options)))


def _folders(store: "FileSystem", below: str) -> list[str]:
    from pyarrow.fs import FileSelector, FileType

    found = store.get_file_info(FileSelector(below, allow_not_found=True))
    return [str(info.path) for info in found if info.type is FileType.Directory]


def _files(table: Table) -> dict[str, int]:
    """The sizes of the data files in a table's place, by their path there, whatever version needs them."""
    from pyarrow.fs import FileSelector

    found = _store(table.lake, table.uri).get_file_info(
        FileSelector("", recursive=True, allow_not_found=True)
    )
    return {
        info.path: info.size
        for info in found
        if info.path.endswith(".parquet") and not info.path.startswith("_delta_log/")
    }


def _crowded(delta: DeltaTable) -> list[tuple[tuple[str, str], ...]]:
    names = delta.metadata().partition_columns
    counts: dict[tuple[tuple[str, str], ...], int] = {}
    for uri in delta.file_uris():
        values = dict(part.split("=", 1) for part in uri.split("/")[:-1] if "=" in part)
        partition = tuple((name, values[name]) for name in names)
        counts[partition] = counts.get(partition, 0) + 1
    return [partition for partition, number in counts.items() if number > SMALL_FILES]
