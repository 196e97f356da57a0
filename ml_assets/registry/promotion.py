"""Promotion: make a version champion, by its evidence, by approval or by override; the aliases follow the log."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Protocol

import duckdb

from ml_assets.lake import Table
from ml_assets.registry.mlflow_registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Registry,
    RegistryError,
    Version,
)
from ml_assets.registry.promotion_log import Action, Move, PromotionLog, read_log, write_moves
from ml_assets.registry.verdicts import (
    Plan,
    Rules,
    Verdict,
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
    rules: Rules

    def log(self) -> PromotionLog:
        """The promotion log as it is now."""
        return read_log(self.con, self.tables.promotions, self.model)

    def verdicts(self) -> list[Verdict]:
        """The outcome of every decision record."""
        return read_verdicts(self.con, self.tables.decisions)

    def candidates(self) -> dict[date, int]:
        """Cutoff -> the version trained at it last."""
        return newest_candidates(self.con, self.tables.candidate)

    def plan(self, log: PromotionLog | None = None) -> Plan:
        """What to do about the candidates."""
        return plan(self.verdicts(), log or self.log(), self.candidates(), self.rules)

    def reference(self, cutoff: date) -> int | None:
        """The version that a candidate of ``cutoff`` is compared with."""
        return reference(self.verdicts(), self.log(), self.candidates(), self.rules, cutoff)

    def evidence(self, verdict: Verdict) -> dict[str, Any]:
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


@dataclass(frozen=True)
class Outcome:
    """What following the decision records did."""

    champion: Version | None
    challenger: Version | None
    plan: Plan
    refused_newest: str
    """Why the newest candidate was refused, or why there is no champion; else empty."""
    notes: tuple[str, ...]
    """What had to be put right before: aliases that didn't say what the log says."""


@dataclass(frozen=True)
class Moved:
    """The champion before and after a move, and what had to be put right before it."""

    before: int | None
    after: Version
    notes: tuple[str, ...] = ()


def promote(book: Book, *, who: str, run: str) -> Outcome:
    """Follow the decision records: promote every version that earned it, or name the one that waits for approval.

    All moves are one commit of the log, then the aliases follow; killed in between, the next call makes them
    follow and says so. Raises RegistryError, with nothing changed, if somebody else moved the champion meanwhile.
    """
    notes = follow(book)
    log = book.log()
    todo = book.plan(log)
    moves, current = [], log.champion
    for verdict in todo.promote:
        version = book.registry.version(book.model, verdict.version)
        reason = f"passed every gate at cutoff {verdict.cutoff}; run {run}"
        evidence = book.evidence(verdict)
        moves.append(
            Move("promote", current, version.number, verdict.cutoff, who, reason, evidence),
        )
        current = version.number
    if moves:
        write_moves(book.con, book.tables.promotions, log, moves)
        follow(book)
    champion = book.registry.champion(book.model) if current is not None else None
    refused = "" if moves else _refused(todo, log, champion)
    return Outcome(champion, book.registry.alias(book.model, CHALLENGER), todo, refused, notes)


def _refused(todo: Plan, log: PromotionLog, champion: Version | None) -> str:
    kept = f"Version {champion.number} stays champion." if champion else "There is no champion yet."
    newer = [(v, why) for v, why in todo.refuse if log.cutoff is None or v.cutoff > log.cutoff]
    if todo.wait:
        waits = f"Version {todo.challenger} passed and waits: ml-assets approve {log.model} --why TEXT."
        return "" if champion else f"{kept} {waits}"
    if newer:
        verdict, why = newer[-1]
        return (
            f"Version {verdict.version} of cutoff {verdict.cutoff} is not promoted. {why.rstrip('.')}. {kept}"
        )
    if log.champion is not None and champion is None:
        return (
            f"The champion, version {log.champion}, is not in the registry: {_LOST.format(model=log.model)}."
        )
    if champion is None:
        return (
            f"There is no champion, and no candidate of {log.model} has been evaluated: "
            f"materialize {log.model}/evaluation."
        )
    return ""


def approve(book: Book, *, who: str, reason: str, version: int | None = None) -> Moved:
    """Promote a version that passed and waits, by default the newest, after reading its evidence again.

    Raises RegistryError, with nothing changed, where that evidence is missing, failed, stale or overtaken.
    """
    return _by_evidence(book, "approve", who, reason, version)


def promote_version(book: Book, *, who: str, reason: str, version: int) -> Moved:
    """Promote one version that passed. Raises RegistryError as ``approve``, and where a person must approve."""
    if book.rules.approval == "manual":
        raise RegistryError(
            f"Promotion of {book.model} waits for approval: ml-assets approve {book.model} {version} --why TEXT."
        )
    return _by_evidence(book, "promote", who, reason, version)


def override(book: Book, *, who: str, reason: str, version: int) -> Moved:
    """Make a version champion whatever its evidence says; who and why are on record for good."""
    notes = follow(book)
    log, target = book.log(), book.registry.version(book.model, version)
    if version == log.champion:
        raise RegistryError(f"Version {version} of {book.model} is champion already.")
    if "cutoff" not in target.tags:
        raise RegistryError(
            f"Version {version} of {book.model} has no tag cutoff, so it isn't known what it may have seen. "
            f"Train one with {book.model}/candidate, or set the tag in MLflow."
        )
    found = [verdict for verdict in book.verdicts() if verdict.version == version]
    evidence = book.evidence(found[-1]) if found else None
    return move(book, log, "override", target, who, reason, evidence, notes)


def _by_evidence(book: Book, action: Action, who: str, reason: str, version: int | None) -> Moved:
    notes = follow(book)
    log = book.log()
    asked = replace(book, rules=replace(book.rules, approval="manual")).plan(log)
    verdict = _one_of(book, log, asked, version)
    target = book.registry.version(book.model, verdict.version)
    return move(book, log, action, target, who, reason, book.evidence(verdict), notes)


def _one_of(book: Book, log: PromotionLog, asked: Plan, version: int | None) -> Verdict:
    """The verdict that lets ``version`` (None: the newest) be promoted. Raises RegistryError in words."""
    refused = {verdict.version: (verdict, why) for verdict, why in asked.refuse}
    if version is None:
        if asked.wait:
            return asked.wait[-1]
        if not refused:
            raise RegistryError(f"No candidate of {book.model} waits: nothing has passed since the champion.")
        version = asked.refuse[-1][0].version
    for verdict in asked.wait:
        if verdict.version == version:
            return verdict
    if version in refused:
        verdict, why = refused[version]
        raise RegistryError(
            f"Version {version} of cutoff {verdict.cutoff} is not promoted. {why.rstrip('.')}."
        )
    cutoff = book.registry.version(book.model, version).cutoff
    if version == log.champion:
        raise RegistryError(f"Version {version} of {book.model} is champion already.")
    if version in log.champions:
        raise RegistryError(
            f"Version {version} of {book.model} was champion before; to go back to it: "
            f"ml-assets rollback {book.model} --to {version} --why TEXT."
        )
    raise RegistryError(
        f"Version {version} of {book.model} has no decision record that it passed. Materialize "
        f"{book.model}/evaluation of {cutoff} while it is the candidate of that cutoff, or promote it with "
        "--override."
    )


def move(
    book: Book,
    log: PromotionLog,
    action: Action,
    target: Version,
    who: str,
    reason: str,
    evidence: dict[str, Any] | None,
    notes: Sequence[str],
) -> Moved:
    """Write one line of the log and make the aliases follow. Raises RegistryError without a name or a reason."""
    if not who.strip() or not reason.strip():
        raise RegistryError(f"To {action} version {target.number} of {book.model}, say who and why.")
    line = Move(action, log.champion, target.number, target.cutoff, who, reason, evidence)
    write_moves(book.con, book.tables.promotions, log, [line])
    follow(book)
    return Moved(log.champion, target, tuple(notes))


_LOST = (
    "restore the registry's database, or go to another version with ml-assets rollback {model} --to VERSION"
)


def follow(book: Book) -> tuple[str, ...]:
    """Make the aliases say what the log says; return what they said of champion and previous that was wrong.

    Without any log they are left alone: the lake may be another than the one they come from. Looks at the log again
    afterwards: of two that follow at once, the last one leaves the newest state.
    """
    notes: dict[str, None] = {}
    while True:
        log = book.log()
        notes |= dict.fromkeys(_set_aliases(book, log))
        if book.log().version == log.version:
            return tuple(notes)


def _set_aliases(book: Book, log: PromotionLog) -> list[str]:
    registry, model, notes = book.registry, book.model, []
    waiting = book.plan(log).challenger if book.rules.approval == "manual" else None
    wanted = {CHAMPION: log.champion, PREVIOUS: log.previous, CHALLENGER: waiting}
    known = {version.number: version for version in registry.versions(model)}
    found = registry.aliases(model)
    for name, number in wanted.items():
        if number is not None and number not in known:
            notes.append(
                f"{name} of {model} is version {number} by the promotion log, but the registry has no such version: "
                + _LOST.format(model=model)
            )
            number = None
        if found.get(name) == number:
            continue
        if log.version == 0 and name != CHALLENGER:
            notes.append(
                f"the alias {name} of {model} says version {found[name]}, but there is no promotion log at "
                f"{book.tables.promotions.uri}: the alias is left alone. If that is the right lake, say it on record "
                f"with ml-assets promote {model} {found[name]} --override."
            )
            continue
        if number is None:
            registry.delete_alias(model, name)
        else:
            registry.set_alias(known[number], name)
        if name != CHALLENGER:
            said, now = (f"version {n}" if n else "no version" for n in (found.get(name), number))
            notes.append(
                f"the alias {name} of {model} said {said}, the promotion log {now}: it follows the log again"
            )
    return notes
