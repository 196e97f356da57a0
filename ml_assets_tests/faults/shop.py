"""A small source in a scratch folder, from landing to snapshots, and what all its tables hold."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from io import StringIO
from pathlib import Path
from shutil import ignore_patterns, rmtree
from zlib import crc32

import duckdb
from deltalake import DeltaTable

from ml_assets.lake import Lake, Table, connect
from ml_assets.landing.tables import SourceTables
from ml_assets.project.group import Group
from ml_assets.project.source import Source
from ml_assets_tests.pipeline.steps_only import StepsOnly, declare

DECLARED = ignore_patterns("defs*")
"""What a copy of a shop leaves out: the declaration names the landing folder, and each shop has its own."""
START, DAYS, LATE = date(2024, 2, 27), 5, 1
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: taps
version: 1.0.0
status: active
schema:
  - name: taps
    properties:
      - {name: tap_id, logicalType: integer, primaryKey: true}
      - {name: who, logicalType: integer, required: true}
      - {name: amount, logicalType: number, physicalType: "DECIMAL(10,2)", required: true,
         logicalTypeOptions: {minimum: 0}}
      - {name: note, logicalType: string}
      - {name: occurred_at, logicalType: timestamp, required: true}
    quality:
      - {name: refused_share, metric: invalidValues, unit: percent, mustBeLessOrEqualTo: 60}
"""
HEADER = "tap_id,who,amount,note,occurred_at"
STAGES = ("raw", "refused_files", "files", "quarantine", "withheld", "events", "tiles", "snapshot")
"""The tables in the order in which a run writes them."""
MOMENTS = {"at", "seen_at", "sequence"}
"""Columns that say when and after what something was done, which no two builds have in common."""


def day(number: int) -> date:
    """The day with that number; 0 is the first."""
    return START + timedelta(days=number)


@dataclass(frozen=True)
class Shop:
    """A landing folder and a lake below ``folder``, for ``number`` days."""

    folder: Path
    number: int = DAYS
    suffix: str = "csv"
    landing_name: str = "landing"

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"))

    @cached_property
    def built(self) -> StepsOnly:
        """The project, declared anew unless another process has done so; what is read is always whole."""
        pattern = f"{{date}}.{self.suffix}"
        landing = f'{{path: "{self.folder / self.landing_name}", pattern: "{pattern}", late_days: {LATE}}}'
        defs = self.folder / f"defs-{crc32(landing.encode()):08x}"
        own = self.folder / f"{defs.name}.{os.getpid()}"
        declare(own, CONTRACT, landing, START, day(self.number - 1))
        try:
            own.rename(defs)
        except OSError:
            rmtree(own)
        return StepsOnly(defs, self.lake)

    @property
    def source(self) -> Source:
        return self.built.source

    @property
    def group(self) -> Group:
        return self.built.group

    @property
    def tables(self) -> SourceTables:
        return self.source.tables(self.lake)

    @property
    def stages(self) -> dict[str, Table]:
        """Every table by the name of its stage."""
        own = self.tables
        return {
            "raw": own.raw,
            "refused_files": own.refused,
            "files": own.files,
            "quarantine": own.quarantine,
            "withheld": own.withheld,
            "events": own.events,
            "tiles": self.group.tiles(self.lake),
            "snapshot": self.group.snapshot(self.lake),
        }

    def path(self, number: int) -> Path:
        """The landing file of a day."""
        return self.folder / self.landing_name / f"{day(number)}.{self.suffix}"

    def drop(self, number: int, *, version: int = 1, rows: int = 30, refused: int = 2, late: int = 3) -> None:
        """What the producer does: write the file of a day, or write it anew as another version of it.

        Of the ``rows``, ``refused`` break a rule and ``late`` are of the day before.
        """
        lines = [HEADER]
        for n in range(rows):
            amount = "-1.00" if n < refused else f"{n}.{version:02d}"
            on = day(number) - timedelta(days=n >= rows - late)
            note = hashlib.sha256(f"{number} {n} {version}".encode()).hexdigest()
            lines.append(f"{number * 10_000 + n},{n % 7},{amount},{note},{on} 08:00:{n % 60:02d}")
        self._write(number, "\n".join(lines) + "\n")

    def drop_unsound(self, number: int) -> None:
        """A file that is refused as a whole."""
        self._write(number, "tap_id;who\n1;2\n")

    def _write(self, number: int, content: str) -> None:
        path = self.path(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.suffix == "csv":
            path.write_text(content)
        else:
            _as_parquet(content, path)

    def settle(self) -> int:
        """Work until nothing is asked for any more; returns the number of runs that took."""
        for turn in range(5):
            before = sum(table.version or 0 for table in self.stages.values())
            runs = self.built.work()
            if not runs:
                return turn
            assert sum(table.version or 0 for table in self.stages.values()) > before
        raise AssertionError("the sensors ask for ever more")

    def contents(self) -> dict[tuple[str, str], str]:
        """A digest of the rows of every (table, partition) there is; every file of every table is read.

        Moments are left out; of ``files`` and ``refused_files``, whose rows are appended, every row counts as
        a partition of its own.
        """
        found = {}
        with connect() as con:
            for stage, table in self.stages.items():
                if table.exists:
                    for part, digest in _digests(con, stage, table):
                        found[stage, part] = digest
        return found

    def check_whole(self) -> None:
        """Every table opens at its newest version, and every file that it names is there, of the size it says."""
        for table in self.stages.values():
            if table.exists:
                delta = DeltaTable(table.uri)
                named = delta.get_add_actions(flatten=True)
                for path, size in zip(
                    named["path"].to_pylist(), named["size_bytes"].to_pylist(), strict=True
                ):
                    assert (Path(table.uri) / path).stat().st_size == size, path


def _as_parquet(content: str, path: Path) -> None:
    with connect() as con:
        rows = con.read_csv(StringIO(content)).select(
            "tap_id, who, amount::DECIMAL(10,2) AS amount, note, occurred_at::TIMESTAMPTZ AS occurred_at"
        )
        rows.write_parquet(str(path))


def _digests(con: duckdb.DuckDBPyConnection, stage: str, table: Table) -> Iterator[tuple[str, str]]:
    rows = table.read(con)
    kept = [column for column in rows.columns if column not in MOMENTS]
    lead = {
        "raw": "landing_date || ' ' || content_hash",
        "files": "landing_date || ' ' || content_hash || ' ' || status",
        "refused_files": "content_hash",
    }.get(stage, f"{table.partition_by[0]}::VARCHAR")
    rows.select(*kept).create_view("digested", replace=True)
    distinct = "DISTINCT" if stage in ("files", "refused_files") else ""
    yield from con.execute(
        f"SELECT part, count(*) || ' ' || md5(string_agg(line, chr(10) ORDER BY line)) FROM "
        f"(SELECT {distinct} {lead} AS part, to_json(digested)::VARCHAR AS line FROM digested) GROUP BY part"
    ).fetchall()
