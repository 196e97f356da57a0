from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ml_assets.lake import Lake, Table, connect


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Lake(str(tmp_path / "lake")).table("shop/events", "day")
