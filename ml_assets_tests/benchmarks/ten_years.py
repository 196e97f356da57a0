"""Years of daily days: what a look at what is due costs, and what lies on the disk. Arguments are numbers of days.

Two tables in a lake, a row and a commit a day each. A look opens both and asks
which days are due, in a process that has looked before and in one that hasn't; it is a tick of a sensor without Dagster.
"""

import sys
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from deltalake import DeltaTable

from ml_assets.lake import Lake, Provenance, Table, connect, marks, stale_days
from ml_assets.lake.maintenance import maintain
from ml_assets.landing import Piece
from ml_assets.pipeline.due.listing import remember
from ml_assets.project.calendar import Calendar

DAYS = (365, 3_650)
FIRST = date(2014, 1, 1)
EVERYTHING = (-36_500, -1)
CHECKPOINT = 100
"""After how many commits delta-rs makes a checkpoint."""


def main(sizes: Sequence[int] = DAYS) -> None:
    """Write the days, look, and print a line a size."""
    print(
        "| days | look, first of a process, s | look again, s | which days are due alone, s | cursor of the landing, bytes "
        "| data files | data, MB | commits, MB | checkpoints, MB | after maintenance, MB | memory, MB |\n"
        f"|{'---:|' * 11}"
    )
    for size in sizes:
        with TemporaryDirectory() as folder:
            events, tiles = (Lake(folder).table(f"shop/{name}", "day") for name in ("events", "tiles"))
            _write(events, size)
            _write(tiles, size)
            _row(events, tiles, size)


def _write(table: Table, size: int) -> None:
    """A commit and a file a day: the first as the project writes it, the others copies of it with their own day."""
    with connect() as con:
        rows = con.sql(f"SELECT DATE '{FIRST}' AS day, 1 AS n")
        made = Provenance(run="run", inputs={"shop/events": 1})
        table.replace(rows, between=(FIRST, FIRST), provenance=made)
    log, [file] = Path(table.uri, "_delta_log"), Path(table.uri).glob("day=*/*.parquet")
    commit, data = (log / f"{1:020}.json").read_text(), file.read_bytes()
    for number in range(1, size):
        day, version = FIRST + timedelta(days=number), number + 1
        said = commit.replace(str(FIRST), str(day)).replace('events\\": 1', f'events\\": {version}')
        (log / f"{version:020}.json").write_text(said)
        folder = Path(table.uri, f"day={day}")
        folder.mkdir()
        (folder / file.name).write_bytes(data)
        if version % CHECKPOINT == 0:
            DeltaTable(table.uri).create_checkpoint()


def _row(events: Table, tiles: Table, size: int) -> None:
    calendar = Calendar(FIRST, FIRST + timedelta(days=size - 1))

    def look() -> set[date]:
        return stale_days(events.marks(), tiles.marks(), events.name, (0, 0), calendar)

    marks._SEEN.clear()
    assert look() == set()
    first, again = _seconds(lambda: (marks._SEEN.clear(), look())), _seconds(look)
    upstream, downstream = events.marks(), tiles.marks()
    alone = _seconds(lambda: stale_days(upstream, downstream, events.name, EVERYTHING, calendar))
    days = calendar.between(FIRST, FIRST + timedelta(days=size))
    cursor = len(
        remember({day: Piece((day, day), f"{day}.csv", 10, f"10:{day.toordinal()}") for day in days})
    )
    data, commits, checkpoints = (
        _size(events, tiles, pattern)
        for pattern in ("day=*/*.parquet", "_delta_log/*.json", "_delta_log/*.parquet")
    )
    for table in (events, tiles):
        maintain(table, ())
    after = _size(events, tiles, "_delta_log/*.parquet")
    memory = psutil.Process().memory_info().rss / 1e6
    print(
        f"| {size:,} | {first:.2f} | {again:.3f} | {alone:.4f} | {cursor:,} | {data[0]:,} "
        f"| {data[1]:.1f} | {commits[1]:.1f} | {checkpoints[1]:.1f} | {after[1]:.1f} | {memory:.0f} |",
        flush=True,
    )


def _seconds(does: Callable[[], object], rounds: int = 3) -> float:
    """The fastest of some rounds."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        does()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _size(events: Table, tiles: Table, pattern: str) -> tuple[int, float]:
    """How many files there are, and their megabytes."""
    found = [path for table in (events, tiles) for path in Path(table.uri).glob(pattern)]
    return len(found), sum(path.stat().st_size for path in found) / 1e6


if __name__ == "__main__":
    main([int(days) for days in sys.argv[1:]] or DAYS)
