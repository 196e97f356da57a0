"""A source as the other components see it, and which of their days it keeps from being built."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

import dagster as dg
import duckdb

from ml_assets.contracts import Contract
from ml_assets.lake import Between, Lake, Table
from ml_assets.landing.raw import SourceTables, landed_through
from ml_assets.landing.withholding import withheld
from ml_assets.monitoring.rehearse.drills.roles import Roles


@dataclass(frozen=True)
class Source:
    """A source as the other components see it."""

    name: str
    contract: Contract
    partitions: dg.DailyPartitionsDefinition
    late_days: int
    roles: Roles = field(default_factory=Roles)
    """Which columns drills work on."""

    @property
    def reach(self) -> int:
        """How many days can lie between an event's day and the day it became available."""
        latency = self.contract.latency
        return self.late_days + latency.days + (1 if latency.seconds or latency.microseconds else 0)

    def key(self, asset: str) -> dg.AssetKey:
        """The key of one of the source's assets."""
        return dg.AssetKey([self.name, asset])

    def tables(self, lake: Lake) -> SourceTables:
        """The tables of the source."""
        return SourceTables.of(lake, self.name)

    def referred(self, lake: Lake) -> dict[str, Table]:
        """The tables of events of the sources the contract refers to, by their names."""
        return {name: SourceTables.of(lake, name).events for name in self.contract.references}

    def references(self, con: duckdb.DuckDBPyConnection, lake: Lake) -> dict[str, duckdb.DuckDBPyRelation]:
        """The events of the sources the contract refers to, as far as there are any."""
        return {name: table.read(con) for name, table in self.referred(lake).items() if table.exists}

    @cached_property
    def columns(self) -> dict[str, str]:
        """Column -> DuckDB type of ``events``."""
        declared = {column.name: column.stored_type for column in self.contract.columns}
        return declared | {"available_at": "TIMESTAMPTZ", "event_date": "DATE"}

    def refused(
        self, con: duckdb.DuckDBPyConnection, lake: Lake, between: Between, reach: tuple[int, int]
    ) -> dict[date, str]:
        """The days ``between`` of a table that can't be built because they read withheld days, with the reasons.

        Day D of the table reads the days D + reach[0] to D + reach[1] of events.
        """
        first, last = between
        start = date.fromordinal(max(1, first.toordinal() + reach[0]))
        held = withheld(con, self.tables(lake), (start, last + timedelta(days=reach[1])))
        refused: dict[date, str] = {}
        for day, why in held.items():
            for n in range((last - first).days + 1):
                asked = first + timedelta(days=n)
                if reach[0] <= (day - asked).days <= reach[1]:
                    refused.setdefault(asked, f"it reads {self.name} of {day}, withheld: {why}")
        return dict(sorted(refused.items()))

    def awaited(
        self, con: duckdb.DuckDBPyConnection, lake: Lake, between: Between, ahead: int
    ) -> dict[date, str]:
        """The days ``between`` of a table that read days up to D + ``ahead``, where nothing has landed so late yet."""
        through, end = landed_through(con, self.tables(lake).files), self.partitions.end
        first, last = between
        waiting: dict[date, str] = {}
        for n in range((last - first).days + 1):
            asked = first + timedelta(days=n)
            newest = asked + timedelta(days=ahead)
            has_day = self.partitions.start.date() <= newest and (end is None or newest < end.date())
            if has_day and (through is None or newest > through):
                said = f"landed through {through}" if through else "landed nothing"
                waiting[asked] = f"it waits for {self.name}, which has {said}"
        return waiting


def name_days(reasons: Mapping[date, str], most: int = 5) -> str:
    """The first few days with their reasons, as one line."""
    named = "; ".join(f"{day}: {why}" for day, why in list(reasons.items())[:most])
    return f"{named}; and {len(reasons) - most} more" if len(reasons) > most else named
