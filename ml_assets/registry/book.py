"""All that is on record about the versions of one model: its tables, its registry and the promotion log."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import duckdb

from ml_assets.lake import Table
from ml_assets.registry.alike import alike
from ml_assets.registry.mlflow_registry import Registry, Version
from ml_assets.registry.promotion_log import PromotionLog, read_log
from ml_assets.registry.verdicts import (
    GateVerdict,
    Plan,
    PromotionRules,
    newest_candidates,
    plan,
    read_verdicts,
    reference,
)


class Records(Protocol):
    """The tables of one model that promotion reads, and the log that it writes."""

    @property
    def candidate(self) -> Table:
        """What was trained."""

    @property
    def evaluation(self) -> Table:
        """Metrics on the holdouts."""

    @property
    def decisions(self) -> Table:
        """What the gates said."""

    @property
    def promotions(self) -> Table:
        """The promotion log."""


@dataclass(frozen=True)
class Book:
    """All that is on record about the versions of one model, and the rules by which they are promoted."""

    con: duckdb.DuckDBPyConnection
    registry: Registry
    tables: Records
    model: str
    rules: PromotionRules

    def log(self) -> PromotionLog:
        """The promotion log as it is now."""
        return read_log(self.con, self.tables.promotions, self.model)

    def find(self, number: int | None) -> Version | None:
        """The registered version of that number; None for none, or if the registry has lost it."""
        return next((v for v in self.registry.versions(self.model) if v.number == number), None)

    def verdicts(self) -> list[GateVerdict]:
        """The outcome of every decision record."""
        return read_verdicts(self.con, self.tables.decisions)

    def candidates(self) -> dict[date, int]:
        """Cutoff -> the version trained at it last."""
        return newest_candidates(self.con, self.tables.candidate)

    def plan(self, log: PromotionLog | None = None) -> Plan:
        """What to do about the candidates."""
        log = log or self.log()
        return plan(self.verdicts(), log, self.candidates(), self.rules, alike(self.registry, log))

    def reference(self, cutoff: date) -> int | None:
        """The version that a candidate of ``cutoff`` is compared with."""
        log = self.log()
        same = alike(self.registry, log)
        return reference(self.verdicts(), log, self.candidates(), self.rules, cutoff, same)

    def evidence(self, verdict: GateVerdict) -> dict[str, Any]:
        """What a line of the log says of the decision record it leans on: enough to read that record again."""
        return {
            "cutoff": str(verdict.cutoff),
            "passed": verdict.passed,
            "compared_with": verdict.champion_version,
            "decisions": verdict.record,
            "evaluation": self.tables.evaluation.version,
            "holdout": verdict.holdout,
            "policy": verdict.policy,
        }
