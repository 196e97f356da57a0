"""A write is files plus a commit: rows become Parquet files of a table, and one commit makes them count.

``write_deltalake`` does both. deltalake's ``create_write_transaction``, which commits files that somebody else
wrote, lets two writers replace the same partition at once where it was empty before, and keeps the rows of both
(seen with 1.6.6): here the second is refused, and tries again.
"""

import errno
import os
import re
import time
from collections.abc import Mapping
from typing import Any

import duckdb
from deltalake import CommitProperties, DeltaTable, Schema, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from ml_assets.lake.errors import LakeError, Overtaken, plain
from ml_assets.lake.location import Location

CONFIGURATION = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
}
ATTEMPTS = 8
WHOLE = {"byte", "short", "integer", "long"}
CUT_BY = {
    "double": {*WHOLE, "float", "boolean", "string"},
    "float": {*WHOLE, "boolean", "string"},
    **{kind: {"boolean", "string"} for kind in WHOLE},
    "string": {*WHOLE, "float", "double", "boolean", "date", "timestamp", "timestamp_ntz"},
    "timestamp": {"date", "string"},
    "timestamp_ntz": {"date", "string"},
}
"""A type of rows -> the stored types that can't hold it as it is."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def write(
    at: Location,
    rows: duckdb.DuckDBPyRelation,
    said: Mapping[str, str],
    *,
    instead_of: str | None,
    after: int | None = None,
) -> int:
    """Write rows into files, and commit them with what is ``said`` of them; return the version.

    They come ``instead_of`` the rows that fulfil this condition on partition columns, or beside all others.
    Where the commit must come right ``after`` a version, Overtaken is raised if there is a newer one by then; else
    it is tried again on the newest. Raises LakeError, and nothing is committed, where a row doesn't fulfil the
    condition or the disk refuses.
    """
    how = {"mode": "append"} if instead_of is None else {"mode": "overwrite", "predicate": instead_of}
    try:
        _create(at, rows)
        if after is not None:
            return _commit_after(at, after, rows, said, how)
        return _commit(at, rows, said, how)
    except (DeltaError, OSError) as error:
        cause = _cause(error)
        if cause is None:
            raise
        raise LakeError(
            f"Table {at.name}: can't write to {at.uri}: {cause}, and run it again. Nothing was committed, "
            f"the table is as it was. ({plain(error)})"
        ) from error


def rewrite(at: Location, rows: duckdb.DuckDBPyRelation, said: Mapping[str, str], after: int) -> int:
    """Make rows, with their types, the whole table, in the commit right after a version. Raises Overtaken."""
    return _commit_after(at, after, rows, said, {"mode": "overwrite", "schema_mode": "overwrite"})


def _create(at: Location, rows: duckdb.DuckDBPyRelation) -> None:
    if at.open() is not None:
        return
    try:
        DeltaTable.create(
            at.uri,
            rows.limit(0).to_arrow_table().schema,
            mode="ignore",
            partition_by=list(at.partition_by),
            configuration=CONFIGURATION,
            storage_options=dict(at.storage_options),
            commit_properties=CommitProperties(max_commit_retries=0),
        )
    except CommitFailedError:
        if at.open() is None:
            raise


def _commit(
    at: Location, rows: duckdb.DuckDBPyRelation, said: Mapping[str, str], how: Mapping[str, Any]
) -> int:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _put(at.opened(), rows, CommitProperties(custom_metadata=dict(said)), how)
        except CommitFailedError as conflict:
            if attempt == ATTEMPTS:
                raise LakeError(
                    f"Table {at.name}: {ATTEMPTS} attempts to commit met another writer of the same "
                    f"partitions. Nothing was written; run it again once that writer has ended. ({conflict})"
                ) from conflict
            time.sleep(0.05 * 2**attempt)
        except DeltaError as refused:
            if "failed validation check" not in str(refused):
                raise
            raise LakeError(
                f"Table {at.name}: rows lie outside the partitions they are to replace, which are "
                f"{at.partition_by[0]} from {said['first']} to {said['last']}. Nothing was written; "
                f"mend the query or the range. ({refused})"
            ) from refused
    raise AssertionError("unreachable")


def _commit_after(
    at: Location,
    version: int,
    rows: duckdb.DuckDBPyRelation,
    said: Mapping[str, str],
    how: Mapping[str, Any],
) -> int:
    try:
        properties = CommitProperties(custom_metadata=dict(said), max_commit_retries=0)
        return _put(at.opened(version), rows, properties, how)
    except CommitFailedError as conflict:
        raise Overtaken(
            f"Table {at.name} has moved on from version {version}, which these rows were worked out from, to "
            f"{at.version}. Nothing was written; read it again and decide anew. ({conflict})"
        ) from conflict


def _put(
    delta: DeltaTable, rows: duckdb.DuckDBPyRelation, properties: CommitProperties, how: Mapping[str, Any]
) -> int:
    """Stream the rows into one commit on the table as it was opened; return the version."""
    how = {"schema_mode": "merge", **how}
    if how["schema_mode"] == "merge":
        _fits(delta, rows)
    write_deltalake(delta, rows.to_arrow_reader(122_880), commit_properties=properties, **how)
    return delta.version()


def _fits(delta: DeltaTable, rows: duckdb.DuckDBPyRelation) -> None:
    """Raise LakeError where a column would be cast to a stored type that cuts its values, as delta-rs does silently."""
    stored = {field.name: str(getattr(field.type, "type", "")) for field in delta.schema().fields}
    given = Schema.from_arrow(rows.limit(0).to_arrow_table().schema)
    for field in given.fields:
        kind = str(getattr(field.type, "type", ""))
        if stored.get(field.name) in CUT_BY.get(kind, ()):
            raise LakeError(
                f"Table at {delta.table_uri}: column {field.name} is stored as {stored[field.name]}, and the rows have "
                f"{kind}, which would be cut to it. Nothing was written; give the column its earlier type, or another name."
            )


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
