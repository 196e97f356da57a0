"""From raw to events and quarantine: every row of the versions in force ends in exactly one of them.

A day is written, judged and only then published: a day that breaks a rule of severity error stays out of
``events``, as it was before, unless a waiver lets it through.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from ml_assets.contracts import Contract, DayRule, Rule
from ml_assets.contracts.enforce.classify import classify
from ml_assets.contracts.enforce.outcomes import RuleResult
from ml_assets.contracts.enforce.queries import SECONDS
from ml_assets.contracts.enforce.validate import validate
from ml_assets.lake import Between, Provenance, Table, confined, on_disk, seal
from ml_assets.lake.sql import quote
from ml_assets.landing.raw import FileRecord, rows_in_force, seen_files
from ml_assets.landing.tables import SourceTables
from ml_assets.landing.withholding import LANDED_WHOLE, Breach, record, unwaived, waivers


@dataclass(frozen=True)
class Written:
    """What became of the days of a range."""

    accepted: Mapping[date, int]
    """Rows in events, by day; days without any left out."""
    refused: Mapping[date, int]
    """Rows in quarantine, by day."""
    withheld: Mapping[date, str]
    """The days that were not published, with the reasons."""
    broken: tuple[Breach, ...]
    """Every broken rule of severity error, waived ones too."""
    changed: frozenset[date]
    """The days whose events are others than before."""


def write_events(
    con: duckdb.DuckDBPyConnection,
    tables: SourceTables,
    contract: Contract,
    between: Between,
    *,
    late_days: int,
    provenance: Provenance,
    key: bytes | None = None,
    references: Mapping[str, Table] | None = None,
    rule_seconds: int = SECONDS,
) -> Written:
    """Build the events and the quarantine of the days ``between``, and publish those that keep the contract.

    Reads the files that can hold rows of these days: their own and those of ``late_days`` after them. Days
    whose rows are as before are left untouched, so that nothing downstream is built again for them. The
    commit of ``events`` comes last and says that the whole range has been read. ``key`` pseudonymises
    personal columns, ``references`` are the events of the sources the contract refers to, ``rule_seconds`` how long
    a rule's query may take for a day. The contract's own SQL runs in
    a connection that reads nothing else.
    """
    first, last = between
    with confined() as apart, on_disk(apart) as database:
        table = f"{database}.classified"
        rows = rows_in_force(apart, tables, contract, (first, last + timedelta(days=late_days)))
        referred = {name: events.read(apart) for name, events in (references or {}).items()}
        seal(apart)
        classify(contract, apart, rows, late_days=late_days, key=key, references=referred).filter(
            f"event_date BETWEEN DATE '{first}' AND DATE '{last}'"
        ).create(table)
        columns = ", ".join(
            quote(column.name) for column in contract.columns if column.name != "available_at"
        )
        kept = apart.sql(
            f"SELECT {columns}, available_at, landing_date, row_number, event_date FROM {table} "
            "WHERE len(reasons) = 0"
        )
        refused = apart.sql(
            f"SELECT file, row_number, content_hash, original, reasons, landing_date, event_date FROM {table} "
            "WHERE len(reasons) > 0"
        )
        seen = {day: file for day, file in seen_files(con, tables.files).items() if first <= day <= last}
        landed = [day for day, file in seen.items() if file.accepted]
        results = validate(contract, apart, kept, refused, landed, referred, rule_seconds)
        broken = sorted((*_breaches(results, referred), *_refused_files(seen)), key=lambda b: (b.day, b.rule))
        held = unwaived(broken, waivers(con, tables))
        tables.quarantine.update(con, refused, between=between, provenance=provenance)
        record(con, tables, between, broken, {b.day for b in broken} - set(held), provenance)
        changed = tables.events.update(con, kept, between=between, provenance=provenance, withhold=held)
        return Written(
            accepted={
                day: n for day, n in _by_day(apart, table, "len(reasons) = 0").items() if day not in held
            },
            refused=_by_day(apart, table, "len(reasons) > 0"),
            withheld=held,
            broken=tuple(broken),
            changed=frozenset(changed),
        )


def _breaches(results: list[RuleResult], referred: Collection[str]) -> list[Breach]:
    return [
        Breach(day, result.rule.name, f"{result.rule.name}: {_told(result.rule, found, referred)}")
        for result in results
        if not result.passed and result.rule.severity == "error"
        for day, found in result.failing.items()
    ]


def _told(rule: Rule, found: int | float | str, referred: Collection[str]) -> str:
    if isinstance(rule, DayRule) and rule.to and rule.to not in referred:
        return f"it waits for {rule.to}, which has no events yet; {rule.description}"
    return f"{_said(rule, found)}; {rule.description}"


def _said(rule: Rule, found: int | float | str) -> str:
    amount = (
        f"{found:,.4g}" if isinstance(found, float) else f"{found:,}" if isinstance(found, int) else found
    )
    unit = getattr(rule, "unit", "rows") if getattr(rule, "kind", "") != "sql" else ""
    return f"{amount} {unit} found".replace("  ", " ")


def _refused_files(seen: Mapping[date, FileRecord]) -> list[Breach]:
    return [
        Breach(day, LANDED_WHOLE, f"{LANDED_WHOLE}: {file.reason}")
        for day, file in seen.items()
        if file.status == "refused"
    ]


def _by_day(con: duckdb.DuckDBPyConnection, table: str, condition: str) -> dict[date, int]:
    found = con.execute(
        f"SELECT event_date, count(*) FROM {table} WHERE {condition} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return dict(found)
