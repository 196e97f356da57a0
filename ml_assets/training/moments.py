"""Training rows at any moment: right after each event that meets a condition, instead of at the cutoffs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from ml_assets.features import Entity
from ml_assets.lake import Table
from ml_assets.lake.sql import quote
from ml_assets.training.labels import LABEL, labelled_query
from ml_assets.training.spec import Label, Train

MOMENT = "moment"
"""The column that says when: a microsecond after the event, so that features know it and labels don't count it."""
WEEK = timedelta(weeks=1)
WEEK_OF = "__week_of"
"""The end of a moment's week, beside the columns of a source and of a feature group."""
FeaturesAt = Callable[
    [duckdb.DuckDBPyConnection, duckdb.DuckDBPyRelation, Mapping[str, int]], duckdb.DuckDBPyRelation
]
"""Adds the features to a spine of entity and as_of, read from the versions of tables that are given by name."""


def row_key(entity: Entity, train: Train) -> Entity:
    """The columns that, with as_of, name a row of a training set."""
    return Entity(*entity, MOMENT) if train.after_each else entity


@dataclass(frozen=True)
class Moments:
    """Where rows at any moment come from.

    ``events`` is the table whose events meet the condition ``after_each``, and make the labels; ``population`` is the
    condition over features that says who counts.
    """

    events: Table
    after_each: str
    population: str
    features_at: FeaturesAt

    def read(
        self,
        con: duckdb.DuckDBPyConnection,
        as_ofs: Sequence[date],
        *,
        label: Label,
        versions: Mapping[str, int],
    ) -> None:
        """Read the events of the weeks that end with ``as_ofs`` and of their labels' horizons as ``moment_events``."""
        first, last = min(as_ofs) - WEEK, max(as_ofs) + label.horizon
        events = self.events.read(con, between=(first, last), version=versions.get(self.events.name))
        events.create_view("moment_events", replace=True)

    def rows(
        self,
        con: duckdb.DuckDBPyConnection,
        as_ofs: Sequence[date],
        cutoff: date,
        *,
        entity: Entity,
        features: Sequence[str],
        label: Label,
        versions: Mapping[str, int],
    ) -> duckdb.DuckDBPyRelation:
        """A row for each moment among ``moment_events`` in the weeks that end with ``as_ofs``, known at ``cutoff``.

        Their labels mature no later than those of the as_ofs.

        Columns: the entity, ``as_of`` DATE (the end of its week), ``moment`` TIMESTAMPTZ, ``__label``, then the
        features at the moment.
        """
        weeks = ", ".join(f"(DATE '{as_of}')" for as_of in as_ofs)
        spine = con.sql(
            f"SELECT DISTINCT {entity}, {WEEK_OF}, occurred_at + INTERVAL 1 MICROSECOND AS as_of "
            f"FROM moment_events JOIN (VALUES {weeks}) AS weeks({WEEK_OF}) "
            f"ON occurred_at >= ({WEEK_OF} - 7)::TIMESTAMPTZ AND occurred_at < {WEEK_OF}::TIMESTAMPTZ "
            f"WHERE ({self.after_each}) AND {entity.is_named} AND available_at <= TIMESTAMPTZ '{cutoff} 00:00:00+00' "
            "ORDER BY ALL"
        )
        found = self.features_at(con, spine, versions).filter(self.population)
        found.create("moment_rows")
        labelled = labelled_query(entity, label, "moment_rows", "moment_events")
        listed = ", ".join(map(quote, features))
        con.execute(
            "CREATE OR REPLACE TEMP TABLE labelled_moments AS "
            f"SELECT {entity}, {WEEK_OF} AS as_of, as_of AS {MOMENT}, {LABEL}, {listed} FROM ({labelled})"
        )
        con.execute("DROP TABLE moment_rows")
        return con.table("labelled_moments")
