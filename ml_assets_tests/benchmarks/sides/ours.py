"""Our side: tables of events and tiles in a lake, and what the project makes of them."""

from datetime import date
from pathlib import Path

from ml_assets.features import Entity, Feature, FeatureSet
from ml_assets.features.at import features_at
from ml_assets.features.store import write_snapshots, write_tiles
from ml_assets.lake import Lake, Table, connect
from ml_assets_tests.benchmarks.sides.duckdb_raw import SNAPSHOT_DAY

SOURCE = "shop"
COLUMNS = {
    "entity": "BIGINT",
    "amount": "DECIMAL(10,2)",
    "occurred_at": "TIMESTAMPTZ",
    "available_at": "TIMESTAMPTZ",
    "event_date": "DATE",
}
FEATURES = FeatureSet(
    Entity("entity"),
    (
        Feature(name="n", count="*", windows=("7d", "28d")),
        Feature(name="s", sum="amount", windows=("7d", "28d")),
    ),
    {SOURCE: COLUMNS},
)
FIRST, LAST = date(2023, 1, 1), date(2024, 1, 5)
REACH = {SOURCE: 4}
"""Days between an event and its availability, at most."""
ALL_BEFORE = (-36_500, -1)


def tables(folder: Path) -> None:
    """The tables once: events, and the tiles of all days."""
    events, tiles = _tables(folder)
    with connect() as con:
        rows = con.read_parquet(f"{folder}/events.parquet")
        events.replace(rows, between=(FIRST, LAST), metadata={})
        write_tiles(con, FEATURES, {SOURCE: events}, tiles, (FIRST, LAST), REACH, {})


def snapshot(folder: Path, out: Path) -> None:
    """All entities at 00:00 UTC of one day, from tiles, into a table ``out``."""
    _, tiles = _tables(folder)
    table = Lake(str(out.parent)).table(out.name, "as_of")
    with connect() as con:
        write_snapshots(con, FEATURES, tiles, table, (SNAPSHOT_DAY, SNAPSHOT_DAY), ALL_BEFORE, {})


def spine(folder: Path, out: Path) -> None:
    """The features of every row of the spine."""
    events, tiles = _tables(folder)
    with connect() as con:
        rows = con.read_parquet(f"{folder}/spine.parquet")
        found = features_at(con, FEATURES, rows, events={SOURCE: events}, tiles=tiles, reach=REACH)
        found.write_parquet(str(out))


def _tables(folder: Path) -> tuple[Table, Table]:
    lake = Lake(f"{folder}/lake")
    return lake.table("bench/events", "event_date"), lake.table("bench/tiles", "available_date")
