"""What is due of sources, features and models, why, how much that is and what it costs, before anything runs."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import duckdb

from ml_assets.lake import Lake, Marks, Table
from ml_assets.lake.definition import ROWS, Definitions, redefined, short
from ml_assets.landing import by_day
from ml_assets.landing.raw import landed_through
from ml_assets.pipeline.definitions import of_labels, of_training
from ml_assets.pipeline.due.adoption import unrecorded
from ml_assets.pipeline.due.cost import NOTHING, Cost, cost_of, seconds_a_slot
from ml_assets.pipeline.due.features import edges_to
from ml_assets.pipeline.due.landing import due_days
from ml_assets.pipeline.due.model import stale_evaluations, stale_labels
from ml_assets.project.group import Group
from ml_assets.project.model import DeclaredModel
from ml_assets.project.project import Project
from ml_assets.project.source import Source
from ml_assets.registry.pins import unlike

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
    cost: Cost = NOTHING
    is_due: bool = True
    """Whether it will be built; if not, it was built by other definitions, and stays as the history it is."""


def plan(con: duckdb.DuckDBPyConnection, project: Project, lake: Lake, cutoffs: int) -> list[Planned]:
    """What is due of every source, group and model, in the order in which it is built; nothing is written.

    Of models that is with the newest ``cutoffs`` trained. What else will be due because rows above turn out others
    isn't known before they are built.
    """
    found = [each for source in project.sources.values() for each in _of_source(con, source, lake)]
    found += [each for group in project.groups.values() for each in _of_group(con, group, lake)]
    return found + [
        each for model in project.models.values() for each in _of_model(con, model, lake, cutoffs)
    ]


def _of_source(con: duckdb.DuckDBPyConnection, source: Source, lake: Lake) -> Iterator[Planned]:
    tables = source.tables(lake)
    due = due_days(con, source, lake, by_day(source.landing.listed()))
    pace = seconds_a_slot(tables.events, tables.raw)
    yield from _planned(
        con, tables.events, set(due.days), due.redefined, source.definitions, _OF_CONTRACT, pace
    )


def _of_group(con: duckdb.DuckDBPyConnection, group: Group, lake: Lake) -> Iterator[Planned]:
    tiles, snapshot = group.tiles(lake), group.snapshot(lake)
    for table, declared, before in (
        (tiles, group.tile_definitions, tuple(group.events(lake).values())),
        (snapshot, group.definitions, (tiles,)),
    ):
        stale, redefined = set[date](), dict[date, frozenset[str]]()
        for edge in edges_to(table, group, lake):
            stale |= edge.stale()
            redefined |= edge.redefined()
        in_part = {day: names for day, names in redefined.items() if day not in stale}
        pace = seconds_a_slot(table, *before)
        yield from _planned(con, table, stale | set(redefined), in_part, declared, _OF_COLUMN, pace)


def _of_model(
    con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, cutoffs: int
) -> Iterator[Planned]:
    tables, landed = model.tables(lake), landed_through(con, model.source.tables(lake).files)
    newest = model.newest_mature(landed) if landed else None
    if newest is None:
        return
    declared, labels = of_labels(model), tables.labels
    due = stale_labels(model, lake, landed)
    pace = seconds_a_slot(labels, model.group.snapshot(lake))
    otherwise = _otherwise(labels.marks(), due, declared)
    yield from _planned(con, labels, due, otherwise, declared, _OF_LABELS, pace)
    wanted = model.cutoffs.between(model.cutoffs.first, newest)[-cutoffs:]
    due = stale_evaluations(model, lake, wanted)
    pace = seconds_a_slot(tables.decisions, tables.training_set)
    otherwise = _otherwise(tables.decisions.marks(), due, declared)
    for each in _planned(con, tables.training_set, due, otherwise, declared, _OF_LABELS, pace):
        yield replace(each, note="a candidate is trained on each, and judged")
    for table, past, note in (
        (
            tables.training_set,
            set(wanted) - due,
            "what is trained from the next cutoff on learns from those of now",
        ),
        (tables.predictions, None, "predictions are history"),
    ):
        yield from _history(con, model, table, past, note)


def _otherwise(marks: Marks, slots: Collection[date], declared: Definitions) -> dict[date, frozenset[str]]:
    """Those of the slots that were made by other definitions, with the names of these."""
    found = {slot: redefined(marks[slot].definitions, declared) for slot in slots if slot in marks}
    return {slot: frozenset(names) for slot, names in found.items() if names}


def _history(
    con: duckdb.DuckDBPyConnection,
    model: DeclaredModel,
    table: Table,
    slots: Collection[date] | None,
    note: str,
) -> Iterator[Planned]:
    """What was made by features, a label or a population that are declared otherwise by now, and isn't due."""
    declared, marks = of_training(model), table.marks()
    past = {
        slot: frozenset(unlike(marks[slot].definitions, declared))
        for slot in (marks if slots is None else slots)
        if slot in marks
    }
    past = {slot: names for slot, names in past.items() if names}
    for each in _planned(con, table, set(past), past, declared, _OF_LABELS, None):
        yield replace(each, note=note, cost=NOTHING, is_due=False)


def _planned(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    due: set[date],
    redefined: Mapping[date, frozenset[str]],
    declared: Definitions,
    words: Mapping[str, str],
    pace: float | None,
) -> Iterator[Planned]:
    if not due:
        return
    marks = table.marks()
    was: dict[str, Counter[str | None]] = {}
    for day, names in redefined.items():
        recorded = (marks[day].definitions if day in marks else None) or {}
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
        cost_of(table, due, pace),
    )
