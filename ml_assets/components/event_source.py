"""The component ``EventSource``: landing files become raw, events and quarantine, guarded by a contract."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource
from pydantic import Field

from ml_assets.components.fields import Day
from ml_assets.components.metadata import column_schema, made_by, stored
from ml_assets.components.partitions import AS_ONE_RUN, between, between_of_run, daily, days, window
from ml_assets.components.resources import LakeResource, connection
from ml_assets.components.sensors import landing_sensor
from ml_assets.contracts import Contract, DayRule, RowRule, RuleResult
from ml_assets.home import root
from ml_assets.lake import Between, Lake
from ml_assets.landing import LandingFolder, NoLandingFiles
from ml_assets.landing.events import write_events
from ml_assets.landing.raw import SourceTables, land, seen_files


class Landing(dg.Model, dg.Resolvable):
    """Where the producer drops one file per day."""

    path: str = Field(description="Folder of the landing files, absolute or below the project's root.")
    pattern: str = Field(
        "{date}.parquet", description="File name; {date} stands for YYYY-MM-DD, the file's day."
    )
    late_days: int = Field(0, ge=0, description="How many days after it happened a row may still arrive.")


@dataclass(frozen=True)
class Source:
    """A source as the other components see it."""

    name: str
    contract: Contract
    partitions: dg.DailyPartitionsDefinition
    late_days: int

    @property
    def reach(self) -> int:
        """How many days can lie between an event's day and the day it became available."""
        latency = self.contract.latency
        return self.late_days + latency.days + (1 if latency.seconds or latency.microseconds else 0)

    def key(self, asset: str) -> dg.AssetKey:
        """The key of one of the source's assets."""
        return dg.AssetKey([self.name, asset])

    @cached_property
    def columns(self) -> dict[str, str]:
        """Column -> DuckDB type of ``events``."""
        declared = {column.name: column.sql_type for column in self.contract.columns}
        return declared | {"available_at": "TIMESTAMPTZ", "event_date": "DATE"}


class EventSource(dg.Component, dg.Model, dg.Resolvable):
    """A stream of events, delivered as one landing file per day, and the contract that guards it."""

    contract: str = Field(description="The Open Data Contract Standard YAML, beside this file.")
    landing: Landing
    start: Day = Field(description="The first day.")
    end: Day | None = Field(
        None, description="The last day of a stream that has ended; leave it out otherwise."
    )
    owners: list[str] = Field(["team:data"], description="Who answers for the source.")

    def bind(self, folder: Path) -> Source:
        """The source declared in ``folder``. Raises ContractError where the contract is wrong."""
        return Source(
            name=folder.name,
            contract=Contract.load(folder / self.contract),
            partitions=daily(self.start, self.end),
            late_days=self.landing.late_days,
        )

    @property
    def folder(self) -> LandingFolder:
        """The landing folder; a relative path is below the project's root."""
        return LandingFolder(root() / self.landing.path, self.landing.pattern)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets raw, events and quarantine; the contract's checks; the landing sensor."""
        source = self.bind(context.path)
        assets = [self._raw(source), self._events(source)]
        return dg.Definitions(
            assets=assets,
            asset_checks=[_landing_checks(source), _contract_checks(source)],
            sensors=[landing_sensor(source.name, self.folder, source.partitions, source.late_days)],
        )

    def _raw(self, source: Source) -> dg.AssetsDefinition:
        folder = self.folder

        @dg.asset(
            key=source.key("raw"),
            description=(
                f"Immutable copy of the landing files of {source.name}: every version of every day's file, told "
                "apart by content hash. A corrected file is a new version beside the old one."
            ),
            partitions_def=source.partitions,
            backfill_policy=AS_ONE_RUN,
            group_name=source.name,
            owners=self.owners,
            kinds={"deltalake", "duckdb"},
            code_version=source.contract.sha256[:12],
        )
        def raw(
            context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
        ) -> dg.MaterializeResult:
            tables = SourceTables.of(lake.lake, source.name)
            with connection(duckdb) as con:
                try:
                    landed = land(con, tables, folder, source.contract, between(context), made_by(context))
                    shown = stored(con, tables.raw) if tables.raw.exists else {}
                except NoLandingFiles as error:
                    raise dg.Failure(str(error), allow_retries=False) from None
            for refusal in landed.refused:
                context.log.error(f"{refusal.file.path}: {refusal.reason}")
            return dg.MaterializeResult(
                metadata=shown
                | {
                    "dagster/row_count": sum(landed.accepted.values()),
                    "files accepted": len(landed.accepted),
                    "files unchanged": len(landed.unchanged),
                    "files refused": "; ".join(f"{r.file.path.name}: {r.reason}" for r in landed.refused)
                    or "none",
                    "days without a file": len(landed.absent),
                    "landing folder": dg.MetadataValue.path(str(folder.path)),
                }
            )

        return raw

    def _events(self, source: Source) -> dg.AssetsDefinition:
        contract = source.contract
        schema = {c.name: (c.sql_type, c.description or "") for c in contract.columns} | {
            "available_at": ("TIMESTAMPTZ", "When the event could first have been known, UTC."),
            "event_date": ("DATE", "UTC day of occurred_at; the partition."),
        }
        common: dict[str, Any] = {
            "deps": [
                dg.AssetDep(source.key("raw"), partition_mapping=window(-source.late_days, source.late_days))
            ],
            "partitions_def": source.partitions,
            "group_name": source.name,
            "owners": self.owners,
            "kinds": {"deltalake", "duckdb"},
            "code_version": contract.sha256[:12],
        }

        @dg.multi_asset(
            name=f"{source.name}__events",
            backfill_policy=AS_ONE_RUN,
            specs=[
                dg.AssetSpec(
                    source.key("events"),
                    description=f"{contract.description} Typed, deduplicated and valid by the contract.",
                    metadata={"dagster/column_schema": column_schema(schema)},
                    **common,
                ),
                dg.AssetSpec(
                    source.key("quarantine"),
                    description="The rows the contract refuses, as they came, each with its file, line and reasons.",
                    **common,
                ),
            ],
        )
        def events(
            context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
        ) -> Iterator[dg.MaterializeResult]:
            with connection(duckdb) as con:
                tables = SourceTables.of(lake.lake, source.name)
                made = made_by(context, **{str(source.key("raw").to_user_string()): tables.raw.version})
                kept, refused = write_events(
                    con, tables, contract, between(context), late_days=source.late_days, metadata=made
                )
                shown = {
                    "events": {"dagster/uri": tables.events.uri},
                    "quarantine": stored(con, tables.quarantine),
                }
            for name, rows in (("events", kept), ("quarantine", refused)):
                yield dg.MaterializeResult(
                    asset_key=source.key(name), metadata=shown[name] | {"dagster/row_count": rows}
                )

        return events


def _landing_checks(source: Source) -> dg.AssetChecksDefinition:
    """Checks of raw: every file could be read, and no day between the first and the last is without one."""
    raw = source.key("raw")

    @dg.multi_asset_check(
        name=f"{source.name}__landing_checks",
        specs=[
            dg.AssetCheckSpec(
                "files_accepted",
                asset=raw,
                description="The newest version of every landing file could be read and has the contract's columns. "
                "A refused file leaves its day as it was; its bytes are kept.",
            ),
            dg.AssetCheckSpec(
                "every_day_landed",
                asset=raw,
                description="No day between the first and the last landed file is without a file. A closed day is "
                "no fault, so this only warns.",
            ),
        ],
        can_subset=True,
    )
    def landing_checks(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> Iterator[dg.AssetCheckResult]:
        with connection(duckdb) as con:
            seen = seen_files(con, SourceTables.of(lake.lake, source.name).files)
        asked = between_of_run(context.run.tags)
        wanted = {day: s for day, s in seen.items() if asked is None or asked[0] <= day <= asked[1]}
        refused = {f"{day} {s.file}": s.reason for day, s in wanted.items() if s.reason}
        absent = [str(day) for day in days(min(wanted), max(wanted)) if day not in wanted] if wanted else []
        outcomes = {
            "files_accepted": dg.AssetCheckResult(
                asset_key=raw,
                check_name="files_accepted",
                passed=bool(wanted) and not refused,
                metadata={
                    "files": len(wanted),
                    "refused": dg.MetadataValue.json(refused),
                    "message": "; ".join(f"{file}: {reason}" for file, reason in refused.items())
                    or (f"{len(wanted)} files accepted" if wanted else "nothing has landed yet"),
                },
            ),
            "every_day_landed": dg.AssetCheckResult(
                asset_key=raw,
                check_name="every_day_landed",
                passed=not absent,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"days without a file": ", ".join(absent[:40]) or "none", "how many": len(absent)},
            ),
        }
        for key in context.selected_asset_check_keys:
            yield outcomes[key.name]

    return landing_checks


def withheld_days(
    source: Source, con: duckdb.DuckDBPyConnection, lake: Lake, asked: Between
) -> dict[date, str]:
    """The days of a range on which events break a blocking rule of the contract, with the message."""
    results = judge_events(source, con, lake, asked)
    blocking = [r for r in results if not r.passed and r.rule.severity == "error"]
    return {date.fromisoformat(day): r.message for r in blocking for day in r.observed}


def judge_events(
    source: Source, con: duckdb.DuckDBPyConnection, lake: Lake, asked: Between | None
) -> list[RuleResult]:
    """Every rule of the contract, held against the events of a range, or of all days."""
    tables = SourceTables.of(lake, source.name)
    landed = [
        day
        for day, seen in seen_files(con, tables.files).items()
        if seen.accepted and (asked is None or asked[0] <= day <= asked[1])
    ]
    events, quarantine = (table.read(con, between=asked) for table in (tables.events, tables.quarantine))
    return source.contract.validate(con, events, quarantine, landed)


def _contract_checks(source: Source) -> dg.AssetChecksDefinition:
    """One check per rule of the contract, all from one pass over events; errors block what comes after."""
    rules: list[RowRule | DayRule] = [*source.contract.row_rules, *source.contract.day_rules]
    events = source.key("events")

    @dg.multi_asset_check(
        name=f"{source.name}__contract",
        specs=[
            dg.AssetCheckSpec(
                rule.name,
                asset=events,
                description=f"{rule.description} ({rule.dimension})",
                blocking=rule.severity == "error",
                additional_deps=[source.key("quarantine")],
            )
            for rule in rules
        ],
        can_subset=True,
    )
    def contract_checks(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> Iterator[dg.AssetCheckResult]:
        asked = between_of_run(context.run.tags)
        with connection(duckdb) as con:
            results = judge_events(source, con, lake.lake, asked)
        selected = {key.name for key in context.selected_asset_check_keys}
        for result in (r for r in results if r.rule.name in selected):
            error = result.rule.severity == "error"
            yield dg.AssetCheckResult(
                asset_key=events,
                check_name=result.rule.name,
                passed=result.passed,
                severity=dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN,
                description=result.message,
                metadata={
                    "violations": result.violations,
                    "rows refused by this rule": result.refused,
                    "days": dg.MetadataValue.json(result.observed),
                    "range": f"{asked[0]} to {asked[1]}" if asked else "all days",
                },
            )

    return contract_checks
