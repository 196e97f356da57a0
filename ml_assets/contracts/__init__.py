"""Data contracts: what a source promises, as Open Data Contract Standard YAML, enforced in DuckDB."""

from ml_assets.contracts.contract import Contract
from ml_assets.contracts.errors import ContractError
from ml_assets.contracts.model import Column, DayRule, RowRule, RuleResult

__all__ = ["Column", "Contract", "ContractError", "DayRule", "RowRule", "RuleResult"]
