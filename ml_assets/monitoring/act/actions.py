"""The log of what was done about a model and why, also when nothing was: a row for every decision that differs."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from ml_assets.instance import clock
from ml_assets.lake import Provenance, Table, records
from ml_assets.monitoring.act.decide import Action, Situation
from ml_assets.monitoring.tables import ACTIONS

COMPARED = ("as_of", "action", "trigger", "why", "champion_version", "cutoff", "evidence_id", "decided_by")


@dataclass(frozen=True)
class ActionLog:
    """The actions of one model, in the table ``<model>/actions``, partitioned by month."""

    table: Table
    model: str

    def newest(self, con: duckdb.DuckDBPyConnection, count: int) -> list[dict[str, Any]]:
        """The newest ``count`` rows, the newest first."""
        if not self.table.exists:
            return []
        rows = self.table.read(con).order('"at" DESC').limit(count).to_arrow_table().to_pylist()
        return [dict(row) for row in rows]

    def note(
        self, con: duckdb.DuckDBPyConnection, action: Action, situation: Situation, decided_by: str
    ) -> bool:
        """Append a decision, unless the last one by the same decider says the same of the same day."""
        noted = self.newest(con, 20)
        now = clock.now_after(noted[0]["at"]) if noted else clock.now()
        row = {
            "at": now,
            "as_of": situation.today,
            "model": self.model,
            "action": action.kind,
            "trigger": action.trigger,
            "why": action.why,
            "champion_version": situation.champion.version if situation.champion else None,
            "cutoff": situation.mature,
            "evidence_id": action.evidence.evidence_id if action.evidence else None,
            "decided_by": decided_by,
            "month": date(now.year, now.month, 1),
        }
        last = [one for one in noted if one["decided_by"] == decided_by]
        if last and all(last[0][name] == row[name] for name in COMPARED):
            return False
        self.table.append(
            records(con, [row], ACTIONS.types), provenance=Provenance(facts={"action": action.kind})
        )
        return True
