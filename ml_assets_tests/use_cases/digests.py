"""The content of every table of a lake as one digest each, to compare two lakes: ``python -m ... LAKE [LAKE]``.

Left out is what no two builds have in common: moments, ids of runs, seconds. Rows are compared whatever their order.
"""

import sys
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from ml_assets.lake import connect
from ml_assets.lake.sql import quote

ITS_OWN = {
    *("seen_at", "sequence", "at", "run", "run_id", "seconds", "search_seconds", "fit_seconds"),
    *("prediction_id", "decided_by", "who", "evidence", "file"),
}
"""Columns that differ from build to build."""


def digests(lake: Path) -> dict[str, str]:
    """Table -> number of rows and MD5 of them."""
    found = {}
    with connect() as con:
        for log in sorted(lake.glob("*/*/_delta_log")):
            table = log.parent
            found[f"{table.parent.name}/{table.name}"] = _digest(con, DeltaTable(table))
    return found


def _digest(con: duckdb.DuckDBPyConnection, table: DeltaTable) -> str:
    files = table.file_uris()
    if not files:
        return "0 rows"
    rows = con.read_parquet(files, hive_partitioning=True, union_by_name=True)
    rows.select(*sorted(quote(c) for c in rows.columns if c not in ITS_OWN)).create_view(
        "digested", replace=True
    )
    ((n, digest),) = con.execute(
        "SELECT count(*), md5(string_agg(line, chr(10) ORDER BY line)) "
        "FROM (SELECT md5(to_json(digested)::VARCHAR) AS line FROM digested)"
    ).fetchall()
    return f"{n:,} rows {digest}"


def main(*lakes: str) -> None:
    """Print a Markdown table: a row a table, a column a lake, and whether they are the same."""
    found = [digests(Path(lake)) for lake in lakes]
    print(f"| table | {' | '.join(lakes)} |{' same |' if len(lakes) > 1 else ''}")
    print(f"|---|{'---|' * len(lakes)}{'---|' if len(lakes) > 1 else ''}")
    for name in sorted({name for each in found for name in each}):
        values = [each.get(name, "none") for each in found]
        same = f" {'yes' if len(set(values)) == 1 else 'NO'} |" if len(lakes) > 1 else ""
        print(f"| {name} | {' | '.join(values)} |{same}")


if __name__ == "__main__":
    main(*sys.argv[1:])
