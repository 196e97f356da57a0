"""What it costs to read the declared project and one table, next to importing what that can't do without."""

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

BARE = "import duckdb, deltalake, pydantic, yaml"
OURS = """
from ml_assets.lake import Lake, connect
from ml_assets.project.project import Project
project = Project.of("ml_assets.defs")
assert project.sources and project.groups and project.models
with connect() as con:
    assert Lake({lake!r}).table("t/t", "day").read(con).fetchall()
"""
MAKE = """
from datetime import date
from ml_assets.lake import Lake, Provenance, connect
with connect() as con:
    rows = con.sql("SELECT DATE '2024-01-01' AS day, 1 AS n")
    day = date(2024, 1, 1)
    Lake({lake!r}).table("t/t", "day").replace(rows, between=(day, day), provenance=Provenance())
"""
ROUNDS = 7


def _seconds(program: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.perf_counter() - started


def main() -> None:
    """Print both, the fastest of some rounds taken in turn, and their ratio."""
    with TemporaryDirectory() as folder:
        lake = str(Path(folder) / "lake")
        subprocess.run([sys.executable, "-c", MAKE.format(lake=lake)], check=True)
        rounds = [(_seconds(BARE), _seconds(OURS.format(lake=lake))) for _ in range(ROUNDS)]
    bare, ours = (min(column) for column in zip(*rounds, strict=True))
    print(f"{BARE}: {bare:.2f} s")
    print(f"the declared project and a table: {ours:.2f} s, {ours / bare:.2f} times that")


if __name__ == "__main__":
    main()
