"""Run one step of one side, and write how many seconds it took, imports apart: ``SECONDS SIDE STEP PATH...``."""

import importlib
import sys
import time
import warnings
from pathlib import Path

if __name__ == "__main__":
    seconds, side, step, *paths = sys.argv[1:]
    run = getattr(importlib.import_module(f"ml_assets_tests.benchmarks.sides.{side}"), step)
    warnings.simplefilter("ignore")  # again: Feast asks for its own
    started = time.perf_counter()
    run(*map(Path, paths))
    Path(seconds).write_text(str(time.perf_counter() - started))
