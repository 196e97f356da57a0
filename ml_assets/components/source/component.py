"""The component ``EventSource``: landing files become raw, events and quarantine, guarded by a contract."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import dagster as dg
from dagster_duckdb import DuckDBResource
from pydantic import Field, model_validator

from ml_assets.components.shared.fields import Day, spec
from ml_assets.components.shared.metadata import column_schema, made_by, stored
from ml_assets.components.shared.partitions import AS_ONE_RUN, between, daily, window
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.components.source.checks import contract_checks, landing_checks
from ml_assets.components.source.sensors import landing_sensor
from ml_assets.contracts import Column, Contract
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.pseudonym import PseudonymError, fingerprint, key_from_environment
from ml_assets.instance.home import STAGED, root
from ml_assets.lake import Between, days
from ml_assets.landing import Landing, LandingFolder, NoLandingFiles
from ml_assets.landing.events import Written, write_events
from ml_assets.landing.places.database import LandingQuery
from ml_assets.landing.places.object_store import LandingBucket
from ml_assets.landing.raw import land
from ml_assets.monitoring.rehearse.drills.roles import Roles
from ml_assets.project.source import Source, name_days


class LandingSpec(dg.Model, dg.Resolvable):
    """Where the producer leaves one file per day: a folder, an object store, or the rows of a database query."""

    path: str | None = Field(
        None, description="A folder of landing files, absolute or below the project's root."
    )
    url: str | None = Field(
        None,
        description="A folder of an object store, s3://bucket/prefix; credentials come from the usual AWS_* variables.",
    )
    database: str | None = Field(
        None, description="An SQLAlchemy URL; ${NAME} in it is taken from the environment when it is used."
    )
    query: str | None = Field(None, description="With database: the SELECT whose rows are events.")
    watermark: str | None = Field(
        None,
        description="With database: the column that says when a row was written; its UTC day is the landing day.",
    )
    pattern: str = Field(
        "{date}.parquet",
        description="File name of a path or url; {date} stands for YYYY-MM-DD, the file's day. The suffix is the "
        "format: .parquet, .csv or .jsonl (or .ndjson), the last two also with .gz or .zst.",
    )
    delimiter: str = Field(",", description="The character between two fields of a CSV file.")
    late_days: int = Field(0, ge=0, description="How many days after it happened a row may still arrive.")

    @model_validator(mode="after")
    def _one_place(self) -> "LandingSpec":
        named = [name for name in ("path", "url", "database") if getattr(self, name)]
        if len(named) != 1:
            raise ValueError(
                f"landing names {' and '.join(named) or 'no place'}; exactly one of path, url and database is expected"
            )
        for name in ("query", "watermark"):
            if bool(getattr(self, name)) != (named == ["database"]):
                raise ValueError(f"landing.{name} goes with landing.database: give both, or neither")
        return self

    def of(self, source: str) -> Landing:
        """The landing of a source; a relative path is below the project's root.

        Where ML_ASSETS_LANDING names a folder, it is that folder's subfolder of the source's name instead.
        """
        if staged := os.environ.get(STAGED):
            pattern = "{date}.jsonl" if self.database else self.pattern
            return LandingFolder(Path(staged) / source, pattern, self.delimiter)
        if self.path:
            return LandingFolder(root() / self.path, self.pattern, self.delimiter)
        if self.url:
            return LandingBucket(self.url, self.pattern, self.delimiter)
        assert self.database
        assert self.query
        assert self.watermark
        return LandingQuery(self.database, self.query, self.watermark)


class EventSource(dg.Component, dg.Model, dg.Resolvable):
    """A stream of events, delivered as one landing file per day, and the contract that guards it."""

    contract: str = Field(description="The Open Data Contract Standard YAML, beside this file.")
    landing: LandingSpec
    start: Day = Field(description="The first day.")
    end: Day | None = Field(
        None, description="The last day of a stream that has ended; leave it out otherwise."
    )
    drills: Annotated[Any, spec(Roles)] = Roles()
    owners: list[str] = Field(["team:data"], description="Who answers for the source.")

    def bind(self, folder: Path) -> Source:
        """The source declared in ``folder``. Raises ContractError where the contract is wrong."""
        return Source(
            name=folder.name,
            contract=load_contract(folder / self.contract),
            partitions=daily(self.start, self.end),
            late_days=self.landing.late_days,
            roles=self.drills,
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets raw, events and quarantine; the contract's checks; the landing sensor."""
        source = self.bind(context.path)
        return dg.Definitions(
            assets=[self._raw(source), self._events(source)],
            asset_checks=[landing_checks(source), contract_checks(source)],
            sensors=[landing_sensor(source, self.landing.of(source.name))],
        )

    def _raw(self, source: Source) -> dg.AssetsDefinition:
        landing = self.landing.of(source.name)

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
            pseudonym_key(source.contract)
            tables = source.tables(lake.lake)
            with connection(duckdb) as con:
                try:
                    landed = land(con, tables, landing, source.contract, between(context), made_by(context))
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
                    "files deleted": ", ".join(map(str, landed.deleted)) or "none",
                    "days without a file": len(landed.absent),
                    "landing": landing.place,
                }
            )

        return raw

    def _events(self, source: Source) -> dg.AssetsDefinition:
        contract = source.contract
        schema = {c.name: (c.stored_type, _described(c)) for c in contract.columns} | {
            "available_at": ("TIMESTAMPTZ", "When the event could first have been known, UTC."),
            "event_date": ("DATE", "UTC day of occurred_at; the partition."),
        }
        referred = [
            dg.AssetDep(dg.AssetKey([name, "events"]), partition_mapping=dg.AllPartitionMapping())
            for name in contract.references
        ]
        common: dict[str, Any] = {
            "deps": [
                dg.AssetDep(source.key("raw"), partition_mapping=window(0, source.late_days)),
                *referred,
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
                    metadata={"dagster/column_schema": column_schema(schema, _constraints(contract))},
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
            asked = between(context)
            with connection(duckdb) as con:
                tables = source.tables(lake.lake)
                others = source.referred(lake.lake).values()
                read = {table.name: table.version for table in (tables.raw, tables.files, *others)}
                made = made_by(context, **read).saying(contract=contract.sha256)
                key = pseudonym_key(contract)
                if key is not None:
                    made = made.saying(pseudonym_key=fingerprint(key))
                written = write_events(
                    con,
                    tables,
                    contract,
                    asked,
                    late_days=source.late_days,
                    provenance=made,
                    key=key,
                    references=source.references(con, lake.lake),
                )
                shown = {
                    "events": {"dagster/uri": tables.events.uri, "days changed": len(written.changed)},
                    "quarantine": stored(con, tables.quarantine),
                }
            rows = {"events": written.accepted, "quarantine": written.refused}
            if written.withheld:
                publish_rest(context, source, asked, written, shown)
            for name, by_day in rows.items():
                yield dg.MaterializeResult(
                    asset_key=source.key(name),
                    metadata=shown[name] | {"dagster/row_count": sum(by_day.values())},
                )

        return events


def pseudonym_key(contract: Contract) -> bytes | None:
    """The key for a contract with personal columns, from the environment; None for any other contract.

    A run that has none fails before it reads or writes anything: ``raw`` needs no key, what follows it does.
    """
    if not contract.personal:
        return None
    try:
        return key_from_environment()
    except PseudonymError as error:
        raise dg.Failure(
            f"{contract.path}: {', '.join(contract.personal)} are personal. {error}", allow_retries=False
        ) from None


def publish_rest(
    context: dg.AssetExecutionContext,
    source: Source,
    asked: Between,
    written: Written,
    shown: dict[str, dict[str, Any]],
) -> NoReturn:
    """Tell Dagster which days were published all the same, judge each withheld one, and fail the run."""
    for day in days(*asked):
        for name, rows in (("quarantine", written.refused), ("events", written.accepted)):
            if name == "events" and day in written.withheld:
                continue
            context.log_event(
                dg.AssetMaterialization(
                    source.key(name),
                    partition=day.isoformat(),
                    metadata=shown[name] | {"dagster/row_count": rows.get(day, 0)},
                )
            )
    broken = {(breach.day, breach.rule): breach.message for breach in written.broken}
    rules = {rule.name for rule in source.contract.day_rules} & {rule for _, rule in broken}
    for day in days(*asked):
        for rule in sorted(rules):
            message = broken.get((day, rule))
            context.log_event(
                dg.AssetCheckEvaluation(
                    asset_key=source.key("events"),
                    check_name=rule,
                    passed=message is None or day not in written.withheld,
                    metadata={"message": message or "kept"},
                    blocking=True,
                    partition=day.isoformat(),
                )
            )
    raise dg.Failure(
        f"{len(written.withheld)} of {len(days(*asked))} days of {source.name} break their contract and are "
        f"withheld; the others are published. {name_days(written.withheld)}. Look at `ml-assets data quarantine "
        f"{source.name}`, then have corrected files landed, or waive it: `ml-assets data waive {source.name} DAY --why ... "
        "--until ...`.",
        metadata={"withheld": dg.MetadataValue.json({str(d): why for d, why in written.withheld.items()})},
        allow_retries=False,
    )


def _constraints(contract: Contract) -> dict[str, dg.TableColumnConstraints]:
    """What the rules that refuse rows promise of each column; unique is within a day."""
    rules = [rule for rule in contract.row_rules if rule.severity == "error"]
    alone = {rule.keys[0] for rule in rules if rule.kind == "unique" and len(rule.keys) == 1}
    found = {
        column.name: dg.TableColumnConstraints(
            nullable=not column.required,
            unique=column.name in alone,
            other=[rule.description for rule in rules if rule.column == column.name and rule.kind == "value"]
            + [
                rule.description
                for rule in rules
                if rule.kind == "unique" and len(rule.keys) > 1 and column.name in rule.keys
            ],
        )
        for column in contract.columns
    }
    present = dg.TableColumnConstraints(nullable=False)
    return {"available_at": present, "event_date": present} | found


def _described(column: Column) -> str:
    hashed = "Personal: a keyed hash of the value." if column.personal else ""
    return " ".join(part for part in (column.description, hashed) if part)
