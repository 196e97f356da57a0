"""A model's records in a scratch lake, and a registry in memory; importable without pytest."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from ml_assets.lake import Lake, Provenance
from ml_assets.project.tables import ModelTables
from ml_assets.registry.book import Book
from ml_assets.registry.mlflow_registry import Registry, RegistryError, Version
from ml_assets.registry.verdicts import GateVerdict, PromotionRules

START = date(2017, 4, 2)
MODEL = "lapse"
POLICY = "policy-of-today"
HOLDOUT = "holdout-of-then"


def week(n: int) -> date:
    return START + timedelta(weeks=n)


def verdict(
    version: int, against: int | None, *, passed: bool = True, cutoff: int | None = None
) -> GateVerdict:
    """The verdict on a version, trained at the week of the same number unless told otherwise."""
    at = week(version if cutoff is None else cutoff)
    reason = "" if passed else "is_calibrated: measured."
    return GateVerdict(at, version, against, passed, reason, HOLDOUT, POLICY)


@dataclass(frozen=True)
class Shelf(Registry):
    """A registry in memory: versions 1 to 9, and where the aliases point."""

    pointing: dict[str, int] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    spoilt: set[int] = field(default_factory=set)
    """The versions whose files have changed."""
    tags: dict[int, dict[str, str]] = field(default_factory=dict)
    """What versions are tagged with beside their cutoff."""

    def version(self, model: str, number: int) -> Version:
        if number > 9 or number in self.gone:
            raise RegistryError(f"Model {model} has no version {number}.")
        return Version(
            model, number, f"run {number}", {"cutoff": str(week(number)), **self.tags.get(number, {})}
        )

    def versions(self, model: str | None = None) -> list[Version]:
        return [self.version(model or MODEL, n) for n in range(1, 10) if n not in self.gone]

    def artifact(self, version: Version) -> Path:
        if version.number in self.spoilt:
            raise RegistryError(f"The files of version {version.number} are not those that were registered.")
        return Path("nowhere")

    def metrics(self, version: Version) -> dict[str, float]:
        return {"holdout_auc": version.number / 10, "tune_loss": 0.3}

    def aliases(self, model: str) -> dict[str, int]:
        return dict(self.pointing)

    def aliases_by_model(self) -> dict[str, dict[str, int]]:
        return {MODEL: dict(self.pointing)}

    def set_alias(self, version: Version, name: str) -> None:
        self.pointing[name] = version.number

    def delete_alias(self, model: str, name: str) -> None:
        self.pointing.pop(name, None)


def book_of(con: duckdb.DuckDBPyConnection, lake: Lake, registry: Registry, model: str = MODEL) -> Book:
    return Book(con, registry, ModelTables.of(lake, model), model, PromotionRules(POLICY))


def under(book: Book, **rules: Any) -> Book:
    """The same book under other rules."""
    return replace(book, rules=replace(book.rules, **rules))


def train(book: Book, version: int, cutoff: int | None = None) -> None:
    """Put a candidate on record."""
    at = week(version if cutoff is None else cutoff)
    rows = book.con.sql(f"SELECT DATE '{at}' AS cutoff, {version}::BIGINT AS model_version")
    book.tables.candidate.append(rows, provenance=Provenance(), about=[at])


def decide(book: Book, *verdicts: GateVerdict, statuses: Sequence[str] = ("PASS",)) -> None:
    """Train the versions and write the records of their verdicts: two gates each, the second of which decides."""
    for one in verdicts:
        train(book, one.version, (one.cutoff - START).days // 7)
        against, policy, holdout = (
            "NULL" if value is None else f"'{value}'"
            for value in (one.champion_version, one.policy, one.holdout)
        )
        status = statuses[0] if one.passed else "FAIL"
        rows = book.con.sql(
            f"SELECT DATE '{one.cutoff}' AS cutoff, {one.version}::BIGINT AS model_version, "
            f"{against}::BIGINT AS champion_version, gate, status, 'seen' AS observed, 'wanted' AS required, reason, "
            f"{holdout}::VARCHAR AS holdout, {policy}::VARCHAR AS policy FROM (VALUES "
            f"('beats_baseline', 'PASS', 'it does.'), ('is_calibrated', '{status}', 'measured.')) "
            "AS gates(gate, status, reason)"
        )
        book.tables.decisions.replace(rows, between=(one.cutoff, one.cutoff), provenance=Provenance())


def moves(book: Book) -> list[tuple[str, int | None, int]]:
    """The lines of the log: what was done, from which version, to which."""
    return [(move.action, move.from_version, move.to_version) for move in book.log().moves]
