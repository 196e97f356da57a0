"""The checks of a source: what landed against what was promised, and events against every rule of the contract."""

from collections.abc import Iterator, Sequence

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.partitions import between_of_run
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.contracts import Rule
from ml_assets.contracts.enforce.outcomes import RuleResult
from ml_assets.contracts.enforce.service import judge_service
from ml_assets.contracts.enforce.trends import judge_trends
from ml_assets.contracts.enforce.validate import validate
from ml_assets.instance import clock
from ml_assets.lake import Between, Lake, confined, days, seal
from ml_assets.landing.balance import lost_after_raw
from ml_assets.landing.raw import Lost, lost_rows, seen_files
from ml_assets.landing.withholding import LANDED_WHOLE, Breach, Waiver, breaches, waivers
from ml_assets.pipeline.due.landing import unread_days
from ml_assets.project.source import Source

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
SHOWN_DAYS = 20
ROWS_KEPT, ROWS_ACCOUNTED = "rows_kept", "rows_accounted"
LAND_AGAIN = (
    "Have the same files landed again and materialize raw of these days: where the file is there they are copied anew. "
    "Or restore the table's folder from a backup."
)
BUILD_AGAIN = "Materialize events and quarantine of these days again."


def landing_checks(source: Source) -> dg.AssetChecksDefinition:
    """Checks of raw: every file could be read, no day is without one, and the service promises are kept."""
    raw = key_of(source, "raw")

    @dg.multi_asset_check(
        name=f"{source.name}__landing_checks",
        specs=[
            dg.AssetCheckSpec(
                LANDED_WHOLE,
                asset=raw,
                description="The newest version of every landing file could be read and has the contract's columns. "
                "A refused file withholds its day; its bytes are kept.",
            ),
            dg.AssetCheckSpec(
                "every_day_landed",
                asset=raw,
                description="No day between the first and the last landed file is without a file, closed days apart. "
                "The contract's frequency makes it a promise; this only warns.",
            ),
            dg.AssetCheckSpec(
                ROWS_KEPT,
                asset=raw,
                description="raw has the rows of every accepted file version, as many as the log of files says were "
                "copied.",
                blocking=True,
            ),
            *(_spec(source, rule, "raw") for rule in source.contract.service_rules),
        ],
        can_subset=True,
    )
    def landing(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> Iterator[dg.AssetCheckResult]:
        with connection(duckdb) as con:
            asked = between_of_run(context.run.tags)
            seen = seen_files(con, source.tables(lake.lake).files)
            lost = lost_rows(con, source.tables(lake.lake), asked)
        wanted = {day: s for day, s in seen.items() if asked is None or asked[0] <= day <= asked[1]}
        refused = {f"{day} {s.file}": s.reason for day, s in wanted.items() if s.status == "refused"}
        span = days(min(wanted), max(wanted)) if wanted else []
        absent = [str(day) for day in span if day not in wanted and day not in source.contract.closed]
        outcomes = {
            LANDED_WHOLE: dg.AssetCheckResult(
                asset_key=raw,
                check_name=LANDED_WHOLE,
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
                severity=WARN,
                metadata={"days without a file": ", ".join(absent[:40]) or "none", "how many": len(absent)},
            ),
            ROWS_KEPT: _kept(source, "raw", ROWS_KEPT, lost, LAND_AGAIN),
        }
        end = source.days.last
        landed = [day for day, s in seen.items() if s.accepted]
        for result in judge_service(source.contract, landed, clock.today(), end):
            outcomes[result.rule.name] = _outcome(source, "raw", result, [], [], None)
        for key in context.selected_asset_check_keys:
            yield outcomes[key.name]

    return landing


def contract_checks(source: Source) -> dg.AssetChecksDefinition:
    """One check per rule of the contract, all judged together; errors block what comes after."""
    contract = source.contract
    rules: list[Rule] = [*contract.row_rules, *contract.day_rules, *contract.trend_rules]

    @dg.multi_asset_check(
        name=f"{source.name}__contract",
        specs=[
            dg.AssetCheckSpec(
                ROWS_ACCOUNTED,
                asset=key_of(source, "events"),
                description="Every row in force in raw is in events or in quarantine, once. Days that are withheld, or "
                "still to be built, are left out.",
                blocking=True,
                additional_deps=[key_of(source, "quarantine")],
            ),
            *(_spec(source, rule, "events") for rule in rules),
        ],
        can_subset=True,
    )
    def contract_holds(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> Iterator[dg.AssetCheckResult]:
        asked = between_of_run(context.run.tags)
        with connection(duckdb) as con:
            results = judge_events(source, con, lake.lake, asked)
            tables = source.tables(lake.lake)
            broken, given = breaches(con, tables, asked), waivers(con, tables)
            unread = unread_days(con, tables, source.late_days, source.days)
            lost = lost_after_raw(
                con, tables, source.late_days, source.days.first, between=asked, leaving=unread
            )
        selected = {key.name for key in context.selected_asset_check_keys}
        if ROWS_ACCOUNTED in selected:
            yield _kept(source, "events", ROWS_ACCOUNTED, lost, BUILD_AGAIN)
        for result in (r for r in results if r.rule.name in selected):
            unpublished = [b for b in broken if b.rule == result.rule.name and not b.published]
            yield _outcome(source, "events", result, unpublished, given, asked)

    return contract_holds


def _kept(source: Source, asset: str, check: str, lost: Sequence[Lost], remedy: str) -> dg.AssetCheckResult:
    days = "; ".join(map(str, lost[:SHOWN_DAYS])) + (
        f"; and {len(lost) - SHOWN_DAYS} more" if lost[SHOWN_DAYS:] else ""
    )
    return dg.AssetCheckResult(
        asset_key=key_of(source, asset),
        check_name=check,
        passed=not lost,
        severity=ERROR,
        description=f"{asset} of {source.name} has other rows than landed on {len(lost)} days: {days}. {remedy}"
        if lost
        else None,
        metadata={"days": len(lost), "rows missing": sum(one.expected - one.found for one in lost)},
    )


def judge_events(
    source: Source, con: duckdb.DuckDBPyConnection, lake: Lake, asked: Between | None
) -> list[RuleResult]:
    """Every rule of the contract, held against the published events of a range, or of all days."""
    tables, contract = source.tables(lake), source.contract
    broken = breaches(con, tables, asked)
    unpublished = {breach.day for breach in broken if not breach.published}
    landed = [
        day
        for day, seen in seen_files(con, tables.files).items()
        if seen.accepted and day not in unpublished and (asked is None or asked[0] <= day <= asked[1])
    ]
    before = (asked[0] - contract.look_back, asked[1]) if asked else None
    with confined() as apart:
        events = tables.events.read(apart, between=asked, lacking=source.columns)
        earlier = tables.events.read(apart, between=before, lacking=source.columns)
        quarantine = tables.quarantine.read(apart, between=asked)
        referred = {name: table.read(apart) for name, table in source.references(lake).items()}
        seal(apart)
        results = validate(contract, apart, events, quarantine, landed, referred, source.rule_seconds)
        if contract.trend_rules:
            results += judge_trends(contract, apart, earlier, landed)
        return results


def _spec(source: Source, rule: Rule, asset: str) -> dg.AssetCheckSpec:
    blocks = asset == "events" and rule.severity == "error"
    return dg.AssetCheckSpec(
        rule.name,
        asset=key_of(source, asset),
        description=f"{rule.description} ({rule.dimension})",
        blocking=blocks,
        additional_deps=[key_of(source, "quarantine")] if asset == "events" else None,
    )


def _outcome(
    source: Source,
    asset: str,
    result: RuleResult,
    unpublished: list[Breach],
    given: list[Waiver],
    asked: Between | None,
) -> dg.AssetCheckResult:
    """A rule's result as Dagster's: days withheld for it fail it too, days waived now don't."""
    now = clock.now()
    rule = result.rule
    covered = {
        day: waiver
        for day in {*result.failing, *(breach.day for breach in unpublished)}
        for waiver in given
        if waiver.covers(day, rule.name, now)
    }
    failing = {str(day): seen for day, seen in result.failing.items() if day not in covered}
    held = {str(b.day): b.message for b in unpublished if b.day not in covered}
    said = result.message if failing or result.passed else f"{rule.name}: every failing day is waived."
    if held:
        shown = "; ".join(f"{day} ({why})" for day, why in list(held.items())[:3])
        more = f" and {len(held) - 3} more" if len(held) > 3 else ""
        said = (
            f"{rule.name}: withheld for it: {shown}{more}. Land the right file, or: ml-assets data waive {source.name} DAY "
            f"--why TEXT --until DAY. Of the days that are published: {said}"
        )
    return dg.AssetCheckResult(
        asset_key=key_of(source, asset),
        check_name=rule.name,
        passed=not held and (result.passed or (bool(result.failing) and not failing)),
        severity=ERROR if rule.severity == "error" else WARN,
        description=said,
        metadata={
            "violations": result.violations,
            "rows refused by this rule": result.refused,
            "days": dg.MetadataValue.json(dict(list({**failing, **held}.items())[:SHOWN_DAYS])),
            "waived": "; ".join(
                f"{day} by {w.who} until {w.until:%Y-%m-%d}: {w.why}" for day, w in covered.items()
            )
            or "none",
            "range": f"{asked[0]} to {asked[1]}" if asked else "all days",
        },
    )
