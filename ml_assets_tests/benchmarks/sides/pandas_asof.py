"""pandas: the same three joins on running sums as in Polars, with ``merge_asof``; amounts are cents, as integers.

pandas has decimals as Python objects only, which takes ten times the memory. Arrival times are ignored.
"""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def spine(folder: Path, out: Path) -> None:
    """Three joins: as_of, 7 and 28 days before it."""
    table = pq.read_table(folder / "events.parquet", columns=["entity", "occurred_at", "amount"])
    cents = pc.cast(pc.multiply(table["amount"], 100), pa.int64())
    events = table.drop_columns("amount").append_column("s", cents).to_pandas()
    events = events.sort_values("occurred_at", kind="stable", ignore_index=True)
    of_entity = events.groupby("entity", sort=False)["s"]
    events["n"] = of_entity.cumcount() + 1
    events["s"] = of_entity.cumsum()
    rows = pd.read_parquet(folder / "spine.parquet").sort_values("as_of", ignore_index=True)

    def before(days: int) -> pd.DataFrame:
        ends = rows.assign(
            occurred_at=(rows["as_of"] - pd.Timedelta(days=days)).astype(events["occurred_at"].dtype)
        )
        joined = pd.merge_asof(ends, events, on="occurred_at", by="entity", allow_exact_matches=False)
        return joined[["n", "s"]].fillna(0).astype("int64")

    now, found = before(0), rows[["row"]].copy()
    for days in (7, 28):
        window = now - before(days)
        found[f"n_{days}d"], found[f"s_{days}d"] = window["n"], window["s"] / 100
    found.to_parquet(out)
