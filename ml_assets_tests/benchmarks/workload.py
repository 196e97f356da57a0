"""The rows that every side of the feature benchmark works on, as Parquet files in a folder.

``events``: of many entities over the year 2023; 3% of them tie with another of their entity, 5% become known up to
three days late. ``spine``: rows (row, entity, as_of); one in 200 at the very moment of an event, one in 200 exactly
7 or 28 days after one, the others at any moment. ``sample``: 2,000 of its rows, each with its kind, to be compared
with the oracle. Everything is drawn by hashes: the same size gives the same rows.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb

WINDOWS = (7, 28)
ANY = "any row"
KINDS = {ANY: 1200, "as_of on event": 200, "start on event": 200, "late event": 200, "tie": 200}
"""How many rows of each kind are in the sample: drawn evenly from the whole spine, and from those that are hard."""
CANDIDATES = 60_000
EVENTS = """
SELECT (hash(twin) % {entities})::BIGINT AS entity, (i % 10000 / 100)::DECIMAL(10,2) AS amount, occurred_at,
       occurred_at + CASE WHEN hash(i * 5) % 20 = 0 THEN to_seconds((hash(i * 3) % 259200)::BIGINT)
       ELSE INTERVAL 0 SECOND END AS available_at, CAST(occurred_at AS DATE) AS event_date
FROM (SELECT i, i - (i % 33 = 0)::BIGINT AS twin,
             TIMESTAMPTZ '2023-01-01 00:00:00+00' + to_seconds((hash(twin * 7) % 31536000)::BIGINT) AS occurred_at
      FROM range(1, {events} + 1) rows(i))
"""
SPINE = """
WITH boundaries AS (
  SELECT entity, occurred_at, row_number() OVER () - 1 AS n FROM (
    SELECT * FROM 'EVENTS' WHERE event_date > '2023-03-01' AND event_date < '2023-11-20' LIMIT {rows} // 100))
SELECT n AS row, entity, CASE WHEN n < {rows} // 200 THEN occurred_at
  ELSE occurred_at + to_days((CASE WHEN n % 2 = 0 THEN 7 ELSE 28 END)::INTEGER) END AS as_of FROM boundaries
UNION ALL
SELECT i, (hash(i * 11) % {entities})::BIGINT,
       TIMESTAMPTZ '2023-03-01 00:00:00+00' + to_seconds((hash(i * 13) % 25920000)::BIGINT)
FROM range({rows} // 100, {rows}) rows(i)
"""
SAMPLE = f"""
WITH candidates AS (
  SELECT *, row_number() OVER (ORDER BY hash(row)) AS turn FROM 'SPINE' QUALIFY turn <= {CANDIDATES}),
seen AS (
  SELECT row, bool_or(available_at > as_of) AS late, count(*) > count(DISTINCT occurred_at) AS tie
  FROM candidates JOIN 'EVENTS' events USING (entity)
  WHERE occurred_at < as_of AND occurred_at >= as_of - INTERVAL 28 DAY GROUP BY row),
kinds AS (
  SELECT row, entity, as_of, turn, '{ANY}' AS kind FROM candidates
  UNION ALL
  SELECT row, entity, as_of, turn, CASE WHEN row < {{rows}} // 200 THEN 'as_of on event'
    WHEN row < {{rows}} // 100 THEN 'start on event' WHEN late THEN 'late event' WHEN tie THEN 'tie' END
  FROM candidates LEFT JOIN seen USING (row))
SELECT row, entity, as_of, kind FROM kinds WHERE kind IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY kind ORDER BY turn) <= MAP {{wanted}}[kind]
"""


@dataclass(frozen=True)
class Size:
    """How much there is of everything."""

    events: int
    entities: int
    rows: int

    @classmethod
    def of(cls, scale: float) -> "Size":
        """The full size, 10 million events, times ``scale``."""
        return cls(int(10_000_000 * scale), int(200_000 * scale), int(1_000_000 * scale))

    def __str__(self) -> str:
        return f"{self.events:,} events, {self.entities:,} entities, {self.rows:,} rows of a spine"


def write(folder: Path, size: Size) -> None:
    """Write ``events.parquet``, ``spine.parquet`` and ``sample.parquet``."""
    numbers = {"events": size.events, "entities": size.entities, "rows": size.rows, "wanted": KINDS}
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        for name, query in (("events", EVENTS), ("spine", SPINE), ("sample", SAMPLE)):
            sql = query.format(**numbers)
            for file in ("events", "spine"):
                sql = sql.replace(f"'{file.upper()}'", f"'{folder / file}.parquet'")
            con.execute(f"COPY ({sql}) TO '{folder / name}.parquet' (FORMAT parquet)")
