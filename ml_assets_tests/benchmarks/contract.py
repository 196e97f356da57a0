"""Contract validation of 10 million rows: one pass in DuckDB, next to a scan of the same columns and to pandera.

Each side is a process of its own, over the same Parquet file. The scan reads every column the rules need;
pandera (on Polars) holds the rows against the same rules for rows. Nothing is withheld from either side: the
rows are good, so that every rule is judged to its end.
"""

import sys
import tempfile
from pathlib import Path

import duckdb

from ml_assets_tests.benchmarks.measure import measure
from ml_assets_tests.markdown import table

ROWS = 10_000_000
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: sales
version: 1.0.0
status: active
schema:
  - name: sales
    properties:
      - {name: sale_id, logicalType: integer, UNIQUE}
      - {name: store_id, logicalType: integer, required: true, logicalTypeOptions: {minimum: 1, maximum: 500}}
      - {name: quantity, logicalType: integer, required: true, logicalTypeOptions: {minimum: 0}}
      - {name: amount, logicalType: number, physicalType: "DECIMAL(10,2)", required: true,
         logicalTypeOptions: {minimum: 0, maximum: 100000}}
      - {name: discount, logicalType: number, physicalType: "DOUBLE", logicalTypeOptions: {minimum: 0}}
      - {name: channel, logicalType: string, required: true,
         quality: [{metric: invalidValues, arguments: {validValues: [shop, web, phone]}, mustBe: 0}]}
      - {name: sku, logicalType: string, required: true, logicalTypeOptions: {minLength: 8, maxLength: 12}}
      - {name: occurred_at, logicalType: timestamp, required: true}
    quality:
      - {metric: rowCount, mustBeGreaterThan: 0}
"""
MAKE = """
SELECT i AS sale_id, 1 + i % 500 AS store_id, i % 7 AS quantity,
       ((i * 7919) % 1000000 / 100)::DECIMAL(10,2) AS amount, (i % 13) / 3.0 AS discount,
       ['shop', 'web', 'phone'][1 + i % 3] AS channel, 'SKU' || lpad((i % 99999)::VARCHAR, 6, '0') AS sku,
       TIMESTAMPTZ '2024-01-01 00:00:00+00' + to_seconds(i * {gap}) AS occurred_at,
       occurred_at AS available_at, CAST(timezone('UTC', occurred_at) AS DATE) AS event_date
FROM range({rows}) rows(i)
"""
SCAN = """
import sys
from ml_assets.lake import connect
names = "sale_id store_id quantity amount discount channel sku occurred_at event_date".split()
with connect() as con:
    read = ", ".join(f"sum(length({name}))" if name in ("sku", "channel") else f"max({name})" for name in names)
    con.execute(f"SELECT event_date, {read} FROM read_parquet('{sys.argv[1]}') GROUP BY 1").fetchall()
"""
OURS = """
import sys
from datetime import date, timedelta
from pathlib import Path
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.validate import validate
from ml_assets.lake import connect
contract = load_contract(Path(sys.argv[2]))
with connect() as con:
    events = con.read_parquet(sys.argv[1])
    none = con.sql("SELECT DATE '2024-01-01' AS event_date, []::VARCHAR[] AS reasons LIMIT 0")
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(30)]
    results = validate(contract, con, events, none, days)
assert results and all(result.passed for result in results), [r.message for r in results if not r.passed]
"""
PANDERA = """
import sys
import polars as pl
import pandera.polars as pa
frame = pl.read_parquet(sys.argv[1])
unique = sys.argv[2] == "unique"
schema = pa.DataFrameSchema({
    "sale_id": pa.Column(int, nullable=False, unique=unique),
    "store_id": pa.Column(int, pa.Check.in_range(1, 500)),
    "quantity": pa.Column(int, pa.Check.ge(0)),
    "amount": pa.Column(pl.Decimal(10, 2), [pa.Check.ge(0), pa.Check.le(100000)]),
    "discount": pa.Column(float, pa.Check.ge(0), nullable=True),
    "channel": pa.Column(str, pa.Check.isin(["shop", "web", "phone"])),
    "sku": pa.Column(str, pa.Check.str_length(8, 12)),
    "occurred_at": pa.Column(pl.Datetime("us", "UTC"), nullable=False),
})
schema.validate(frame, lazy=True)
"""


def main() -> None:
    """Make the rows once, then run every side and print."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "sales.parquet"
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            con.execute(
                f"COPY ({MAKE.format(rows=ROWS, gap=30 * 86400 / ROWS)}) TO '{rows}' (FORMAT parquet)"
            )
        with_key, without = (Path(folder) / name for name in ("key.yaml", "plain.yaml"))
        with_key.write_text(CONTRACT.replace("UNIQUE", "primaryKey: true"))
        without.write_text(CONTRACT.replace("UNIQUE", "required: true"))
        python = [sys.executable, "-W", "ignore", "-c"]
        start = measure([*python, "import ml_assets.lake, ml_assets.contracts"])
        scan = measure([*python, SCAN, str(rows)])
        sides = {
            "the contract, without a unique key": measure([*python, OURS, str(rows), str(without)]),
            "the contract, with a unique key": measure([*python, OURS, str(rows), str(with_key)]),
            "pandera on Polars, without": measure([*python, PANDERA, str(rows), "plain"]),
            "pandera on Polars, with": measure([*python, PANDERA, str(rows), "unique"]),
        }
    lines = [("process start", start, ""), ("a scan of the same columns", scan, "1.00")]
    for name, found in sides.items():
        lines.append((name, found, f"{(found.seconds - start.seconds) / (scan.seconds - start.seconds):.2f}"))
    print(f"{ROWS:,} rows, 8 columns, 16 rules, per day over 30 days.\n")
    print(
        table(
            ("Side", "Seconds", "Peak MB", "Over the scan, start apart"),
            [(name, f"{each.seconds:.2f}", f"{each.megabytes:,.0f}", over) for name, each, over in lines],
        )
    )
    print("\nBudget: 2.00 without exact distinct.")


if __name__ == "__main__":
    main()
