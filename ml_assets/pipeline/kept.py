"""Features that are declared otherwise than when a version was trained on them: kept computed beside the new ones.

They have tiles and snapshots of their own, in the folder ``<group>.<hash>`` of the lake, which are built when the
version is asked to score, and continued day by day while it is.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import duckdb

from ml_assets.features import Entity, FeatureError, FeatureSet
from ml_assets.lake import Between, Lake, Table, as_ranges, confined, days, seal
from ml_assets.lake.definition import Definitions, hash_of, short
from ml_assets.lake.maintenance import tables
from ml_assets.lake.sql import quote
from ml_assets.pipeline.book import book_of
from ml_assets.pipeline.due.features import edges
from ml_assets.pipeline.run import Run
from ml_assets.pipeline.steps.features import build_snapshots, build_tiles
from ml_assets.project.group import Group
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.aliases import names
from ml_assets.registry.pins import feature_pins, features_of, unlike
from ml_assets.serving.batch import population_frame

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.registry.mlflow_registry import Registry, Version

INFIX = "."
"""What stands between the name of a group and the hash of what is kept of it; no name of a group has it."""


def kept_folder(group: Group, pinned: Definitions) -> str | None:
    """The folder of the lake for what is pinned and declared otherwise now; None where nothing is."""
    otherwise = {column: pinned[column] for column in unlike(pinned, group.definitions)}
    return f"{group.name}{INFIX}{short(hash_of(otherwise))}" if otherwise else None


def kept_group(group: Group, version: "Version", pinned: Definitions) -> Group | None:
    """The features of ``pinned`` that are declared otherwise now, as they were when the version was trained.

    None where nothing is, or where they can't be computed so any more: it isn't on record how they were declared, or
    what they read in the contract is gone or read otherwise.
    """
    folder, columns = kept_folder(group, pinned), unlike(pinned, group.definitions)
    if folder is None:
        return None
    try:
        features = FeatureSet(group.features.entity, tuple(features_of(version)), group.features.sources)
        needed = features.only(columns)
    except FeatureError:
        return None
    # Who has a row is said by all sources together.
    kept = replace(
        group, name=folder, features=needed if set(needed.sources) == set(features.sources) else features
    )
    return None if unlike({column: pinned[column] for column in columns}, kept.definitions) else kept


def build_kept(
    con: duckdb.DuckDBPyConnection, run: Run, kept: Group, lake: Lake, between: Between
) -> dict[date, str]:
    """Build what is missing of the snapshots ``between``, and the tiles that they read.

    Returns the days that can't be built, with the reasons.
    """
    gone = _gone(kept, lake)
    if gone is not None:
        return dict.fromkeys(days(*between), f"the events of {gone} it reads were deleted for their age")
    *to_tiles, to_snapshot = edges(kept, lake)
    tiles = {day for edge in to_tiles for day in edge.due() if day < between[1]}
    for part in as_ranges(tiles):
        build_tiles(con, run, kept, lake, part)
    refused: dict[date, str] = {}
    for part in as_ranges(to_snapshot.due() & set(days(*between))):
        refused |= build_snapshots(con, run, kept, lake, part).refused
    return refused


def _gone(kept: Group, lake: Lake) -> str | None:
    """The source of which events that have no tiles were deleted, if there is one."""
    built = kept.tiles(lake).marks()
    for source, events in kept.events(lake).items():
        if any(mark.gone and day not in built for day, mark in events.marks().items()):
            return source
    return None


def unpinned(
    con: duckdb.DuckDBPyConnection,
    group: Group,
    models: Iterable[DeclaredModel],
    lake: Lake,
    registry: "Registry",
) -> list[Table]:
    """The tables of what is kept of a group and that no version in use pins; ``models`` are those over the group.

    In use are champion, previous champion, challenger and the newest candidate. Raises RegistryError where the
    registry has lost one.
    """
    pinned = set[str | None]()
    for model in models:
        book = book_of(con, model, lake, registry)
        in_use = {*names(book, book.log()).values(), max(book.candidates().values(), default=None)}
        for number in in_use:
            if number is not None:
                pinned.add(kept_folder(group, feature_pins(registry.version(model.name, number))))
    kept = [table for table in tables(lake) if table.name.startswith(f"{group.name}{INFIX}")]
    return [table for table in kept if table.name.split("/")[0] not in pinned]


@dataclass(frozen=True)
class AsTrained:
    """The snapshots as a version reads them: with the features that are kept for it in place of today's."""

    snapshot: Table
    kept: Table | None = None
    unread: date | None = None
    """The first day of events that today's tiles have read as it is now, and those of what is kept have not."""

    @property
    def tables(self) -> list[Table]:
        """What it reads."""
        return [self.snapshot, self.kept] if self.kept is not None else [self.snapshot]

    def definitions(self, day: date) -> Definitions:
        """By which definitions each column of a day was made; empty where nothing is recorded."""
        found: dict[str, str] = {}
        for table in self.tables:
            marks = table.marks()
            found |= (day in marks and marks[day].definitions) or {}
        return found

    def could_follow(self, day: date) -> Definitions:
        """By which definitions each column of a day was made, or would be if it were kept as other days are."""
        kept = self.kept.marks() if self.kept is not None else {}
        made_by = AsTrained(self.snapshot).definitions(day)
        return {**made_by, **(kept[max(kept)].definitions or {})} if made_by and kept else made_by

    def rows(
        self, con: duckdb.DuckDBPyConnection, between: Between, *, entity: Collection[str]
    ) -> duckdb.DuckDBPyRelation:
        """The rows of the days ``between``."""
        return _beside(con, *self._read(con, between, {}), [*entity, "as_of"])

    def members(
        self,
        between: Between,
        *,
        entity: Entity,
        where: str,
        versions: Mapping[str, int] | None = None,
    ) -> "pd.DataFrame":
        """The rows of the days ``between`` for which a condition over today's features is true, as ``population_frame``.

        Of a table named in ``versions`` that version is read. The condition can read these tables and nothing else.
        """
        with confined() as con:
            declared, kept = self._read(con, between, versions or {})
            seal(con)
            rows = _beside(con, declared.filter(where), kept, [*entity, "as_of"])
            return population_frame(con, rows, entity=entity)

    def _read(
        self, con: duckdb.DuckDBPyConnection, between: Between, at: Mapping[str, int]
    ) -> tuple[duckdb.DuckDBPyRelation, duckdb.DuckDBPyRelation | None]:
        """The rows as they are declared, and those that are kept."""
        declared = self.snapshot.read(con, between=between, version=at.get(self.snapshot.name))
        if self.kept is None or not self.kept.exists:
            return declared, None
        return declared, self.kept.read(con, between=between, version=at.get(self.kept.name))


def _beside(
    con: duckdb.DuckDBPyConnection,
    declared: duckdb.DuckDBPyRelation,
    kept: duckdb.DuckDBPyRelation | None,
    keys: Collection[str],
) -> duckdb.DuckDBPyRelation:
    """The declared rows with what is kept of them in place of today's."""
    if kept is None:
        return declared
    columns = [column for column in kept.columns if column not in keys]
    declared.create_view("declared_snapshot", replace=True)
    kept.create_view("kept_snapshot", replace=True)
    listed = ", ".join(
        f"{'kept' if column in columns else 'declared'}_snapshot.{quote(column)}"
        for column in dict.fromkeys([*declared.columns, *columns])
    )
    using = ", ".join(map(quote, keys))
    return con.sql(f"SELECT {listed} FROM declared_snapshot LEFT JOIN kept_snapshot USING ({using})")


def as_trained(group: Group, lake: Lake, pinned: Definitions | None) -> AsTrained:
    """The snapshots as a version reads them that pins, or scored by, these definitions."""
    folder = kept_folder(group, pinned) if pinned else None
    kept = replace(group, name=folder) if folder else None
    if kept is None or not kept.snapshot(lake).exists:
        return AsTrained(group.snapshot(lake))
    unread = set[date]()
    for own, declared in zip(edges(kept, lake)[:-1], edges(group, lake)[:-1], strict=True):
        unread |= own.stale() - declared.stale()
    return AsTrained(group.snapshot(lake), kept.snapshot(lake), min(unread, default=None))
