"""The feature layer next to its peers: the same features of the same rows, each side a process of its own.

Counts and sums of a DECIMAL over 7 and 28 days: a spine of a million rows over ten million events, and a snapshot
of all entities. Sides say what they do in ``sides/``. Feast and Featuretools have an environment of their own
(``make bench-peers``) and are left out without it. Arguments are sizes: ``0.25 1 4``.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from ml_assets_tests.benchmarks import oracle
from ml_assets_tests.benchmarks.measure import OverLimit, measure
from ml_assets_tests.benchmarks.workload import KINDS, Size, write
from ml_assets_tests.places import CHECKOUT

MOST_SECONDS, MOST_MEGABYTES = 600, 16_000
PYTHON = Path(sys.executable)
PEERS = CHECKOUT / ".venv-bench/bin/python"


@dataclass(frozen=True)
class Side:
    """One way to do the work: a step of a module in ``sides/``, and the step that has to be taken beforehand."""

    name: str
    module: str
    step: str
    beforehand: str = ""
    python: Path = PYTHON


@dataclass(frozen=True)
class Result:
    """The file a side wrote and what it took, or why it has no numbers."""

    out: Path
    seconds: float = math.nan
    megabytes: float = math.nan
    beforehand: float = math.nan
    failure: str = ""


OURS = Side("`features_at`", "ours", "spine", beforehand="tables")
OUR_SNAPSHOT = Side("`write_snapshots`, from tiles", "ours", "snapshot")
RAW_SNAPSHOT = Side("DuckDB, from events", "duckdb_raw", "snapshot")
OUR_MONTH = Side("`write_snapshots`, 28 days in one go", "ours", "month")
RAW_MONTH = Side("DuckDB, from events, 28 days", "duckdb_raw", "month")
REQUESTS = Side("`Requests`", "ours", "requests")
POLARS = Side("Polars, `join_asof`", "polars_asof", "spine")
FEAST = Side("Feast, a row per event", "feast_join", "at_events", "prepare_at_events", PEERS)
FEAST_RIGHT = Side("Feast, a row per change", "feast_join", "at_changes", "prepare_at_changes", PEERS)
FEATURETOOLS = Side("Featuretools, the sample alone", "featuretools_dfs", "sample", python=PEERS)
SPINES = (
    OURS,
    Side("DuckDB, a range join", "duckdb_raw", "spine"),
    POLARS,
    Side("pandas, `merge_asof`", "pandas_asof", "spine"),
    FEAST,
    FEAST_RIGHT,
    FEATURETOOLS,
)


def main(scales: Sequence[float] = (1.0,)) -> None:
    """Run every side at every size, and print."""
    if not PEERS.exists():
        print("Feast and Featuretools are left out: `make bench-peers` makes their environment.")
    for scale in scales:
        size = Size.of(scale)
        print(f"\n### {size}", flush=True)
        with TemporaryDirectory() as folder:
            write(Path(folder), size)
            spines = _spines(Path(folder), size)
            snapshots = _snapshots(Path(folder), size)
            _requests(Path(folder))
        _budgets(spines | snapshots)


def _spines(folder: Path, size: Size) -> dict[Side, Result]:
    """The features of a spine, and the share of the sample's rows, kind by kind, that equal the oracle's."""
    right = oracle.expected(folder)
    _header("spine", "beforehand, s", "seconds", "rows/s", "peak MB", *KINDS)
    results = {}
    for side in SPINES:
        if side.python.exists():
            results[side] = result = _run(side, folder)
            rows = sum(KINDS.values()) if side is FEATURETOOLS else size.rows
            shares = () if result.failure else oracle.equal(folder, result.out, right).values()
            _row(side, result, rows, *(f"{share:.1%}" for share in shares))
    return results


def _snapshots(folder: Path, size: Size) -> dict[Side, Result]:
    """The features of all entities at one moment, from the tiles that the spine had made, and from events."""
    _header("snapshot of all entities", "beforehand, s", "seconds", "rows/s", "peak MB")
    results = {}
    for ours, raw, days in ((OUR_SNAPSHOT, RAW_SNAPSHOT, 1), (OUR_MONTH, RAW_MONTH, 28)):
        for side in (ours, raw):
            results[side] = result = _run(side, folder)
            _row(side, result, size.entities * days)
        if not any(results[side].failure for side in (ours, raw)):
            _assert_same(f"{results[ours].out}/*/*.parquet", str(results[raw].out))
    return results


def _requests(folder: Path) -> None:
    """One key at a time: the sample's rows from a day on, each with its seconds."""
    result = _run(REQUESTS, folder)
    _header(
        "one key at a time", "requests", "p50, ms", "p99, ms", "all seconds", "peak MB", "equal to the oracle"
    )
    with duckdb.connect() as con:
        found = con.read_parquet(str(result.out)).to_arrow_table().to_pylist()
    right = oracle.expected(folder)
    times = sorted(row["seconds"] * 1000 for row in found)
    hits = [
        tuple(row[name] for name in ("n_7d", "s_7d", "n_28d", "s_28d")) == right[row["row"]] for row in found
    ]
    print(
        f"| {REQUESTS.name} | {len(times)} | {times[len(times) // 2]:.1f} | {times[len(times) * 99 // 100]:.1f} | "
        f"{result.seconds:.2f} | {result.megabytes:,.0f} | {sum(hits) / len(hits):.1%} |",
        flush=True,
    )


def _assert_same(ours: str, theirs: str) -> None:
    columns = "entity, as_of, n_7d, s_7d, n_28d, s_28d"
    ours, theirs = (f"SELECT {columns} FROM '{file}'" for file in (ours, theirs))
    with duckdb.connect() as con:
        [(differ,)] = con.execute(
            f"SELECT count(*) FROM (({ours} EXCEPT ALL {theirs}) UNION ALL ({theirs} EXCEPT ALL {ours}))"
        ).fetchall()
    assert differ == 0, f"{differ} rows of the two snapshots differ"


def _budgets(results: Mapping[Side, Result]) -> None:
    """The ratios of this run, each with what was promised."""
    _header("ratio", "measured", "budget", "")
    at, snapshot = results[OURS], results[OUR_SNAPSHOT]
    _ratio("spine: seconds of ours / Polars", at.seconds / results[POLARS].seconds, most=1.3)
    for side in (FEAST, FEAST_RIGHT):
        if side in results:
            _ratio(f"spine: seconds of {side.name} / ours", results[side].seconds / at.seconds, least=8)
    _ratio("spine: peak GB", at.megabytes / 1000, most=1)
    _ratio("snapshot: seconds from events / ours", results[RAW_SNAPSHOT].seconds / snapshot.seconds, least=5)
    in_one_go = results[RAW_MONTH].seconds / results[OUR_MONTH].seconds
    _ratio("28 snapshots: seconds from events / ours", in_one_go, least=5)


def _run(side: Side, folder: Path) -> Result:
    """Take the side's steps, each a process, within the limits."""
    out = folder / f"{side.module}_{side.step}.parquet"
    beforehand = math.nan
    try:
        if side.beforehand:
            beforehand, _ = _step(side, side.beforehand, folder)
        seconds, megabytes = _step(side, side.step, folder, out)
    except OverLimit as over:
        return Result(out, failure=str(over))
    return Result(out, seconds, megabytes, beforehand)


def _step(side: Side, step: str, folder: Path, *out: Path) -> tuple[float, float]:
    """The seconds the step says it took, imports apart, and the peak memory of its process in MB."""
    seconds = folder / "seconds"
    program = [str(side.python), "-W", "ignore", "-m", "ml_assets_tests.benchmarks.sides"]
    paths = map(str, (folder, *out))
    measured = measure(
        [*program, str(seconds), side.module, step, *paths], seconds=MOST_SECONDS, megabytes=MOST_MEGABYTES
    )
    return float(seconds.read_text()), measured.megabytes


def _header(*names: str) -> None:
    print(f"\n| {' | '.join(names)} |\n|---|{'---:|' * (len(names) - 1)}", flush=True)


def _row(side: Side, result: Result, rows: int, *more: str) -> None:
    numbers = [result.failure]
    if not result.failure:
        beforehand = f"{result.beforehand:.1f}" if side.beforehand else ""
        speed = f"{rows / result.seconds:,.0f}"
        numbers = [beforehand, f"{result.seconds:.2f}", speed, f"{result.megabytes:,.0f}", *more]
    print(f"| {side.name} | {' | '.join(numbers)} |", flush=True)


def _ratio(name: str, measured: float, *, least: float = 0, most: float = math.inf) -> None:
    budget = f"at least {least}" if least else f"at most {most}"
    met = "met" if least <= measured <= most else "MISSED"
    print(f"| {name} | {measured:.2f} | {budget} | {met} |", flush=True)


if __name__ == "__main__":
    main([float(scale) for scale in sys.argv[1:]] or [1.0])
