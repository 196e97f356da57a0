"""Promotion: make a version champion, by its evidence, by approval or by override; the aliases follow the log."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml_assets.registry.aliases import follow
from ml_assets.registry.book import Book
from ml_assets.registry.in_use import ways_out
from ml_assets.registry.mlflow_registry import RegistryError, Version
from ml_assets.registry.promotion_log import Action, Move, PromotionLog, write_moves
from ml_assets.registry.verdicts import GateVerdict, Plan


@dataclass(frozen=True)
class Followed:
    """What following the decision records did."""

    champion: Version | None
    challenger: Version | None
    plan: Plan
    refused_newest: str
    """Why the newest candidate was refused, or why there is no champion; else empty."""
    notes: tuple[str, ...]
    """What had to be put right before: aliases that didn't say what the log says."""


@dataclass(frozen=True)
class ChampionMoved:
    """The champion before and after a move, and what had to be put right before it."""

    before: int | None
    after: Version
    notes: tuple[str, ...] = ()


def promote(book: Book, *, who: str, run: str) -> Followed:
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
    champion = book.find(current)
    refused = "" if moves else _refused(book, todo, log, champion)
    return Followed(champion, book.find(todo.challenger), todo, refused, notes)


def _refused(book: Book, todo: Plan, log: PromotionLog, champion: Version | None) -> str:
    if log.champion is not None and champion is None:
        return f"The champion, version {log.champion}, is not in the registry. {ways_out(book.registry, log)}"
    kept = f"Version {champion.number} stays champion." if champion else "There is no champion yet."
    newer = [(v, why) for v, why in todo.refuse if log.cutoff is None or v.cutoff > log.cutoff]
    if todo.wait:
        waits = (
            f"Version {todo.challenger} passed and waits: ml-assets models approve {log.model} --why TEXT."
        )
        return "" if champion else f"{kept} {waits}"
    if newer:
        verdict, why = newer[-1]
        return (
            f"Version {verdict.version} of cutoff {verdict.cutoff} is not promoted. {why.rstrip('.')}. {kept}"
        )
    if champion is None:
        return (
            f"There is no champion, and no candidate of {log.model} has been evaluated: "
            f"materialize {log.model}/evaluation."
        )
    return ""


def approve(book: Book, *, who: str, reason: str, version: int | None = None) -> ChampionMoved:
    """Promote a version that passed and waits, by default the newest, after reading its evidence again.

    Raises RegistryError, with nothing changed, where that evidence is missing, failed, stale or overtaken.
    """
    return _by_evidence(book, "approve", who, reason, version)


def promote_version(book: Book, *, who: str, reason: str, version: int) -> ChampionMoved:
    """Promote one version that passed. Raises RegistryError as ``approve``, and where a person must approve."""
    if book.rules.approval == "manual":
        raise RegistryError(
            f"Promotion of {book.model} waits for approval: ml-assets models approve {book.model} {version} --why TEXT."
        )
    return _by_evidence(book, "promote", who, reason, version)


def override(book: Book, *, who: str, reason: str, version: int) -> ChampionMoved:
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


def _by_evidence(book: Book, action: Action, who: str, reason: str, version: int | None) -> ChampionMoved:
    notes = follow(book)
    log = book.log()
    asked = replace(book, rules=replace(book.rules, approval="manual")).plan(log)
    verdict = _one_of(book, log, asked, version)
    target = book.registry.version(book.model, verdict.version)
    return move(book, log, action, target, who, reason, book.evidence(verdict), notes)


def _one_of(book: Book, log: PromotionLog, asked: Plan, version: int | None) -> GateVerdict:
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
            f"ml-assets models rollback {book.model} --to {version} --why TEXT."
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
) -> ChampionMoved:
    """Write one line of the log and make the aliases follow. Raises RegistryError without a name or a reason."""
    if not who.strip() or not reason.strip():
        raise RegistryError(f"To {action} version {target.number} of {book.model}, say who and why.")
    line = Move(action, log.champion, target.number, target.cutoff, who, reason, evidence)
    write_moves(book.con, book.tables.promotions, log, [line])
    follow(book)
    return ChampionMoved(log.champion, target, tuple(notes))
