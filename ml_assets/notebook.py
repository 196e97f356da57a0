"""For notebooks and scripts: ``features("household_features").at(spine)``, ``frame_schema("transactions")``."""

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar, cast

import duckdb

from ml_assets.instance.refusal import Refusal
from ml_assets.lake import pin

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas
    import polars as pl
    import pyarrow as pa

    from ml_assets.features.queries.request import Requests
    from ml_assets.lake import Lake
    from ml_assets.project.group import Group

    Spine = TypeVar("Spine", duckdb.DuckDBPyRelation, pa.Table, pl.DataFrame, pd.DataFrame)


@dataclass(frozen=True)
class GroupFeatures:
    """The features of one group, over the tables of one lake."""

    group: "Group"
    lake: "Lake"
    _con: duckdb.DuckDBPyConnection = field(default_factory=lambda: pin(duckdb.connect(":memory:")))

    def at(self, spine: "Spine") -> "Spine":
        """The rows of a spine, each with the features of its entity at its ``as_of``.

        The spine is a DuckDB relation, an Arrow table or a Polars or pandas frame; the same kind comes back, with
        the same rows in the same order. Its ``as_of`` has a time zone, or is a date, which stands for its 00:00
        UTC. An event counts if it happened before as_of and was known by then. Raises FeatureError where the spine
        can't be answered, TypeError for another kind of table, Refusal where tiles are of another declaration.
        """
        from ml_assets.features.queries.at import features_at

        self._check_declared()
        found: Any = features_at(
            self._con,
            self.group.features,
            _relation(self._con, spine),
            events=self.group.events(self.lake),
            tiles=self.group.tiles(self.lake),
            reach=self.group.late_by,
        )
        match _library(spine):
            case "pyarrow":
                found = found.to_arrow_table()
            case "pandas":
                found = found.df()
            case "polars":
                found = found.pl()
            case _:
                found = self._con.from_arrow(found.to_arrow_table())
        return cast("Spine", found)

    def requests(self, since: date) -> "Requests":
        """Answers for one entity at a time, at any moment from the day ``since`` on, from the tables as they are now.

        What they need is held in memory, in a connection of their own. Raises Refusal as ``at``.
        """
        from ml_assets.features.queries.request import Requests

        self._check_declared()
        return Requests(
            pin(duckdb.connect(":memory:")),
            self.group.features,
            events=self.group.events(self.lake),
            tiles=self.group.tiles(self.lake),
            reach=self.group.late_by,
            since=since,
        )

    def _check_declared(self) -> None:
        """Raise Refusal where tiles on record were made by another declaration than that of now."""
        from ml_assets.lake.definition import redefined

        tiles, declared = self.group.tiles(self.lake), self.group.tile_definitions
        older = {day: redefined(mark.definitions, declared) for day, mark in tiles.marks().items()}
        older = {day: names for day, names in older.items() if names}
        if older:
            names = ", ".join(sorted(set[str]().union(*older.values())))
            raise Refusal(
                f"{tiles.name} of {len(older)} days from {min(older)} to {max(older)} was made by another declaration "
                f"of {names} than that of now: ml-assets materialize builds it again (ml-assets plan says what that is)"
            )


def _library(spine: object) -> str:
    return type(spine).__module__.split(".")[0]


def _relation(con: duckdb.DuckDBPyConnection, spine: Any) -> duckdb.DuckDBPyRelation:
    """A spine of any kind as a relation of our connection."""
    match _library(spine):
        case "pyarrow":
            return con.from_arrow(spine)
        case "pandas":
            return con.from_df(spine)
        case "polars":
            return con.from_arrow(spine.to_arrow())
    if isinstance(spine, duckdb.DuckDBPyRelation):
        return con.from_arrow(spine.to_arrow_table())
    raise TypeError(
        f"a spine is a DuckDB relation, an Arrow table or a Polars or pandas frame, not a {type(spine).__name__}"
    )


def features(group: str, *, lake: str | None = None) -> GroupFeatures:
    """The feature group of that name in the project, over its lake.

    The project is the one ``ML_ASSETS_DEFS`` names (default: the repository's), ``lake`` the folder or
    object-store URL of its tables (default: where the assets write). Raises Refusal for an unknown group.
    """
    from ml_assets.lake import Lake
    from ml_assets.operations import opened

    groups = opened.project().groups
    if group not in groups:
        raise Refusal(f"there is no feature group {group}; there are {', '.join(groups) or 'none'}")
    return GroupFeatures(groups[group], Lake(lake) if lake else opened.lake())


def frame_schema(source: str) -> "pandera.pandas.DataFrameSchema":
    """The contract of a source as a pandera schema of its events, as pandas has them: one check per rule for rows.

    The project is the one ``ML_ASSETS_DEFS`` names. Raises Refusal for an unknown source.
    """
    from ml_assets.contracts.enforce.frames import frame_schema as schema_of
    from ml_assets.operations.opened import project

    sources = project().sources
    if source not in sources:
        raise Refusal(f"there is no source {source}; there are {', '.join(sources) or 'none'}")
    return schema_of(sources[source].contract)
