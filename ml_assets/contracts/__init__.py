"""Data contracts: what a source promises, as Open Data Contract Standard YAML, enforced in DuckDB."""

from ml_assets.contracts.contract import Contract
from ml_assets.contracts.errors import ContractError
from ml_assets.contracts.model import (
    Closed,
    Column,
    DayRule,
    RowRule,
    Rule,
    RuleResult,
    ServiceRule,
    TrendRule,
)

__all__ = [
    "Closed",
    "Column",
    "Contract",
    "ContractError",
    "DayRule",
    "RowRule",
    "Rule",
    "RuleResult",
    "ServiceRule",
    "TrendRule",
]
