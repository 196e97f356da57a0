"""The book of a model: all that is on record about its versions, and the rules by which they are promoted."""

from datetime import date
from functools import cache
from typing import TYPE_CHECKING

import duckdb

from ml_assets.lake import Lake
from ml_assets.pipeline.holdout import digest_of, holdout_of
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.book import Book
from ml_assets.registry.verdicts import PromotionRules

if TYPE_CHECKING:
    from ml_assets.registry.mlflow_registry import Registry


def book_of(con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, registry: "Registry") -> Book:
    """The model's book; a holdout is read again, at most once, where a rule asks whether it has changed."""

    @cache
    def holdout(cutoff: date) -> str | None:
        return digest_of(holdout_of(con, model, lake, cutoff))

    return Book(
        con,
        registry,
        model.tables(lake),
        model.name,
        PromotionRules(model.policy, model.spec.approval, holdout),
    )
