"""Data contracts: what a source promises, as Open Data Contract Standard YAML, enforced in DuckDB.

``compile`` makes a Contract of a file, ``enforce`` holds rows and days against it, ``compare`` says what changes
from one file to another.
"""

from ml_assets.contracts.contract import (
    Closed,
    Column,
    Contract,
    DayRule,
    Limit,
    RowRule,
    Rule,
    ServiceRule,
    TrendRule,
)
from ml_assets.contracts.errors import ContractError

__all__ = [
    "Closed",
    "Column",
    "Contract",
    "ContractError",
    "DayRule",
    "Limit",
    "RowRule",
    "Rule",
    "ServiceRule",
    "TrendRule",
]
