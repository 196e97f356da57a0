"""Delta Lake tables read and written through DuckDB: the only storage of the project."""

from ml_assets.lake.commit import Commit
from ml_assets.lake.days import Between, Slot, as_ranges, days
from ml_assets.lake.engine import (
    confined,
    connect,
    content_hash,
    count,
    create_like,
    hand_over,
    interrupted_after,
    on_disk,
    pin,
    records,
    seal,
)
from ml_assets.lake.errors import LakeError
from ml_assets.lake.marks import Mark, Marks
from ml_assets.lake.provenance import Provenance
from ml_assets.lake.stale import Slots, redefined_slots, stale_days
from ml_assets.lake.table import Lake, Table

__all__ = [
    "Between",
    "Commit",
    "Lake",
    "LakeError",
    "Mark",
    "Marks",
    "Provenance",
    "Slot",
    "Slots",
    "Table",
    "as_ranges",
    "confined",
    "connect",
    "content_hash",
    "count",
    "create_like",
    "days",
    "hand_over",
    "interrupted_after",
    "on_disk",
    "pin",
    "records",
    "redefined_slots",
    "seal",
    "stale_days",
]
