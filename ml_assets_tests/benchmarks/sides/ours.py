"""Our side: tables of events and tiles in a lake, and what the project makes of them."""

from datetime import date
from pathlib import Path
from time import perf_counter

from ml_assets.features import Entity, Feature, FeatureSet
from ml_assets.features.queries.at import features_at
from ml_assets.features.queries.request import Requests
from ml_assets.features.store import write_snapshots, write_tiles
from ml_assets.lake import Between, Lake, Provenance, Table, connect, records
from ml_assets_tests.benchmarks.sides.duckdb_raw import MONTH, SNAPSHOT_DAY

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
REQUESTS_SINCE = date(2023, 10, 1)
ALL_BEFORE = (-36_500, -1)


def tables(folder: Path) -> None:
    """The tables once: events, and the tiles of all days."""
    events, tiles = _tables(folder)
    with connect() as con:
        rows = con.read_parquet(f"{folder}/events.parquet")
        events.replace(rows, between=(FIRST, LAST), provenance=Provenance())
        write_tiles(con, FEATURES, {SOURCE: events}, tiles, (FIRST, LAST), REACH, Provenance())


def snapshot(folder: Path, out: Path) -> None:
    """All entities at 00:00 UTC of one day, from tiles, into a table ``out``."""
    _snapshots(folder, out, (SNAPSHOT_DAY, SNAPSHOT_DAY))


def month(folder: Path, out: Path) -> None:
    """The same for every day of a month, in one go."""
    _snapshots(folder, out, (MONTH[0], MONTH[-1]))


def _snapshots(folder: Path, out: Path, between: Between) -> None:
    _, tiles = _tables(folder)
    table = Lake(str(out.parent)).table(out.name, "as_of")
    with connect() as con:
        write_snapshots(con, FEATURES, tiles, table, between, ALL_BEFORE, Provenance())


def spine(folder: Path, out: Path) -> None:
    """The features of every row of the spine."""
    events, tiles = _tables(folder)
    with connect() as con:
        rows = con.read_parquet(f"{folder}/spine.parquet")
        found = features_at(con, FEATURES, rows, events={SOURCE: events}, tiles=tiles, reach=REACH)
        found.write_parquet(str(out))


def requests(folder: Path, out: Path) -> None:
    """One entity at a time: the rows of the sample from ``REQUESTS_SINCE`` on, each with the seconds it took."""
    events, tiles = _tables(folder)
    with connect() as con, connect() as held:
        sample = con.execute(
            f"SELECT row, entity, as_of FROM '{folder}/sample.parquet' WHERE as_of >= DATE '{REQUESTS_SINCE}' ORDER BY row"
        ).fetchall()
        answers = Requests(
            held, FEATURES, events={SOURCE: events}, tiles=tiles, reach=REACH, since=REQUESTS_SINCE
        )
        rows = []
        for row, entity, as_of in sample:
            started = perf_counter()
            found = answers.of({"entity": entity}, as_of)
            rows.append({"row": row, "seconds": perf_counter() - started, **found})
        types = {"row": "BIGINT", "seconds": "DOUBLE"} | dict.fromkeys(FEATURES.columns, "DECIMAL(38, 6)")
        records(con, rows, types).write_parquet(str(out))


def _tables(folder: Path) -> tuple[Table, Table]:
    lake = Lake(f"{folder}/lake")
    return lake.table("bench/events", "event_date"), lake.table("bench/tiles", "available_date")
