from collections.abc import Iterator

import duckdb
import pytest

from ml_assets.lake import connect


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection
