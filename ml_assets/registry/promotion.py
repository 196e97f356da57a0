"""Promotion: which candidate may become champion, by the evidence on record, and the log of what was done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import duckdb

from ml_assets.lake import Table, records
from ml_assets.registry.mlflow_registry import Registry, RegistryError, Version

PROMOTION_COLUMNS = {
    "model": "VARCHAR",
    "at": "TIMESTAMPTZ",
    "action": "VARCHAR",
    "from_version": "BIGINT",
    "to_version": "BIGINT",
    "cutoff": "DATE",
    "who": "VARCHAR",
    "reason": "VARCHAR",
    "month": "DATE",
}


@dataclass(frozen=True)
class Verdict:
    """The outcome of a decision record: did that version pass every gate, and against which champion."""

    cutoff: date
    version: int
    champion_version: int | None
    passed: bool
    reason: str


def reference(verdicts: Sequence[Verdict], withdrawn: Sequence[int], cutoff: date) -> int | None:
    """The version a candidate of ``cutoff`` is compared with: the newest that passed at an earlier cutoff.

    Versions a rollback moved away from are left out. Walking forward over cutoffs, this is the version
    that is champion at that point, whether or not it has been promoted yet.
    """
    passed = [v for v in verdicts if v.passed and v.cutoff < cutoff and v.version not in withdrawn]
    return max(passed, key=lambda v: (v.cutoff, v.version)).version if passed else None


@dataclass(frozen=True)
class Plan:
    """What to do about the candidates that wait, oldest cutoff first."""

    promote: tuple[Verdict, ...]
    refuse: tuple[tuple[Verdict, str], ...]


def plan(
    verdicts: Sequence[Verdict], withdrawn: Sequence[int], champion: int | None, champion_cutoff: date | None
) -> Plan:
    """Walk the verdicts newer than the champion in the order of cutoffs.

    A verdict is followed only if it passed, was not withdrawn, and compared the candidate with the very
    version that is champion at its turn; anything else is refused with a reason.
    """
    promote: list[Verdict] = []
    refuse: list[tuple[Verdict, str]] = []
    current = champion
    for verdict in sorted(verdicts, key=lambda v: (v.cutoff, v.version)):
        if champion_cutoff is not None and verdict.cutoff <= champion_cutoff:
            continue
        if verdict.version in withdrawn:
            refuse.append(
                (verdict, f"version {verdict.version} was rolled back; a newer candidate is needed")
            )
        elif not verdict.passed:
            refuse.append((verdict, verdict.reason))
        elif verdict.champion_version != current:
            against = f"version {verdict.champion_version}" if verdict.champion_version else "no champion"
            now = f"version {current}" if current else "none"
            refuse.append(
                (
                    verdict,
                    f"its evidence compares with {against}, but the champion is {now}: evaluate it again",
                )
            )
        else:
            promote.append(verdict)
            current = verdict.version
    return Plan(tuple(promote), tuple(refuse))


def log_promotion(
    con: duckdb.DuckDBPyConnection,
    log: Table,
    *,
    model: str,
    action: str,
    from_version: int | None,
    to_version: int,
    cutoff: date,
    who: str,
    reason: str,
) -> None:
    """Append one line to the promotion log. ``action`` is ``promote`` or ``rollback``."""
    now = datetime.now(tz=UTC)
    row = {
        "model": model,
        "at": now,
        "action": action,
        "from_version": from_version,
        "to_version": to_version,
        "cutoff": cutoff,
        "who": who,
        "reason": reason,
        "month": now.date().replace(day=1),
    }
    log.append(records(con, [row], PROMOTION_COLUMNS), metadata={"action": action})


def withdrawn(con: duckdb.DuckDBPyConnection, log: Table) -> list[int]:
    """The versions a rollback moved away from and no later promotion brought back."""
    if not log.exists:
        return []
    rows = log.read(con, columns=["action", "from_version", "to_version", "at"]).order('"at"').fetchall()
    away: set[int] = set()
    for action, from_version, to_version, _ in rows:
        if action == "rollback" and from_version is not None:
            away.add(from_version)
        away.discard(to_version)
    return sorted(away)


@dataclass(frozen=True)
class Outcome:
    """What materializing the champion did."""

    champion: Version | None
    plan: Plan
    refused_newest: str
    """Why the newest candidate was refused, when nothing was promoted; else empty."""


def read_verdicts(con: duckdb.DuckDBPyConnection, decisions: Table) -> list[Verdict]:
    """The outcome of every decision record, oldest cutoff first."""
    if not decisions.exists:
        return []
    rows = (
        decisions.read(
            con, columns=["cutoff", "model_version", "champion_version", "gate", "status", "reason"]
        )
        .aggregate(
            "cutoff, model_version, champion_version, bool_and(status = 'PASS') AS passed, "
            "coalesce(string_agg(gate || ': ' || reason, ' ' ORDER BY gate) FILTER (WHERE status <> 'PASS'), '') AS reason"
        )
        .order("cutoff")
        .fetchall()
    )
    return [Verdict(*row) for row in rows]


def promote(
    con: duckdb.DuckDBPyConnection,
    registry: Registry,
    decisions: Table,
    promotions: Table,
    *,
    model: str,
    who: str,
    run: str,
) -> Outcome:
    """Follow the decision records: log every move, and move the alias to each version that earned it.

    The log comes first: killed in between, the next call does the move again, and says so in the log.
    """
    verdicts = read_verdicts(con, decisions)
    champion = registry.champion(model)
    todo = plan(
        verdicts,
        withdrawn(con, promotions),
        champion.number if champion else None,
        champion.cutoff if champion else None,
    )
    for verdict in todo.promote:
        version = registry.version(model, verdict.version)
        log_promotion(
            con,
            promotions,
            model=model,
            action="promote",
            from_version=champion.number if champion else None,
            to_version=version.number,
            cutoff=verdict.cutoff,
            who=who,
            reason=f"passed every gate at cutoff {verdict.cutoff}; run {run}",
        )
        registry.set_champion(version)
        champion = version
    refused = ""
    if not todo.promote and todo.refuse:
        verdict, why = todo.refuse[-1]
        kept = f"Version {champion.number} stays champion." if champion else "There is no champion yet."
        refused = f"Version {verdict.version} of cutoff {verdict.cutoff} is not promoted. {why} {kept}"
    elif champion is None:
        refused = f"There is no champion, and no candidate of {model} has been evaluated: materialize {model}/evaluation."
    return Outcome(champion, todo, refused)


def rollback(
    con: duckdb.DuckDBPyConnection,
    registry: Registry,
    promotions: Table,
    *,
    model: str,
    who: str,
    reason: str,
    to: int | None = None,
) -> tuple[Version, Version]:
    """Move the alias back: to version ``to``, or to the one before the champion. Returns (from, to).

    The version moved away from is not promoted again by itself. Raises RegistryError if there is no
    champion or nothing to go back to.
    """
    champion = registry.champion(model)
    if champion is None:
        raise RegistryError(f"Model {model} has no champion, so there is nothing to roll back.")
    if to is None:
        to = _predecessor(con, promotions, champion.number)
    if to is None:
        raise RegistryError(
            f"Version {champion.number} of {model} is the first champion; name the version to go to with --to."
        )
    target = registry.version(model, to)
    log_promotion(
        con,
        promotions,
        model=model,
        action="rollback",
        from_version=champion.number,
        to_version=target.number,
        cutoff=target.cutoff,
        who=who,
        reason=reason,
    )
    registry.set_champion(target)
    return champion, target


def _predecessor(con: duckdb.DuckDBPyConnection, promotions: Table, version: int) -> int | None:
    if not promotions.exists:
        return None
    rows = (
        promotions.read(con, columns=["from_version", "to_version", "action", "at"])
        .filter(f"to_version = {version} AND action = 'promote'")
        .order('"at" DESC')
        .fetchall()
    )
    return rows[0][0] if rows else None
