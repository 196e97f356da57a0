"""Delta Lake tables read and written through DuckDB: the only storage of the project."""

from ml_assets.lake.days import Between, Slot, as_ranges, days
from ml_assets.lake.engine import connect, content_hash, count, pin, records
from ml_assets.lake.table import Commit, Lake, LakeError, Table

__all__ = [
    "Between",
    "Commit",
    "Lake",
    "LakeError",
    "Slot",
    "Table",
    "as_ranges",
    "connect",
    "content_hash",
    "count",
    "days",
    "pin",
    "records",
]
