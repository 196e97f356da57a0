"""The default project from nothing to its champions, by the command line: seconds of each phase, and the holdouts.

In a home of its own that goes afterwards. Arguments make it smaller: how many days land, how many cutoffs train.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from deltalake import DeltaTable

from ml_assets_tests.markdown import table

SHOWN = 4
"""Of so many cutoffs one is shown, and the newest."""
ROLES = ("champion", "candidate", "baseline")


def main(days: int | None = None, cutoffs: int = 12) -> None:
    """Land, materialize, look once more, and print."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        landed, _ = _command(home, "data", "land", *(("--days", str(days)) if days else ()))
        whole, said = _command(home, "materialize", "--cutoffs", str(cutoffs), "--json")
        again, nothing = _command(home, "materialize", "--cutoffs", str(cutoffs), "--json")
        assert json.loads(nothing) == []
        phases = Counter[str]()
        for phase in json.loads(said):
            phases[phase["phase"]] += phase["seconds"]
        took = [
            (f"`ml-assets data land`: {_purchases(home)}", landed),
            (f"`ml-assets materialize`, {cutoffs} cutoffs of each model, all of it", whole),
            *((f"of it {name}", seconds) for name, seconds in phases.items()),
            ("`ml-assets materialize` again, with nothing to do", again),
        ]
        holdouts = list(_holdouts(home))
    print(table(("What", "Seconds"), [(what, f"{seconds:.0f}") for what, seconds in took]))
    print(f"\n{table(('Holdout of `lapse`, cutoff', *(f'{role} AUC / AP' for role in ROLES)), holdouts)}")


def _command(home: Path, *words: str) -> tuple[float, str]:
    """The seconds a command takes, its process included, and what it says on stdout."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ml_assets.cli", *words],
        env=os.environ | {"ML_ASSETS_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return time.perf_counter() - started, done.stdout


def _purchases(home: Path) -> str:
    files = sorted((home / "data" / "landing" / "transactions").glob("*.parquet"))
    with duckdb.connect() as con:
        rows, households = con.sql(
            f"SELECT count(*), count(DISTINCT household_id) FROM read_parquet({[str(file) for file in files]})"
        ).fetchall()[0]
    return f"{len(files)} files, {rows:,} purchases of {households:,} households"


def _holdouts(home: Path) -> Iterator[tuple[str, ...]]:
    files = DeltaTable(str(home / "data" / "lake" / "lapse" / "evaluation")).file_uris()
    with duckdb.connect() as con:
        found = con.read_parquet(files, hive_partitioning=True)
        rows = found.order("cutoff").project("cutoff, role, auc, average_precision").fetchall()
    by_cutoff = [
        (cutoff, {role: f"{auc:.3f} / {precision:.3f}" for _, role, auc, precision in measured})
        for cutoff, measured in groupby(rows, key=lambda row: row[0])
    ]
    for number, (cutoff, measured) in enumerate(by_cutoff):
        if number % SHOWN == 0 or number == len(by_cutoff) - 1:
            yield str(cutoff), *(measured.get(role, "none yet") for role in ROLES)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
