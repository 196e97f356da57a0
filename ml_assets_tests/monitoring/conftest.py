from collections.abc import Iterator

import duckdb
import numpy as np
import pandas as pd
import pytest

from ml_assets.lake.engine import connect

NUMERIC = ["spend", "trips", "constant", "nothing", "score"]
CATEGORICAL = ["member", "department"]
WEIGHTS = {"spend": 3.0, "trips": 1.0, "department": 1.0}


def day_rows(rows: int, *, days: int = 1, seed: int = 0, shift: float = 0.0) -> pd.DataFrame:
    """Rows of a stable world; ``shift`` moves ``spend`` by that many deviations."""
    rng = np.random.default_rng(seed)
    n = rows * days
    return pd.DataFrame(
        {
            "as_of": np.repeat(pd.date_range("2017-06-04", periods=days, freq="W"), rows),
            "spend": rng.normal(shift, 1.0, n),
            "trips": np.where(rng.random(n) < 0.6, 0, rng.poisson(5, n)),
            "constant": 3.0,
            "nothing": np.full(n, np.nan),
            "score": rng.random(n),
            "member": rng.random(n) < 0.3,
            "department": rng.choice(["GROCERY", "DELI", "DRUG"], n, p=[0.7, 0.2, 0.1]),
        }
    )


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection
