"""Labels: what happened to the population of a cutoff within the horizon."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from ml_assets.features import Entity
from ml_assets.training.spec import Label

LABEL = "__label"
"""A label, beside the columns of a feature group."""


@dataclass(frozen=True)
class Maturity:
    """Which as_ofs have labels by now."""

    mature: tuple[date, ...]
    waiting: tuple[date, ...]
    landed_through: date | None
    horizon_days: int

    @property
    def message(self) -> str:
        """One sentence for a person about what is waiting, empty if nothing is."""
        if not self.waiting:
            return ""
        landed = (
            f"events have landed through {self.landed_through}"
            if self.landed_through
            else "no event has landed"
        )
        return (
            f"Labels of {_days(self.waiting)} are not mature: {landed}, and the label looks {self.horizon_days} days "
            f"ahead. The first of them matures once {self.waiting[0] + timedelta(days=self.horizon_days - 1)} has landed."
        )


def _days(days: Sequence[date]) -> str:
    return str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]} ({len(days)} cutoffs)"


def maturity(as_ofs: Sequence[date], label: Label, landed_through: date | None) -> Maturity:
    """Tell mature as_ofs (every day of the horizon has landed) from those still waiting."""
    mature = tuple(
        a
        for a in as_ofs
        if landed_through is not None and a + timedelta(days=label.days - 1) <= landed_through
    )
    return Maturity(mature, tuple(a for a in as_ofs if a not in mature), landed_through, label.days)


def build_labels(
    con: duckdb.DuckDBPyConnection,
    snapshots: duckdb.DuckDBPyRelation,
    events: duckdb.DuckDBPyRelation,
    as_ofs: Sequence[date],
    *,
    entity: Entity,
    population: str,
    label: Label,
) -> duckdb.DuckDBPyRelation:
    """Label the population of each as_of.

    ``snapshots`` has the entity, ``as_of`` and the feature columns ``population`` reads; ``events`` covers
    every horizon. Returns columns entity, ``as_of`` DATE, ``label`` (INTEGER for classes, DOUBLE for a regression),
    ``matures`` DATE (the first day on which the whole horizon is known): one row per member of the population.
    """
    days = ", ".join(f"DATE '{a}'" for a in as_ofs) or "NULL"
    snapshots.create_view("label_snapshots", replace=True)
    events.create_view("label_events", replace=True)
    members = f"(SELECT {entity}, as_of FROM label_snapshots WHERE as_of IN ({days}) AND ({population}))"
    return con.sql(
        f"SELECT {entity}, as_of, {LABEL} AS label, as_of + {label.days} AS matures "
        f"FROM ({labelled_query(entity, label, members, 'label_events')})"
    )


def labelled_query(entity: Entity, label: Label, members: str, events: str) -> str:
    """The query that adds ``__label`` to rows of an entity and ``as_of``, DATE or TIMESTAMPTZ, from a relation of events."""
    begins = "CAST(members.as_of AS TIMESTAMPTZ)"
    amount = f", CAST({label.sum} AS DECIMAL(38, 6)) AS __amount" if label.sum is not None else ""
    return (
        f"WITH members AS (SELECT *, row_number() OVER () AS __member FROM {members}), "
        f"met AS (SELECT {entity}, occurred_at{amount} FROM {events} WHERE {label.condition}), "
        f"labels AS (SELECT __member, {label.of_events} AS {LABEL} FROM members LEFT JOIN met "
        f"ON {entity.equal('met', 'members')} AND met.occurred_at >= {begins} "
        f"AND met.occurred_at < {begins} + INTERVAL {label.days} DAY GROUP BY __member, members.as_of) "
        f"SELECT members.* EXCLUDE (__member), {LABEL} FROM members JOIN labels USING (__member)"
    )
