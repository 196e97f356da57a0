"""The drift check next to Evidently's DataDriftPreset on the same rows: 45 numbers, 10 columns of up to 50 categories.

Each side is a process of its own that reads both samples from Parquet; seconds leave its imports out, memory is its
greatest. We profile the reference and measure the current rows; once a model is trained only the latter is left to do.
Arguments are numbers of rows: ``10000 100000``. Evidently takes minutes for a million.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from ml_assets_tests.benchmarks.measure import measure

ROWS = (10_000, 100_000, 1_000_000)
NUMERIC = [f"n{place}" for place in range(45)]
CATEGORICAL = [f"c{place}" for place in range(10)]
BUDGET, MOST_MEGABYTES = 40, 1_500


def main(sizes: Sequence[int] = ROWS) -> None:
    """Run both sides at every size, and print."""
    print(f"{len(NUMERIC)} numbers and {len(CATEGORICAL)} categorical columns.\n")
    print("| rows | side | seconds | peak MB | Evidently's seconds over ours |\n|---:|---|---:|---:|---:|")
    for rows in sizes:
        with TemporaryDirectory() as folder:
            write(Path(folder), rows)
            ours, our_memory = _side("ours", Path(folder))
            theirs, their_memory = _side("evidently", Path(folder))
        day, both = ours["measure"], ours["profile"] + ours["measure"]
        for name, seconds, memory in (
            ("ours, from the stored profile", day, our_memory),
            ("ours, profile and all", both, our_memory),
            ("Evidently", theirs["preset"], their_memory),
        ):
            ratio = "" if name == "Evidently" else f"{theirs['preset'] / seconds:.0f}"
            print(f"| {rows:,} | {name} | {seconds:.2f} | {memory:,.0f} | {ratio} |", flush=True)
        if rows == max(ROWS):
            met = theirs["preset"] / day >= BUDGET and our_memory < MOST_MEGABYTES
            print(
                f"\nbudget: at least {BUDGET} times, under {MOST_MEGABYTES:,} MB: {'met' if met else 'MISSED'}"
            )


def write(folder: Path, rows: int) -> None:
    """Write ``reference.parquet`` and ``current.parquet``; in the current rows ten numbers have moved by 0.2."""
    random = np.random.default_rng(0)
    for name, by in (("reference", 0.0), ("current", 0.2)):
        columns: dict[str, object] = {"as_of": np.arange(rows) * 12 // rows}
        for place, column in enumerate(NUMERIC):
            columns[column] = random.normal(by if place < 10 else 0.0, 1, rows)
        for place, column in enumerate(CATEGORICAL):
            labels = [f"v{label:02d}" for label in range(5 * (place + 1))]
            columns[column] = pd.Categorical.from_codes(random.integers(len(labels), size=rows), labels)
        pd.DataFrame(columns).astype(dict.fromkeys(CATEGORICAL, "object")).to_parquet(
            folder / f"{name}.parquet"
        )


def _side(step: str, folder: Path) -> tuple[dict[str, float], float]:
    """The seconds that a side says its parts took, and its peak memory in MB."""
    out, seconds = folder / f"{step}.json", folder / "seconds"
    program = [sys.executable, "-W", "ignore", "-m", "ml_assets_tests.benchmarks.sides"]
    measured = measure([*program, str(seconds), "drift_check", step, str(folder), str(out)])
    return json.loads(out.read_text()), measured.megabytes


if __name__ == "__main__":
    main([int(rows) for rows in sys.argv[1:]] or ROWS)
