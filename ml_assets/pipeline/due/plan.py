"""What is due of sources, features and labels, why, and how much that is, before anything runs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb

from ml_assets.lake import Lake, Table
from ml_assets.lake.definition import ROWS, Definitions, redefined, short
from ml_assets.landing import by_day
from ml_assets.landing.raw import landed_through
from ml_assets.pipeline.definitions import of_labels
from ml_assets.pipeline.due.adoption import unrecorded
from ml_assets.pipeline.due.features import edges_to
from ml_assets.pipeline.due.landing import due_days
from ml_assets.pipeline.due.model import stale_labels
from ml_assets.project.group import Group
from ml_assets.project.model import DeclaredModel
from ml_assets.project.project import Project
from ml_assets.project.source import Source

_KINDS = {"new": "is new", "gone": "is gone", "other": "has changed", "same": "reads what has changed"}
_OF_CONTRACT = {"name": "contract: {name}", "rows": "contract: its rows", **_KINDS}
_OF_COLUMN = {"name": "column {name}", "rows": "who has rows", **_KINDS}
_OF_LABELS = {"name": "{name}", **_KINDS}


@dataclass(frozen=True)
class Redefinition:
    """Something that is declared otherwise than when slots were built."""

    what: str
    """In words."""
    was: str | None
    """Its hash then, shortened; None for what is new. Of several the most frequent."""
    is_now: str | None
    """Its hash now, shortened; None for what is gone."""
    slots: int


@dataclass(frozen=True)
class Planned:
    """What is due of one table."""

    table: str
    slots: int
    first: date
    last: date
    inputs_changed: int
    """Slots that are missing, or whose inputs have changed."""
    redefined: Sequence[Redefinition]
    rows: int
    """Rows that these slots have now."""
    note: str = ""


def plan(con: duckdb.DuckDBPyConnection, project: Project, lake: Lake) -> list[Planned]:
    """What is due of every source, group and model's labels, in the order in which it is built; nothing is written.

    What else will be due because rows above turn out others isn't known before they are built.
    """
    found = [each for source in project.sources.values() for each in _of_source(con, source, lake)]
    found += [each for group in project.groups.values() for each in _of_group(con, group, lake)]
    return found + [each for model in project.models.values() for each in _of_model(con, model, lake)]


def _of_source(con: duckdb.DuckDBPyConnection, source: Source, lake: Lake) -> Iterator[Planned]:
    events = source.tables(lake).events
    due = due_days(con, source, lake, by_day(source.landing.listed()))
    yield from _planned(con, events, set(due.days), due.redefined, source.definitions, _OF_CONTRACT)


def _of_group(con: duckdb.DuckDBPyConnection, group: Group, lake: Lake) -> Iterator[Planned]:
    for table, declared in (
        (group.tiles(lake), group.tile_definitions),
        (group.snapshot(lake), group.definitions),
    ):
        stale, redefined = set[date](), dict[date, frozenset[str]]()
        for edge in edges_to(table, group, lake):
            stale |= edge.stale()
            redefined |= edge.redefined()
        in_part = {day: names for day, names in redefined.items() if day not in stale}
        yield from _planned(con, table, stale | set(redefined), in_part, declared, _OF_COLUMN)


def _of_model(con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake) -> Iterator[Planned]:
    labels, declared = model.tables(lake).labels, of_labels(model)
    due = stale_labels(model, lake, landed_through(con, model.source.tables(lake).files))
    marks = labels.marks()
    changed = {cutoff: redefined(marks[cutoff].definitions, declared) for cutoff in due if cutoff in marks}
    otherwise = {cutoff: names for cutoff, names in changed.items() if names}
    yield from _planned(con, labels, due, otherwise, declared, _OF_LABELS)


def _planned(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    due: set[date],
    redefined: Mapping[date, frozenset[str]],
    declared: Definitions,
    words: Mapping[str, str],
) -> Iterator[Planned]:
    if not due:
        return
    marks = table.marks()
    was: dict[str, Counter[str | None]] = {}
    for day, names in redefined.items():
        recorded = marks[day].definitions or {}
        for name in names:
            was.setdefault(name, Counter())[recorded.get(name)] += 1
    changes = []
    for name, hashes in sorted(was.items()):
        then, now = hashes.most_common(1)[0][0], declared.get(name)
        kind = "new" if then is None else "gone" if now is None else "same" if then == now else "other"
        what = words["rows" if name == ROWS else "name"].format(name=name)
        changes.append(
            Redefinition(
                f"{what} {words[kind]}", then and short(then), now and short(now), sum(hashes.values())
            )
        )
    rows = 0
    if table.exists:
        lead, listed = table.partition_by[0], ", ".join(f"DATE '{day}'" for day in due)
        kept = table.read(con, columns=[lead], between=(min(due), max(due))).filter(f"{lead} IN ({listed})")
        [(rows,)] = kept.aggregate("count(*)").fetchall()
    note = "older slots say nothing of what they follow: the next run adopts them as they are"
    yield Planned(
        table.name,
        len(due),
        min(due),
        max(due),
        len(due - set(redefined)),
        changes,
        rows,
        note if unrecorded(table) else "",
    )
