"""The aliases in MLflow follow the promotion log, and are put right at every start where they don't.

Nothing in the project reads them: they are for MLflow's UI, and for whoever loads ``models:/<model>@champion``.
"""

from collections.abc import Mapping

from ml_assets.lake import Lake, connect
from ml_assets.lake.maintenance import owners
from ml_assets.registry.book import Book
from ml_assets.registry.in_use import ways_out
from ml_assets.registry.mlflow_registry import Registry
from ml_assets.registry.promotion_log import PromotionLog, read_log
from ml_assets.registry.tables import PROMOTIONS

CHAMPION = "champion"
PREVIOUS = "previous"
"""The version before the champion: where a rollback goes."""
CHALLENGER = "challenger"
"""The newest version that passed and waits for approval."""

Names = Mapping[str, int | None]
"""Alias -> the version that has it; None: nobody has."""


def names(book: Book, log: PromotionLog) -> dict[str, int | None]:
    """Who has which name, by the log; who waits for approval, by the decision records."""
    waiting = book.plan(log).challenger if book.rules.approval == "manual" else None
    return {CHAMPION: log.champion, PREVIOUS: log.previous, CHALLENGER: waiting}


def names_of(book: Book, version: int) -> tuple[str, ...]:
    """The names of one version, in order."""
    return tuple(sorted(name for name, number in names(book, book.log()).items() if number == version))


def follow(book: Book) -> tuple[str, ...]:
    """Make the aliases say what is on record; return what they said of champion and previous that was wrong.

    Without any log those two are left alone: the lake may be another than the one they come from. Looks at the log
    again afterwards: of two that follow at once, the last one leaves the newest state.
    """
    notes: dict[str, None] = {}
    while True:
        log = book.log()
        notes |= dict.fromkeys(_set(book.registry, log, names(book, log), book.tables.promotions.uri))
        if book.log().version == log.version:
            return tuple(notes)


def announces(book: Book) -> bool:
    """Whether MLflow names the version that waits for approval, if one does."""
    waiting = names(book, book.log())[CHALLENGER]
    return waiting is None or book.registry.aliases(book.model).get(CHALLENGER) == waiting


def repair(lake: Lake, registry: Registry) -> tuple[str, ...]:
    """At a start: make the registry name its own files, and the aliases of every model follow its promotion log.

    Returns what was wrong, in words. Raises Refusal as ``come_home`` of the registry.

    A model that has a log and that the registry doesn't know has lost its champion. Takes milliseconds where nothing
    is wrong, without MLflow if the registry is SQLite. Never raises because a log can't be read: that is one of the
    notes.
    """
    notes = registry.come_home()
    registered = registry.aliases_by_model()
    with connect() as con:
        for model in dict.fromkeys([*registered, *owners(lake, PROMOTIONS.name)]):
            pointing = registered.get(model, {})
            promotions = PROMOTIONS.table(lake, model)
            try:
                log = read_log(con, promotions, model)
                while log.version and (wanted := _from_log(log, pointing)) != pointing:
                    notes += _set(registry, log, wanted, promotions.uri)
                    newer = read_log(con, promotions, model)
                    if newer.version == log.version:
                        break
                    log, pointing = newer, registry.aliases_by_model().get(model, {})
            except Exception as error:
                why = str(error).partition("\n")[0]
                notes.append(f"whether the aliases of {model} follow its promotion log isn't known: {why}")
    return tuple(notes)


def _from_log(log: PromotionLog, pointing: Mapping[str, int]) -> dict[str, int | None]:
    """The aliases as they have to be, as far as the log alone can say: who was promoted waits for nothing."""
    known: Names = {**pointing, CHAMPION: log.champion, PREVIOUS: log.previous}
    return {
        name: number
        for name, number in known.items()
        if number is not None and not (name == CHALLENGER and number in log.champions)
    }


def _set(registry: Registry, log: PromotionLog, wanted: Names, uri: str) -> list[str]:
    model, notes = log.model, []
    known = {version.number: version for version in registry.versions(model)}
    found = registry.aliases(model)
    for name in (CHAMPION, PREVIOUS, CHALLENGER):
        number = wanted.get(name)
        if number is not None and number not in known:
            ways = f" {ways_out(registry, log)}" if name == CHAMPION else ""
            notes.append(
                f"{name} of {model} is version {number} by the promotion log, but the registry has no such version.{ways}"
            )
            number = None
        if found.get(name) == number:
            continue
        if log.version == 0 and name != CHALLENGER:
            notes.append(
                f"the alias {name} of {model} says version {found[name]}, but there is no promotion log at {uri}: the "
                f"alias is left alone. If that is the right lake, say it on record with ml-assets models promote {model} "
                f"{found[name]} --override."
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
