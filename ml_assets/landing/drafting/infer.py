"""A first contract, guessed from landing files: one that refuses none of their rows."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from ml_assets.landing.drafting.draft import draft
from ml_assets.landing.drafting.findings import find, typed_table
from ml_assets.landing.drafting.sample import read_sample


def infer(
    con: duckdb.DuckDBPyConnection, files: Sequence[Path], *, name: str, delimiter: str | None = None
) -> str:
    """A contract as YAML text, guessed from landing files of one format and one set of columns.

    Files are CSV (found out which ``delimiter`` unless it is given), JSON lines (both also .gz and .zst) or
    Parquet. Comments say what was guessed, and from how many rows. The contract refuses no row of these files,
    but one without a time to go by. Raises ContractError where a file can't be read, where columns differ
    between files, and where no column says when an event happened.
    """
    sample = read_sample(con, files, delimiter)
    try:
        return draft(find(con, sample), name)
    finally:
        con.execute(f"DROP TABLE IF EXISTS {sample.table}")
        con.execute(f"DROP TABLE IF EXISTS {typed_table(sample)}")
