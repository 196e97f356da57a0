"""Featuretools: deep feature synthesis with cut-off times, on the rows of the sample and the events of their entities.

It filters the events anew for every moment, so it gets the sample instead of the spine. Each window is a synthesis
of its own. Cut-off times are excluded, which makes both ends of the window as they should be. A cut-off compares
the time index alone, so arrival times are ignored.
"""

from pathlib import Path

import duckdb
import featuretools
import pandas as pd

from ml_assets_tests.benchmarks.workload import WINDOWS


def sample(folder: Path, out: Path) -> None:
    """Counts and sums of both windows."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        rows = con.execute(
            f"SELECT DISTINCT row, entity, as_of AT TIME ZONE 'UTC' AS time FROM '{folder}/sample.parquet'"
        ).df()
        events = con.execute(
            f"SELECT row_number() OVER () AS event, entity, occurred_at AT TIME ZONE 'UTC' AS occurred_at, "
            f"amount::DOUBLE AS amount FROM '{folder}/events.parquet' "
            f"WHERE entity IN (SELECT entity FROM '{folder}/sample.parquet')"
        ).df()
    data = featuretools.EntitySet("events")
    data.add_dataframe(events, "events", index="event", time_index="occurred_at")
    data.add_dataframe(rows[["entity"]].drop_duplicates(), "entities", index="entity")
    data.add_relationship("entities", "entity", "events", "entity")
    moments = rows[["entity", "time"]].drop_duplicates()
    found = rows.set_index(["entity", "time"])[["row"]]
    for days in WINDOWS:
        found[[f"n_{days}d", f"s_{days}d"]] = _window(data, moments, days)
    found.to_parquet(out)


def _window(data: featuretools.EntitySet, moments: pd.DataFrame, days: int) -> pd.DataFrame:
    matrix, _ = featuretools.dfs(
        entityset=data,
        target_dataframe_name="entities",
        cutoff_time=moments,
        agg_primitives=["count", "sum"],
        trans_primitives=[],
        training_window=f"{days} days",
        include_cutoff_time=False,
        cutoff_time_in_index=True,
    )
    return matrix[["COUNT(events)", "SUM(events.amount)"]].fillna(0)
