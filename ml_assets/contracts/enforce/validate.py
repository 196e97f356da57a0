"""Events held against a contract's rules for rows and days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import duckdb

from ml_assets.contracts.compile import sql_types
from ml_assets.contracts.contract import Contract, DayRule, RowRule
from ml_assets.contracts.enforce.outcomes import RuleResult, Seen, name_days, number, sentence
from ml_assets.contracts.enforce.queries import SECONDS, judged_days
from ml_assets.contracts.enforce.references import missing_keys
from ml_assets.contracts.errors import ContractError, nearest
from ml_assets.lake import sql

Counts = dict[date, int]


@dataclass
class RuleCounts:
    """What the passes over the tables count, by day; days without any are left out."""

    totals: Counts = field(default_factory=dict)
    refused: Counts = field(default_factory=dict)
    by_rule: dict[str, Counts] = field(default_factory=dict)
    """Rows that break a row rule or are counted by a day rule, by the rule's name."""
    repeats: dict[tuple[str, ...], Counts] = field(default_factory=dict)
    refused_by: dict[str, int] = field(default_factory=dict)


def validate(
    contract: Contract,
    con: duckdb.DuckDBPyConnection,
    events: duckdb.DuckDBPyRelation,
    quarantine: duckdb.DuckDBPyRelation,
    days: Sequence[date],
    references: Mapping[str, duckdb.DuckDBPyRelation] | None = None,
    seconds: int = SECONDS,
) -> list[RuleResult]:
    """Hold events against every row rule and day rule.

    One aggregate pass serves every rule that counts rows by a condition. Beside it every set of columns that
    are unique together, and every reference, reads its columns once more; an ``sql`` rule reads its columns
    once and runs its query for each day.

    ``events`` has the stored columns and ``event_date``; ``quarantine`` has ``event_date`` and
    ``reasons``; both may be empty. Row rules look at all events given. Day rules are judged for each of
    ``days``, so that a day without rows counts as 0. ``references`` are the events of the sources the
    contract refers to; a source left out has none. ``seconds`` is how long a query may take for a day. A failing
    rule of severity ``warning`` has ``passed`` False too. Raises ContractError if a column is missing.
    """
    references = references or {}
    types = {
        name: sql_types.canonical(str(kind)) for name, kind in zip(events.columns, events.types, strict=True)
    }
    _require(contract, "events", types, [*(column.name for column in contract.columns), "event_date"])
    _require(contract, "quarantine", quarantine.columns, ["event_date", "reasons"])
    events = _as_promised(contract, events, types)
    found = _count(contract, con, events)
    _count_refused(con, quarantine, found)
    rules: list[RowRule | DayRule] = [*contract.row_rules, *contract.day_rules]
    for keys in {rule.keys for rule in rules if rule.kind in ("unique", "duplicates")}:
        found.repeats[keys] = _repeats(con, events, keys)
    results = [_row_result(contract, rule, found, types) for rule in contract.row_rules]
    asked = sorted(set(days))
    for rule in contract.day_rules:
        if rule.kind == "sql":
            seen = judged_days(contract, con, events, rule, asked, seconds)
        else:
            if rule.kind == "reference" and rule.to in references:
                found.by_rule[rule.name] = missing_keys(contract, con, events, rule, references[rule.to])
            judged = [day for day in asked if rule.kind != "rows" or day not in contract.closed]
            seen = {day: _observe(rule, found, day) for day in judged}
        results.append(_day_result(rule, seen, found, rule.to in references))
    return results


def _require(contract: Contract, what: str, found: Sequence[str] | dict[str, str], needed: list[str]) -> None:
    for name in needed:
        if name not in found:
            message = f"{what} have no column {name!r}{nearest(name, list(found))}; build {what} again"
            raise ContractError(contract.path, message)


def _as_promised(
    contract: Contract, events: duckdb.DuckDBPyRelation, types: dict[str, str]
) -> duckdb.DuckDBPyRelation:
    """The events with every column of the contract's type, so that its rules can be judged: NULL if they can't."""
    others = [
        f"TRY_CAST({sql.quote(column.name)} AS {column.stored_type}) AS {sql.quote(column.name)}"
        for column in contract.columns
        if types[column.name] != column.stored_type
    ]
    return events.project(f"* REPLACE ({', '.join(others)})") if others else events


def _kept_unseen(contract: Contract, rule: RowRule) -> bool:
    """Whether a rule is about a value of which events hold the hash only."""
    return rule.kind == "value" and rule.column is not None and contract.column(rule.column).personal


def _count(contract: Contract, con: duckdb.DuckDBPyConnection, events: duckdb.DuckDBPyRelation) -> RuleCounts:
    """Events per day, and per day those that each rule counts: one pass."""
    events.create_view("_contract_events", replace=True)
    conditions = {
        rule.name: rule.violation
        for rule in contract.row_rules
        if rule.kind in ("value", "required") and not _kept_unseen(contract, rule)
    }
    for rule in contract.day_rules:
        if rule.kind == "violations":
            conditions[rule.name] = rule.violation
        elif rule.kind == "reference":
            conditions[rule.name] = " AND ".join(f"{sql.quote(key)} IS NOT NULL" for key in rule.keys)
    counts = "".join(f", count_if({condition})" for condition in conditions.values())
    rows = con.execute(
        f"SELECT event_date, count(*){counts} FROM _contract_events GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return RuleCounts(
        totals={row[0]: row[1] for row in rows},
        by_rule={
            name: {row[0]: row[at] for row in rows if row[at]} for at, name in enumerate(conditions, start=2)
        },
    )


def _count_refused(
    con: duckdb.DuckDBPyConnection, quarantine: duckdb.DuckDBPyRelation, found: RuleCounts
) -> None:
    """Refused rows per day, and per rule named in their reasons."""
    quarantine.create_view("_contract_refused", replace=True)
    by_day = con.execute("SELECT event_date, count(*) FROM _contract_refused GROUP BY 1").fetchall()
    by_rule = con.execute(
        "SELECT split_part(reason, ':', 1), count(*) "
        "FROM (SELECT unnest(reasons) AS reason FROM _contract_refused) GROUP BY 1"
    ).fetchall()
    found.refused, found.refused_by = dict(by_day), dict(by_rule)


def _repeats(
    con: duckdb.DuckDBPyConnection, events: duckdb.DuckDBPyRelation, keys: tuple[str, ...]
) -> Counts:
    """Events per day that repeat another one of the day in ``keys``; an empty single key repeats none.

    Hashes are compared first, which is quicker and never misses a repeat; only if two agree, the keys are.
    """
    events.create_view("_contract_events", replace=True)
    columns = ", ".join(sql.quote(key) for key in keys)
    present = f"WHERE {columns} IS NOT NULL" if len(keys) == 1 else ""
    [(rows, apart)] = con.execute(
        f"SELECT count(*), count(DISTINCT hash(event_date, {columns})) FROM _contract_events {present}"
    ).fetchall()
    if rows == apart:
        return {}
    counted = con.execute(
        "SELECT event_date, sum(extra)::BIGINT FROM (SELECT event_date, count(*) - 1 AS extra "
        f"FROM _contract_events {present} GROUP BY event_date, {columns} HAVING count(*) > 1) "
        "GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return dict(counted)


def _row_result(contract: Contract, rule: RowRule, found: RuleCounts, types: dict[str, str]) -> RuleResult:
    refused = found.refused_by.get(rule.name, 0)
    kept = f" {refused:,} rows are in the quarantine for it." if refused else ""
    if _kept_unseen(contract, rule):
        message = f"{rule.name}: rows are held against it before {rule.column} is replaced by its hash.{kept}"
        return RuleResult(rule, True, 0, refused, message)
    failing = found.repeats[rule.keys] if rule.kind == "unique" else found.by_rule.get(rule.name, {})
    column = contract.column(rule.column) if rule.kind == "type" and rule.column else None
    if column and types[column.name] != column.stored_type:
        failing = found.totals
    violations = sum(failing.values())
    if not violations:
        return RuleResult(rule, True, 0, refused, f"{rule.name}: every event keeps it.{kept}")
    broken = f"{violations:,} events on {len(failing)} days break it ({name_days(failing)})"
    if column:
        broken = f"the events hold {column.name} as {types[column.name]}, {column.stored_type} expected"
    message = (
        f"{rule.name}: {broken}; {sentence(rule.description)} "
        f"Build these days of events again under contract version {contract.version}, or correct it.{kept}"
    )
    return RuleResult(rule, False, violations, refused, message, failing)


def _observe(rule: DayRule, found: RuleCounts, day: date) -> Seen:
    """What the rule counts on a day, in its unit; no share of nothing is more than 0."""
    kept, refused = found.totals.get(day, 0), found.refused.get(day, 0)
    if rule.kind == "rows":
        return kept
    counted = {
        "refused": found.refused,
        "duplicates": found.repeats.get(rule.keys, {}),
    }.get(rule.kind, found.by_rule.get(rule.name, {}))
    count = counted.get(day, 0)
    whole = kept + refused if rule.kind == "refused" else kept
    if rule.unit == "rows":
        return count
    return 100 * count / whole if count else 0.0


def _day_result(rule: DayRule, seen: Mapping[date, Seen], found: RuleCounts, referred: bool) -> RuleResult:
    failing = {
        day: value for day, value in seen.items() if isinstance(value, str) or not rule.limit.keeps(value)
    }
    refused = found.refused_by.get(rule.name, 0)
    if rule.kind == "refused":
        refused = sum(found.refused.get(day, 0) for day in seen)
    if not failing:
        return RuleResult(rule, True, 0, refused, f"{rule.name}: all {len(seen)} days keep it.")
    unit = {"rows": " rows", "percent": " percent"}[rule.unit]
    expected = f"{rule.limit}{'' if rule.kind == 'sql' else unit} a day expected"
    message = (
        f"{rule.name}: {expected}; {len(failing)} of {len(seen)} days fail ({name_days(failing, number)}); "
        f"{_advice(rule, referred)}."
    )
    return RuleResult(rule, False, len(failing), refused, message, failing)


def _advice(rule: DayRule, referred: bool) -> str:
    """What to do about days that break a rule."""
    if rule.kind == "refused":
        return "see the reasons in the quarantine, and have the producer land corrected files"
    if rule.kind == "rows":
        return "check whether the producer's files for these days are complete"
    if rule.kind == "reference" and not referred:
        return f"{rule.to} has no events yet: materialize {rule.to}/events first, then these days again"
    if rule.kind == "reference":
        keys = ", ".join(f"{rule.to}.{key}" for key in rule.to_keys)
        return f"land what is missing among {keys} and materialize {rule.to}/events, then these days again"
    return f"{sentence(rule.description)[:-1]}: have the producer land corrected files, or correct the rule"
