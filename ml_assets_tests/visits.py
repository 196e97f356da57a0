"""The landing files of the use case ``mini``: the same bytes every time they are made."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

START = date(2024, 1, 1)
END = date(2024, 3, 25)
VISITORS = 60
SCHEMA = pa.schema(
    [
        ("visit_id", pa.int64()),
        ("visitor_id", pa.int64()),
        ("amount", pa.decimal128(10, 2)),
        ("channel", pa.string()),
        ("occurred_at", pa.timestamp("us", tz="UTC")),
    ]
)


def day(number: int) -> date:
    """The day with that number; 0 is the first."""
    return START + timedelta(days=number)


def visits_of(on: date, *, salt: str = "") -> list[dict[str, Any]]:
    """The visits of a day, in order: the first half of the visitors come often, the others rarely.

    Another ``salt`` gives other amounts, as in a file that was corrected.
    """
    who, what = random.Random(f"who {on}"), random.Random(f"what {on} {salt}")
    rows = []
    for visitor in range(1, VISITORS + 1):
        often = visitor <= VISITORS // 2
        if who.random() < (0.6 if often else 0.06) or visitor == 1:
            rows.append(
                {
                    "visit_id": (on - START).days * 1000 + visitor,
                    "visitor_id": visitor,
                    "amount": 10 + visitor % 10 + Decimal(what.randint(0, 99)) / 100,
                    "channel": "web" if visitor % 3 == 0 else "shop",
                    "occurred_at": datetime(on.year, on.month, on.day, 8, tzinfo=UTC)
                    + timedelta(minutes=7 * visitor),
                }
            )
    return rows


def write(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema = SCHEMA) -> Path:
    """Write rows as Parquet, or as CSV if the name ends so; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(rows), schema=schema)
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pyarrow.parquet.write_table(table, path)
    return path


def land(folder: Path, first: date, last: date, *, salt: str = "", suffix: str = "parquet") -> None:
    """Land the files of the days from first to last."""
    for number in range((first - START).days, (last - START).days + 1):
        write(folder / f"{day(number)}.{suffix}", visits_of(day(number), salt=salt))
