"""The drift check: ours, from DuckDB scans of the files, and Evidently's preset, from pandas frames of them."""

import json
from pathlib import Path
from time import perf_counter

from ml_assets_tests.benchmarks.drift import CATEGORICAL, NUMERIC


def ours(folder: Path, out: Path) -> None:
    """Profile the reference, then measure the current rows and judge them."""
    import scipy.special  # noqa: F401  an import, not work

    from ml_assets.lake import connect
    from ml_assets.monitoring.measure.drift import judge_day, measure
    from ml_assets.monitoring.measure.profile import build_profile
    from ml_assets.monitoring.spec import MonitoringPolicy

    policy = MonitoringPolicy()
    with connect() as con:
        started = perf_counter()
        reference = con.read_parquet(str(folder / "reference.parquet"))
        profiles = build_profile(con, reference, numeric=NUMERIC, categorical=CATEGORICAL)
        profiled = perf_counter()
        drifts = measure(con, con.read_parquet(str(folder / "current.parquet")), profiles, policy)
        judge_day(drifts, policy)
        ended = perf_counter()
    moved = {drift.feature for drift in drifts if drift.breached and drift.kind != "volume"}
    assert moved == set(NUMERIC[:10]), f"{sorted(moved)} moved"
    out.write_text(json.dumps({"profile": profiled - started, "measure": ended - profiled}))


def evidently(folder: Path, out: Path) -> None:
    """Run the preset; its HTML is not asked for."""
    import os

    os.environ.setdefault("DO_NOT_TRACK", "1")
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=NUMERIC, categorical_columns=CATEGORICAL)
    started = perf_counter()
    sides = [
        Dataset.from_pandas(
            pd.read_parquet(folder / f"{name}.parquet", columns=NUMERIC + CATEGORICAL), definition
        )
        for name in ("current", "reference")
    ]
    Report([DataDriftPreset()]).run(*sides).dict()
    out.write_text(json.dumps({"preset": perf_counter() - started}))
