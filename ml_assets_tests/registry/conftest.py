from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ml_assets.lake import Lake, connect
from ml_assets.registry.book import Book
from ml_assets.registry.mlflow_registry import Registry
from ml_assets_tests.registry.shelf import Shelf, book_of


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf("nowhere", "nowhere")


@pytest.fixture
def book(con: duckdb.DuckDBPyConnection, lake: Lake, shelf: Shelf) -> Book:
    return book_of(con, lake, shelf)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """An MLflow registry in SQLite, migrated once for all tests; each uses a model name of its own."""
    registry = Registry.below(tmp_path_factory.mktemp("registry"))
    registry.prepare()
    return registry
