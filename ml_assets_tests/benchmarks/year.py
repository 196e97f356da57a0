"""A year of daily partitions from landing files to snapshots: one range run over the same SQL run bare.

Both sides are processes of their own. The bare script has no Dagster, no contract and no lake package: it
runs the very SQL that the project compiles, and writes the same Delta tables. Where the two have other rows nothing is
printed.
"""

import json
import os
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

from ml_assets.instance.home import prepare_dagster_home
from ml_assets.landing.completejourney import land
from ml_assets_tests.benchmarks.measure import measure
from ml_assets_tests.markdown import table

FIRST, DAYS = date(2017, 1, 2), 365
COMPARED = {
    "transactions/events": "event_date",
    "household_features/tiles": "available_date",
    "household_features/snapshot": "as_of",
}
"""Table -> its leading partition column."""

RUN = """
import os, sys, warnings; warnings.filterwarnings("ignore")
import dagster as dg
from ml_assets.definitions import defs
from ml_assets.operations.in_process import QUIET
from ml_assets.components.shared.partitions import range_tags
from datetime import date
keys = [dg.AssetKey(k.split("/")) for k in
        ("transactions/raw", "transactions/events", "transactions/quarantine",
         "household_features/tiles", "household_features/snapshot")]
with dg.DagsterInstance.get() as instance:
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, asset_selection=keys, run_config=QUIET, raise_on_error=True,
        tags=range_tags(*map(date.fromisoformat, sys.argv[1:])))
assert result.success
os._exit(0)
"""

EMPTY = """
import sys, warnings; warnings.filterwarnings("ignore")
import dagster as dg
import ml_assets.definitions
from ml_assets.operations.in_process import QUIET
from ml_assets.components.shared.partitions import AS_ONE_RUN, partitions_of, range_tags
from ml_assets.project.calendar import Calendar
from datetime import date
days = partitions_of(Calendar(date(2017, 1, 1), date(2018, 1, 1)))
assets = [dg.asset(lambda: dg.MaterializeResult(), name=f"empty_{n}", partitions_def=days,
                   backfill_policy=AS_ONE_RUN) for n in range(5)]
defs = dg.Definitions(assets=assets, executor=dg.in_process_executor)
with dg.DagsterInstance.get() as instance:
    defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, run_config=QUIET, tags=range_tags(*map(date.fromisoformat, sys.argv[1:])))
"""

BARE = """
import json, os, sys
import duckdb
from deltalake import write_deltalake
plan = json.loads(open(sys.argv[1]).read())
con = duckdb.connect()
con.execute("SET TimeZone = 'UTC'")
for step in plan:
    con.execute(step["sql"])
    if step["write"]:
        write_deltalake(step["write"], con.table(step["table"]).to_arrow_reader(122880), mode="overwrite",
                        partition_by=step["partition_by"])
os._exit(0)
"""


def plan(landing: Path, lake: Path, last: date) -> list[dict[str, object]]:
    """The project's SQL as text, in order, with the tables it ends in."""
    import duckdb

    from ml_assets.contracts.enforce.classify import classify
    from ml_assets.features.queries.snapshots import snapshot_query
    from ml_assets.features.queries.tiles import events_of, tiles_query
    from ml_assets.project.project import Project

    project = Project.of("ml_assets.defs")
    source, group = project.sources["transactions"], project.groups["household_features"]
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        columns = ", ".join(f'"{c}"' for c in source.contract.source_columns)
        raw = (
            f"SELECT {columns}, CAST(split_part(parse_filename(filename), '.', 1) AS DATE) AS landing_date, "
            "parse_filename(filename) AS file, 'hash' AS content_hash, file_row_number + 1 AS row_number, "
            "now() AS seen_at "
            f"FROM read_parquet('{landing}/*.parquet', filename = true, file_row_number = true)"
        )
        con.execute(f"CREATE TABLE raw AS {raw} LIMIT 0")
        classified = classify(source.contract, con, con.table("raw"), late_days=0).sql_query()
        classified = classified.replace("_contract_rows", "raw")
    names = ", ".join(f'"{c.name}"' for c in source.contract.columns)
    between = f"BETWEEN DATE '{FIRST}' AND DATE '{last}'"
    events = events_of("transactions")
    steps = [
        ("raw", f"SELECT * FROM ({raw}) WHERE landing_date {between}", ["landing_date", "content_hash"]),
        ("classified", classified, None),
        (
            events,
            f"SELECT {names}, available_at, landing_date, row_number, event_date FROM classified WHERE len(reasons) = 0",
            ["event_date"],
        ),
        (
            "quarantine",
            "SELECT file, row_number, content_hash, original, reasons, landing_date, event_date FROM classified "
            "WHERE len(reasons) > 0",
            ["event_date"],
        ),
        ("tiles", tiles_query(group.features), ["available_date"]),
        ("snapshot", snapshot_query(group.features, FIRST, last), ["as_of"]),
    ]
    return [
        {
            "table": table,
            "sql": f"CREATE TABLE {table} AS {sql}",
            "write": str(lake / ("events" if table == events else table)) if by else None,
            "partition_by": by,
        }
        for table, sql, by in steps
    ]


def rows(table: Path, by: str, last: date) -> int:
    """How many rows a table has in the range."""
    import duckdb
    from deltalake import DeltaTable

    files = DeltaTable(str(table)).file_uris()
    with duckdb.connect() as con:
        found = con.read_parquet(files, hive_partitioning=True).filter(
            f"{by} BETWEEN DATE '{FIRST}' AND DATE '{last}'"
        )
        [(number,)] = found.aggregate("count(*)").fetchall()
    return int(number)


def main(days: int = DAYS) -> None:
    """Land once, then run both sides and print."""
    last = FIRST + timedelta(days=days - 1)
    span = [str(FIRST), str(last)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        land(root / "data" / "landing" / "transactions", days=days)
        environment = {**os.environ, "ML_ASSETS_HOME": folder, "DAGSTER_HOME": str(root / ".dagster")}
        prepare_dagster_home(root)
        steps = root / "plan.json"
        steps.write_text(json.dumps(plan(root / "data" / "landing" / "transactions", root / "bare", last)))
        ours = measure([sys.executable, "-c", RUN, *span], environment)
        bare = measure([sys.executable, "-c", BARE, str(steps)], environment)
        for name, by in COMPARED.items():
            mine = rows(root / "data" / "lake" / name, by, last)
            theirs = rows(root / "bare" / name.split("/")[1], by, last)
            assert mine == theirs, f"{name}: {mine} rows, {theirs} by the bare side"
        start = measure([sys.executable, "-W", "ignore", "-c", "import ml_assets.definitions"], environment)
        empty = measure([sys.executable, "-c", EMPTY, *span], environment)
        stock = root / "stock"
        stock.mkdir()
        (stock / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        stock_empty = measure(
            [sys.executable, "-c", EMPTY, *span], {**environment, "DAGSTER_HOME": str(stock)}
        )
    sides = (
        ("one range run, its process included", ours),
        ("the same SQL and writes, bare", bare),
        ("one process start", start),
        ("the same range over five empty assets", empty),
        ("that on Dagster's own event log", stock_empty),
    )
    print(f"{days} days of partitions of the sample, landing files to snapshots.\n")
    print(
        table(
            ("Side", "Seconds", "Peak MB"),
            [(name, f"{found.seconds:.2f}", f"{found.megabytes:,.0f}") for name, found in sides],
        )
    )
    logs = (stock_empty.seconds - start.seconds) / (empty.seconds - start.seconds)
    ratios = (
        (
            "the run over bare plus one process start (budget 1.30)",
            ours.seconds / (bare.seconds + start.seconds),
        ),
        ("the run over bare plus the empty range", ours.seconds / (bare.seconds + empty.seconds)),
        ("Dagster's own event log over ours, start apart", logs),
    )
    print(f"\n{table(('Ratio', 'Measured'), [(name, f'{ratio:.2f}') for name, ratio in ratios])}")


if __name__ == "__main__":
    main()
