"""Tables of an older release, whose commits say nothing of definitions: what they have follows what is declared.

So an upgrade makes nothing due by itself, and what is declared otherwise from then on is noticed.
"""

import duckdb

from ml_assets.lake import Lake, Table
from ml_assets.lake.definition import Definitions, is_comparable
from ml_assets.pipeline.definitions import of_labels
from ml_assets.pipeline.run import Run
from ml_assets.project.group import Group
from ml_assets.project.model import DeclaredModel
from ml_assets.project.source import Source


def unrecorded(table: Table) -> bool:
    """Whether some slots of a table say nothing of what they follow."""
    return any(
        mark.changed is not None and not is_comparable(mark.definitions) for mark in table.marks().values()
    )


def adopt(
    con: duckdb.DuckDBPyConnection, run: Run, lake: Lake, *declared: Source | Group | DeclaredModel
) -> list[str]:
    """Record of the tables that don't say so that they follow what is declared; return their names."""
    adopted = []
    for table, definitions in (each for one in declared for each in tables_of(one, lake)):
        if unrecorded(table):
            table.adopt(con, run.made().following(definitions))
            adopted.append(table.name)
    return adopted


def tables_of(declared: Source | Group | DeclaredModel, lake: Lake) -> list[tuple[Table, Definitions]]:
    """The tables that record what they follow, with what is declared of them."""
    if isinstance(declared, Source):
        return [(declared.tables(lake).events, declared.definitions)]
    if isinstance(declared, DeclaredModel):
        tables = declared.tables(lake)
        return [(tables.labels, of_labels(declared)), (tables.decisions, of_labels(declared))]
    return [
        (declared.tiles(lake), declared.tile_definitions),
        (declared.snapshot(lake), declared.definitions),
    ]
