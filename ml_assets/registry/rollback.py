"""Rollback: back to a version that was champion before, once it has shown that it still predicts."""

from collections.abc import Callable
from dataclasses import dataclass

from ml_assets.registry.aliases import follow
from ml_assets.registry.alike import WITHDREW, identity
from ml_assets.registry.book import Book
from ml_assets.registry.in_use import ways_out
from ml_assets.registry.mlflow_registry import RegistryError, Version
from ml_assets.registry.promotion import ChampionMoved, move
from ml_assets.registry.promotion_log import PromotionLog

Smoke = Callable[[Version], str]
"""Predict something with a version, and say what; raises whatever goes wrong."""


@dataclass(frozen=True)
class RolledBack:
    """The move, and what the smoke predictions said: of the target before it, of the champion after it."""

    moved: ChampionMoved
    before: str
    after: str


def rollback(book: Book, *, who: str, reason: str, smoke: Smoke, to: int | None = None) -> RolledBack:
    """Move the champion back: to version ``to``, or to the one before it.

    The version moved away from is not promoted again by itself, under no number. Raises RegistryError, with everything as it
    was, if there is no champion, nothing to go back to, or the target can't predict.
    """
    notes = follow(book)
    log = book.log()
    target = book.registry.version(book.model, _target(book, log, to))
    try:
        before = smoke(target)
    except Exception as error:
        why = str(error) if isinstance(error, RegistryError) else f"{type(error).__name__}: {error}"
        raise RegistryError(
            f"Version {target.number} of {book.model} can't predict, so version {log.champion} stays champion and "
            f"nothing was changed. {why.rstrip('.')}. Take another version with --to."
        ) from error
    left = book.find(log.champion)
    withdrew = {WITHDREW: identity(left.tags)} if left else None
    moved = move(book, log, "rollback", target, who, reason, withdrew, notes)
    log = book.log()
    champion = book.find(log.champion)
    if champion is None:
        raise RegistryError(
            f"The champion of {book.model} is not in the registry any more. {ways_out(book.registry, log)}"
        )
    return RolledBack(moved, before, smoke(champion))


def _target(book: Book, log: PromotionLog, to: int | None) -> int:
    model, champion = book.model, log.champion
    if champion is None:
        raise RegistryError(f"Model {model} has no champion, so there is nothing to roll back.")
    others = sorted(log.champions - {champion})
    if to is None:
        to = log.previous
    if to is None:
        if not others:
            raise RegistryError(
                f"Version {champion} of {model} is its first champion: nothing to go back to."
            )
        raise RegistryError(
            f"No version before {champion} of {model} is left; name the version to go to with --to, one of "
            f"{', '.join(map(str, others))}."
        )
    if to == champion:
        raise RegistryError(f"Version {to} of {model} is champion already.")
    if to not in others:
        raise RegistryError(
            f"Version {to} of {model} has never been champion, so there is no going back to it; "
            f"{', '.join(map(str, others)) or 'no other version'} has. To promote it against its evidence: "
            f"ml-assets models promote {model} {to} --override --who NAME --why TEXT."
        )
    return to
