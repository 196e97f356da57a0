"""A source of events: what its YAML declares, and which days of others it keeps from being built."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import duckdb
from pydantic import Field, ValidationInfo, field_validator

from ml_assets.contracts import Contract
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.contract import ROW_IDENTITY
from ml_assets.contracts.enforce.queries import SECONDS
from ml_assets.lake import Between, Lake, Table
from ml_assets.lake.days import check_order
from ml_assets.lake.definition import Definitions, hash_of, is_comparable
from ml_assets.landing import Landing
from ml_assets.landing.raw import landed_through
from ml_assets.landing.spec import LandingSpec, landing_of
from ml_assets.landing.tables import SourceTables
from ml_assets.landing.withholding import withheld
from ml_assets.monitoring.rehearse.drills.roles import Roles
from ml_assets.project.calendar import Calendar
from ml_assets.project.declared import Day, Declared
from ml_assets.project.tables import Schemas, source_schemas


class SourceSpec(Declared):
    """A stream of events, delivered as one landing file per day, and the contract that guards it."""

    contract: str = Field(description="The Open Data Contract Standard YAML, beside this file.")
    landing: LandingSpec
    start: Day = Field(description="The first day.")
    end: Day | None = Field(
        None, description="The last day of a stream that has ended; leave it out otherwise."
    )
    rule_seconds: int = Field(
        SECONDS, gt=0, description="How many seconds the query of a rule of type sql may take for a day."
    )
    drills: Roles = Roles()
    owners: list[str] = Field(["team:data"], description="Who answers for the source.")

    @field_validator("end")
    @classmethod
    def _in_order(cls, end: date | None, info: ValidationInfo) -> date | None:
        if "start" in info.data:
            check_order(info.data["start"], end)
        return end

    def bind(self, folder: Path) -> "Source":
        """The source declared in ``folder``. Raises ContractError where the contract is wrong."""
        return Source(
            name=folder.name,
            contract=load_contract(folder / self.contract),
            days=Calendar(self.start, self.end),
            late_days=self.landing.late_days,
            landing=landing_of(self.landing, folder.name),
            roles=self.drills,
            owners=tuple(self.owners),
            rule_seconds=self.rule_seconds,
        )


@dataclass(frozen=True)
class Source:
    """A source with its contract and its landing."""

    name: str
    contract: Contract
    days: Calendar
    late_days: int
    landing: Landing
    roles: Roles = field(default_factory=Roles)
    """Which columns drills work on."""
    owners: tuple[str, ...] = ()
    rule_seconds: int = SECONDS

    @property
    def reach(self) -> int:
        """How many days can lie between an event's day and the day it became available."""
        latency = self.contract.latency
        return self.late_days + latency.days + (1 if latency.seconds or latency.microseconds else 0)

    @cached_property
    def definitions(self) -> Definitions:
        """The hashes of what decides the rows of ``events``, by name: ``column <name>``, ``rules``, ``keys`` and such."""
        columns = {f"column {name}": hashed for name, hashed in self.contract.readings.items()}
        landed = {f"landing column {name}": hash_of(name) for name in self.contract.source_columns}
        return {**columns, **landed, **self.contract.promises, "late days": hash_of(self.late_days)}

    def redefined(self, recorded: Definitions | None) -> frozenset[str]:
        """The names of what is declared otherwise than on record, is new or is gone; none where nothing comparable is.

        A new column that reads a landing column which nobody kept until now changes nothing of the days before it:
        ``raw`` doesn't have it.
        """
        if recorded is None or not is_comparable(recorded):
            return frozenset()
        declared = self.definitions
        later = {
            name
            for column in self.contract.columns
            if f"column {column.name}" not in recorded
            and any(f"landing column {source}" not in recorded for source in column.sources)
            for name in (f"column {column.name}", f"rules of {column.name}")
        }
        return frozenset(
            name
            for name in recorded.keys() | declared.keys()
            if recorded.get(name) != declared.get(name)
            and name not in later
            and not name.startswith("landing column ")
        )

    def tables(self, lake: Lake) -> SourceTables:
        """The tables of the source."""
        return SourceTables.of(lake, self.name)

    def referred(self, lake: Lake) -> dict[str, Table]:
        """The tables of events of the sources the contract refers to, by their names."""
        return {name: SourceTables.of(lake, name).events for name in self.contract.references}

    def references(self, lake: Lake) -> dict[str, Table]:
        """The events of the sources the contract refers to, as far as there are any."""
        return {name: table for name, table in self.referred(lake).items() if table.exists}

    @cached_property
    def schemas(self) -> Schemas:
        """The tables of the source, with their columns."""
        return source_schemas(self.contract)

    @cached_property
    def columns(self) -> dict[str, str]:
        """Column -> DuckDB type of ``events``, without where in the landing a row came from."""
        types = self.schemas["events"].types
        return {name: kind for name, kind in types.items() if name not in ROW_IDENTITY}

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
        through = landed_through(con, self.tables(lake).files)
        first, last = between
        waiting: dict[date, str] = {}
        for n in range((last - first).days + 1):
            asked = first + timedelta(days=n)
            newest = asked + timedelta(days=ahead)
            if self.days.allows(newest) and (through is None or newest > through):
                said = f"landed through {through}" if through else "landed nothing"
                waiting[asked] = f"it waits for {self.name}, which has {said}"
        return waiting


def name_days(reasons: Mapping[date, str], most: int = 5) -> str:
    """The first few days with their reasons, as one line."""
    named = "; ".join(f"{day}: {why}" for day, why in list(reasons.items())[:most])
    return f"{named}; and {len(reasons) - most} more" if len(reasons) > most else named
