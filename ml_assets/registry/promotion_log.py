"""The promotion log: every move of the champion, in the lake. It is the truth; the registry's aliases follow it.

The table is append-only. A line is written only if the log is still as its writer has read it, so of two
that move the champion at once, in whatever processes, one wins and the other is told.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from operator import eq
from typing import Any, Literal

import duckdb

from ml_assets.instance import clock
from ml_assets.lake import Provenance, Table, records
from ml_assets.lake.errors import Overtaken
from ml_assets.registry.mlflow_registry import RegistryError
from ml_assets.registry.tables import PROMOTIONS

Action = Literal["promote", "approve", "override", "rollback"]
"""Promoted by its evidence; by its evidence and a person; by a person against it; moved back."""

NEVER = datetime.min.replace(tzinfo=UTC)
DID: dict[str, str] = {
    "promote": "promoted",
    "approve": "approved",
    "override": "promoted, against its evidence,",
    "rollback": "rolled back to",
}


@dataclass(frozen=True)
class Move:
    """One line of the log. ``evidence`` names the decision record it leans on, or what a rollback withdrew."""

    action: Action
    from_version: int | None
    to_version: int
    cutoff: date
    who: str
    reason: str
    evidence: Mapping[str, Any] | None = None
    at: datetime = NEVER
    """When it was written; the log sets it, later than that of every line before."""

    def in_words(self) -> str:
        """Who did what, when and why."""
        return f"{self.who} {DID[self.action]} version {self.to_version} at {self.at:%Y-%m-%d %H:%M} UTC: {self.reason}"


@dataclass(frozen=True)
class PromotionLog:
    """The log of one model as it was read: its lines, oldest first, and the table's version (0: no table)."""

    model: str
    moves: tuple[Move, ...] = ()
    version: int = 0

    @property
    def champion(self) -> int | None:
        """The version in use."""
        return self.moves[-1].to_version if self.moves else None

    @property
    def cutoff(self) -> date | None:
        """The champion's cutoff."""
        return self.moves[-1].cutoff if self.moves else None

    @property
    def champions(self) -> frozenset[int]:
        """Every version that is or was champion."""
        return frozenset(move.to_version for move in self.moves)

    @property
    def withdrawn(self) -> frozenset[int]:
        """The versions a rollback moved away from and no later move brought back."""
        return frozenset(self.withdrawals())

    def withdrawals(self, alike: Callable[[int, int], bool] = eq) -> dict[int, Move]:
        """Version -> the rollback that moved away from it, if no later move brought it, or one ``alike``, back."""
        away: dict[int, Move] = {}
        for move in self.moves:
            if move.action == "rollback" and move.from_version is not None:
                away[move.from_version] = move
            away = {number: by for number, by in away.items() if not alike(number, move.to_version)}
        return away

    @property
    def previous(self) -> int | None:
        """The version that the champion took over from; if that was withdrawn, the one before it."""
        came_from = {m.to_version: m.from_version for m in self.moves if m.action != "rollback"}
        seen, version = {self.champion}, came_from.get(self.champion or 0)
        while version in self.withdrawn and version not in seen:
            seen.add(version)
            version = came_from.get(version or 0)
        return None if version in seen else version


@dataclass(frozen=True)
class ChampionOnRecord:
    """The version in use, and the cutoff up to which it knows anything."""

    version: int
    cutoff: date


def champion_on_record(
    con: duckdb.DuckDBPyConnection, promotions: Table, model: str
) -> ChampionOnRecord | None:
    """Who is champion, and of which cutoff. Everything that uses or watches the champion asks this."""
    log = read_log(con, promotions, model)
    return ChampionOnRecord(log.moves[-1].to_version, log.moves[-1].cutoff) if log.moves else None


def read_log(con: duckdb.DuckDBPyConnection, promotions: Table, model: str) -> PromotionLog:
    """The log as it is now."""
    version = promotions.version
    if version is None:
        return PromotionLog(model)
    rows = promotions.read(con, version=version).order('"at"').to_arrow_table().to_pylist()
    return PromotionLog(model, tuple(_move(row) for row in rows), version)


def _move(row: Mapping[str, Any]) -> Move:
    evidence = row.get("evidence")
    known = {name: row[name] for name in ("action", "from_version", "to_version", "cutoff", "who", "reason")}
    return Move(**known, evidence=json.loads(evidence) if evidence else None, at=row["at"])


def write_moves(
    con: duckdb.DuckDBPyConnection, promotions: Table, log: PromotionLog, moves: Sequence[Move]
) -> None:
    """Append lines to the log, in one commit, if it still says what ``log`` says.

    Raises RegistryError in words, and writes nothing, if somebody else has moved the champion since.
    """
    while True:
        newest = log.moves[-1].at if log.moves else NEVER
        start = clock.now_after(newest)
        timed = [replace(move, at=start + timedelta(microseconds=n)) for n, move in enumerate(moves)]
        rows = records(con, [_row(log.model, move) for move in timed], PROMOTIONS.types)
        try:
            promotions.append(
                rows, provenance=Provenance(facts={"action": moves[-1].action}), after=log.version
            )
            return
        except Overtaken as overtaken:
            now = read_log(con, promotions, log.model)
            if now.moves != log.moves:
                raise RegistryError(
                    f"Somebody else has moved the champion of {log.model} meanwhile: {now.moves[-1].in_words()}. "
                    f"Nothing was changed here. See `ml-assets models list {log.model}`, and run it again if it is "
                    "still wanted."
                ) from overtaken
            log = now


def _row(model: str, move: Move) -> dict[str, Any]:
    return {
        **vars(move),
        "model": model,
        "evidence": None if move.evidence is None else json.dumps(move.evidence, default=str),
        "month": move.at.date().replace(day=1),
    }
