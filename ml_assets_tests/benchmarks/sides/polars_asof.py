"""Polars: running sums of the events of each entity, joined as of both ends of every window.

What happened before a moment is one strict ``join_asof``; a window is what happened before its end less what
happened before its start. When an event became known can't be said this way: arrival times are ignored.
"""

from pathlib import Path

import polars as pl


def spine(folder: Path, out: Path) -> None:
    """Three joins: as_of, 7 and 28 days before it."""
    events = (
        pl.scan_parquet(folder / "events.parquet")
        .select("entity", "occurred_at", "amount")
        .sort("occurred_at")
        .select(
            "entity",
            "occurred_at",
            n=pl.int_range(1, pl.len() + 1).over("entity"),
            s=pl.col("amount").cum_sum().over("entity"),
        )
        .collect()
    )
    rows = pl.read_parquet(folder / "spine.parquet").sort("as_of")

    def before(days: int) -> pl.DataFrame:
        ends = rows.with_columns(at=pl.col("as_of") - pl.duration(days=days))
        joined = ends.join_asof(
            events, left_on="at", right_on="occurred_at", by="entity", allow_exact_matches=False
        )
        return joined.select("row", pl.col("n", "s").fill_null(0))

    now = before(0)
    found = [now.select("row")]
    for days in (7, 28):
        found.append((now - before(days)).select(pl.col("n", "s").name.suffix(f"_{days}d")))
    pl.concat(found, how="horizontal").write_parquet(out)
