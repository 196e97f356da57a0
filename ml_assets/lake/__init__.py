"""Delta Lake tables read and written through DuckDB: the only storage of the project."""

from ml_assets.lake.engine import connect, content_hash, count, pin, records
from ml_assets.lake.table import Between, Commit, Lake, LakeError, Table

__all__ = [
    "Between",
    "Commit",
    "Lake",
    "LakeError",
    "Table",
    "connect",
    "content_hash",
    "count",
    "pin",
    "records",
]
