"""The component ``EventSource``: landing files become raw, events and quarantine, guarded by a contract."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, NoReturn

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.declared import DeclaredComponent
from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.metadata import declared, stored
from ml_assets.components.shared.partitions import AS_ONE_RUN, between, partitions_of, window
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.components.shared.results import ByPartition, numbers_of, tell
from ml_assets.components.shared.runs import failing, run_of
from ml_assets.components.source.checks import contract_checks, landing_checks
from ml_assets.components.source.sensors import landing_sensor
from ml_assets.contracts import Contract
from ml_assets.lake import Between, days
from ml_assets.landing.events import Written
from ml_assets.pipeline.steps.source import build_events, copy_landing
from ml_assets.project.source import Source, SourceSpec, name_days


class EventSource(DeclaredComponent):
    """A stream of events, delivered as one landing file per day, and the contract that guards it."""

    declares = SourceSpec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets raw, events and quarantine; the contract's checks; the landing sensor."""
        source = self.spec.bind(context.path)
        return dg.Definitions(
            assets=[_raw(source), _events(source)],
            asset_checks=[landing_checks(source), contract_checks(source)],
            sensors=[landing_sensor(source)],
        )


def _raw(source: Source) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(source, "raw"),
        description=(
            f"Immutable copy of the landing files of {source.name}: every version of every day's file, told "
            "apart by content hash. A corrected file is a new version beside the old one."
        ),
        partitions_def=partitions_of(source.days),
        backfill_policy=AS_ONE_RUN,
        group_name=source.name,
        owners=list(source.owners),
        kinds={"deltalake", "duckdb"},
        code_version=source.contract.sha256[:12],
        metadata=declared(source.schemas["raw"]),
    )
    def raw(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.MaterializeResult:
        tables = source.tables(lake.lake)
        with connection(duckdb) as con, failing():
            landed = copy_landing(con, run_of(context), source, lake.lake, between(context))
            days_asked = source.days.between(*between(context))
            numbers = numbers_of(con, tables.raw, days_asked, {"versions": "count(DISTINCT content_hash)"})
        tell(context, {day: numbers.get(day, {}) | {"file": landed.became(day)} for day in days_asked})
        return dg.MaterializeResult(
            metadata=stored(tables.raw, source.schemas["raw"]) | {"landing": source.landing.place}
        )

    return raw


def _events(source: Source) -> dg.AssetsDefinition:
    contract = source.contract
    promised = _constraints(contract)
    referred = [
        dg.AssetDep(dg.AssetKey([name, "events"]), partition_mapping=dg.AllPartitionMapping())
        for name in contract.references
    ]
    common: dict[str, Any] = {
        "deps": [
            dg.AssetDep(key_of(source, "raw"), partition_mapping=window(0, source.late_days)),
            *referred,
        ],
        "partitions_def": partitions_of(source.days),
        "group_name": source.name,
        "owners": list(source.owners),
        "kinds": {"deltalake", "duckdb"},
        "code_version": contract.sha256[:12],
    }

    @dg.multi_asset(
        name=f"{source.name}__events",
        backfill_policy=AS_ONE_RUN,
        specs=[
            dg.AssetSpec(
                key_of(source, "events"),
                description=f"{contract.description} Typed, deduplicated and valid by the contract.",
                metadata=declared(source.schemas["events"], promised),
                **common,
            ),
            dg.AssetSpec(
                key_of(source, "quarantine"),
                description="The rows the contract refuses, as they came, each with its file, line and reasons.",
                metadata=declared(source.schemas["quarantine"]),
                **common,
            ),
        ],
    )
    def events(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> Iterator[dg.MaterializeResult]:
        asked, tables = between(context), source.tables(lake.lake)
        with connection(duckdb) as con, failing():
            written = build_events(con, run_of(context), source, lake.lake, asked)
        shown = {
            "events": stored(tables.events, source.schemas["events"], promised),
            "quarantine": stored(tables.quarantine, source.schemas["quarantine"]),
        }
        each = {name: {day: _numbers(written, name, day) for day in days(*asked)} for name in shown}
        if written.withheld:
            publish_rest(context, source, asked, written, shown, each)
        for name, common in shown.items():
            tell(context, each[name], key_of(source, name))
            yield dg.MaterializeResult(asset_key=key_of(source, name), metadata=common)

    return events


def _numbers(written: Written, asset: str, day: date) -> dict[str, Any]:
    """What became of the rows of one day, for ``events`` or ``quarantine``."""
    accepted, refused = written.accepted.get(day, 0), written.refused.get(day, 0)
    if asset == "quarantine":
        return {"dagster/row_count": refused}
    share = {"refused_share": refused / (accepted + refused)} if accepted + refused else {}
    changed = {"changed": "yes" if day in written.changed else "no"}
    return {"dagster/row_count": accepted, "refused": refused, **share, **changed}


def publish_rest(
    context: dg.AssetExecutionContext,
    source: Source,
    asked: Between,
    written: Written,
    shown: Mapping[str, Mapping[str, Any]],
    each: Mapping[str, ByPartition],
) -> NoReturn:
    """Tell Dagster which days were published all the same, judge each withheld one, and fail the run."""
    for day in days(*asked):
        for name in ("quarantine", "events"):
            if name == "events" and day in written.withheld:
                continue
            context.log_event(
                dg.AssetMaterialization(
                    key_of(source, name),
                    partition=day.isoformat(),
                    metadata={**shown[name], **each[name][day]},
                )
            )
    broken = {(breach.day, breach.rule): breach.message for breach in written.broken}
    rules = {rule.name for rule in source.contract.day_rules} & {rule for _, rule in broken}
    for day in days(*asked):
        for rule in sorted(rules):
            message = broken.get((day, rule))
            context.log_event(
                dg.AssetCheckEvaluation(
                    asset_key=key_of(source, "events"),
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
    own = ("available_at", "landing_date", "row_number", "event_date")
    return dict.fromkeys(own, present) | found
