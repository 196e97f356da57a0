"""What the features are, in plain Python: the definition, read row by row, to hold every side against."""

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb

from ml_assets_tests.benchmarks.workload import KINDS, WINDOWS

Event = tuple[datetime, datetime, Decimal]
"""When it happened, when it was known, the amount."""
Values = tuple[int | Decimal, ...]
"""n_7d, s_7d, n_28d, s_28d."""


def values(events: list[Event], as_of: datetime) -> Values:
    """The features of an entity with these events at a moment."""
    found: list[int | Decimal] = []
    for days in WINDOWS:
        start = as_of - timedelta(days=days)
        counted = [
            amount
            for occurred_at, available_at, amount in events
            if start <= occurred_at < as_of and available_at <= as_of
        ]
        found += [len(counted), sum(counted, Decimal(0))]
    return tuple(found)


def expected(folder: Path) -> dict[int, Values]:
    """The values of every row of the sample."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        sample = con.execute(f"SELECT row, entity, as_of FROM '{folder}/sample.parquet'").fetchall()
        events = con.execute(
            f"SELECT entity, occurred_at, available_at, amount FROM '{folder}/events.parquet' "
            f"WHERE entity IN (SELECT entity FROM '{folder}/sample.parquet')"
        ).fetchall()
    of_entity: dict[int, list[Event]] = defaultdict(list)
    for entity, *event in events:
        of_entity[entity].append(tuple(event))
    return {row: values(of_entity[entity], as_of) for row, entity, as_of in sample}


def equal(folder: Path, found: Path, right: dict[int, Values]) -> dict[str, float]:
    """Of each kind of rows in the sample, the share that has the right values in the file ``found``."""
    with duckdb.connect() as con:
        rows = con.execute(
            f"SELECT row, kind, n_7d::BIGINT, s_7d::DECIMAL(18,2), n_28d::BIGINT, s_28d::DECIMAL(18,2) "
            f"FROM '{folder}/sample.parquet' LEFT JOIN '{found}' USING (row)"
        ).fetchall()
    hits: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for row, kind, *given in rows:
        hits[kind].append(tuple(given) == right[row])
    return {kind: sum(hit) / len(hit) for kind, hit in hits.items()}
