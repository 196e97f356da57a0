"""What it costs to read the declared project and one table.

Next to two others: importing what that can't do without, and a script of these alone that checks one value and reads the
same table.
"""

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from ml_assets_tests.markdown import table

BARE = "import duckdb, deltalake, pydantic, yaml"
SAME = """
import deltalake, duckdb, yaml
from pydantic import BaseModel
class Declared(BaseModel):
    day: str
Declared(**yaml.safe_load("day: monday"))
files = deltalake.DeltaTable({lake!r} + "/t/t").file_uris()
with duckdb.connect() as con:
    assert con.read_parquet(files).fetchall()
"""
OURS = """
from ml_assets.lake.engine import connect
from ml_assets.lake.table import Lake
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
ROUNDS = 15


class Took(NamedTuple):
    """Seconds of a process from its start to its end."""

    cpu: float
    wall: float


def took(program: str, compiled: str) -> Took:
    """What a fresh Python takes for a program, with its modules compiled in the folder ``compiled``."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    child = os.spawnve(
        os.P_NOWAIT,
        sys.executable,
        [sys.executable, "-c", program],
        environment | {"PYTHONPYCACHEPREFIX": compiled},
    )
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - started
    if status:
        raise RuntimeError(f"the program ended with {os.waitstatus_to_exitcode(status)}:\n{program}")
    return Took(usage.ru_utime + usage.ru_stime, wall)


def main() -> None:
    """Print all three, the fastest of some rounds taken in turn, and what they take over the first."""
    with TemporaryDirectory() as folder:
        lake, compiled = str(Path(folder) / "lake"), str(Path(folder) / "compiled")
        programs = (BARE, SAME.format(lake=lake), OURS.format(lake=lake))
        for program in (MAKE.format(lake=lake), *programs):
            took(program, compiled)
        rounds = [[took(each, compiled) for each in programs] for _ in range(ROUNDS)]
    names = (f"`{BARE}`", "a script of these that reads a table", "the declared project, and the table")
    fastest = [[min(each[at] for each in column) for column in zip(*rounds, strict=True)] for at in (0, 1)]
    bare = fastest[0][0]
    print(
        table(
            ("A fresh process", "CPU, s", "over the imports", "by the clock, s"),
            [(n, f"{c:.2f}", f"{c / bare:.2f}", f"{w:.2f}") for n, c, w in zip(names, *fastest, strict=True)],
        )
    )


if __name__ == "__main__":
    main()
