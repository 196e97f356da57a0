"""Events held against a contract's rules."""

from collections.abc import Callable, Sequence
from datetime import date

import duckdb

from ml_assets.contracts import sql
from ml_assets.contracts.contract import Contract
from ml_assets.contracts.errors import ContractError, nearest
from ml_assets.contracts.model import Bound, DayRule, RowRule, RuleResult
from ml_assets.contracts.rules import OPERATORS

MOST_DAYS = 20
NAMED_DAYS = 5

Counts = dict[date, int]


def validate(
    contract: Contract,
    con: duckdb.DuckDBPyConnection,
    events: duckdb.DuckDBPyRelation,
    quarantine: duckdb.DuckDBPyRelation,
    days: Sequence[date],
) -> list[RuleResult]:
    """See ``Contract.validate``."""
    types = {name: sql.canonical(str(kind)) for name, kind in zip(events.columns, events.types, strict=True)}
    _require(contract, "events", types, [*(column.name for column in contract.columns), "event_date"])
    _require(contract, "quarantine", quarantine.columns, ["landing_date", "reasons"])
    totals, broken = _count_violations(contract, con, events)
    refused_days, refused_rules = _count_refused(con, quarantine)
    results = []
    for rule in contract.row_rules:
        failing = broken[rule.name]
        if rule.kind == "type" and types[str(rule.column)] != contract.column(str(rule.column)).sql_type:
            failing = totals
        results.append(_row_result(contract, rule, failing, refused_rules.get(rule.name, 0), types))
    results.extend(_day_result(rule, totals, refused_days, days) for rule in contract.day_rules)
    return results


def _require(contract: Contract, what: str, found: Sequence[str] | dict[str, str], needed: list[str]) -> None:
    for name in needed:
        if name not in found:
            message = f"{what} have no column {name!r}{nearest(name, list(found))}; build {what} again"
            raise ContractError(contract.path, message)


def _count_violations(
    contract: Contract, con: duckdb.DuckDBPyConnection, events: duckdb.DuckDBPyRelation
) -> tuple[Counts, dict[str, Counts]]:
    """Rows per day, and for every row rule the rows per day that break it (days without any left out)."""
    _contract_events = events
    values = [rule for rule in contract.row_rules if rule.kind in ("value", "required")]
    counts = "".join(f", count_if({rule.violation})" for rule in values)
    rows = con.execute(
        f"SELECT event_date, count(*){counts} FROM _contract_events GROUP BY 1 ORDER BY 1"
    ).fetchall()
    totals: Counts = {row[0]: row[1] for row in rows}
    broken: dict[str, Counts] = {rule.name: {} for rule in contract.row_rules}
    for at, rule in enumerate(values):
        broken[rule.name] = {row[0]: row[2 + at] for row in rows if row[2 + at]}
    for rule in contract.row_rules:
        if rule.kind == "unique":
            keys = ", ".join(sql.quote(key) for key in rule.keys)
            present = f"WHERE {keys} IS NOT NULL" if len(rule.keys) == 1 else ""
            repeats = (
                f"SELECT max(event_date) AS day, count(*) - 1 AS extra FROM _contract_events {present} "
                f"GROUP BY {keys} HAVING count(*) > 1"
            )
            found = con.execute(
                f"SELECT day, sum(extra)::BIGINT FROM ({repeats}) GROUP BY 1 ORDER BY 1"
            ).fetchall()
            broken[rule.name] = dict(found)
    return totals, broken


def _count_refused(
    con: duckdb.DuckDBPyConnection, quarantine: duckdb.DuckDBPyRelation
) -> tuple[Counts, dict[str, int]]:
    """Refused rows per landing date, and per rule named in their reasons."""
    _contract_refused = quarantine
    by_day = con.execute("SELECT landing_date, count(*) FROM _contract_refused GROUP BY 1").fetchall()
    by_rule = con.execute(
        "SELECT split_part(reason, ':', 1), count(*) "
        "FROM (SELECT unnest(reasons) AS reason FROM _contract_refused) GROUP BY 1"
    ).fetchall()
    return dict(by_day), dict(by_rule)


def _row_result(
    contract: Contract, rule: RowRule, failing: Counts, refused: int, types: dict[str, str]
) -> RuleResult:
    violations = sum(failing.values())
    kept = f" {refused:,} rows are in the quarantine for it." if refused else ""
    if not violations:
        return RuleResult(rule, True, 0, refused, f"{rule.name}: every event keeps it.{kept}")
    found = f"{violations:,} events on {len(failing)} days break it ({_name_days(failing)})"
    if rule.kind == "type":
        wanted = contract.column(str(rule.column)).sql_type
        found = f"the events hold {rule.column} as {types[str(rule.column)]}, {wanted} expected"
    message = (
        f"{rule.name}: {found}; {_sentence(rule.description)} "
        f"Build these days of events again under contract version {contract.version}, or correct it.{kept}"
    )
    observed: dict[str, str | int | float] = {
        str(day): count for day, count in list(failing.items())[:MOST_DAYS]
    }
    return RuleResult(rule, False, violations, refused, message, observed)


def _day_result(rule: DayRule, totals: Counts, refused_days: Counts, days: Sequence[date]) -> RuleResult:
    failing: dict[date, int | float] = {}
    for day in sorted(set(days)):
        observed = _observe(rule, totals.get(day, 0), refused_days.get(day, 0))
        if not COMPARE[rule.operator](observed, rule.bound):
            failing[day] = observed
    refused = sum(refused_days.get(day, 0) for day in set(days)) if rule.metric == "invalidValues" else 0
    if not failing:
        return RuleResult(rule, True, 0, refused, f"{rule.name}: all {len(set(days))} days keep it.")
    unit = " percent" if rule.unit == "percent" else " rows"
    bound = " and ".join(map(str, rule.bound)) if isinstance(rule.bound, tuple) else str(rule.bound)
    do = (
        "see the reasons in the quarantine, and have the producer land corrected files"
        if rule.metric == "invalidValues"
        else "check whether the producer's files for these days are complete"
    )
    message = (
        f"{rule.name}: {OPERATORS[rule.operator]} {bound}{unit} a day expected; "
        f"{len(failing)} of {len(set(days))} days fail ({_name_days(failing)}); {do}."
    )
    seen: dict[str, str | int | float] = {str(day): value for day, value in list(failing.items())[:MOST_DAYS]}
    return RuleResult(rule, False, len(failing), refused, message, seen)


def _observe(rule: DayRule, kept: int, refused: int) -> int | float:
    if rule.metric == "rowCount":
        return kept
    if rule.unit == "rows":
        return refused
    return 100 * refused / (kept + refused) if refused else 0.0


def _single(compare: Callable[[float, float], bool]) -> Callable[[float, Bound], bool]:
    def judge(seen: float, bound: Bound) -> bool:
        if isinstance(bound, tuple):
            raise TypeError(f"one number is expected as a bound, not {bound}")
        return compare(seen, bound)

    return judge


def _between(seen: float, bound: Bound) -> bool:
    if not isinstance(bound, tuple):
        raise TypeError(f"a pair of numbers is expected as bounds, not {bound}")
    return bound[0] <= seen <= bound[1]


COMPARE: dict[str, Callable[[float, Bound], bool]] = {
    "mustBe": _single(lambda seen, bound: seen == bound),
    "mustNotBe": _single(lambda seen, bound: seen != bound),
    "mustBeGreaterThan": _single(lambda seen, bound: seen > bound),
    "mustBeGreaterOrEqualTo": _single(lambda seen, bound: seen >= bound),
    "mustBeLessThan": _single(lambda seen, bound: seen < bound),
    "mustBeLessOrEqualTo": _single(lambda seen, bound: seen <= bound),
    "mustBeBetween": _between,
    "mustNotBeBetween": lambda seen, bound: not _between(seen, bound),
}


def _name_days(failing: Counts | dict[date, int | float]) -> str:
    shown = ", ".join(
        f"{day}: {value:,.4g}" if isinstance(value, float) else f"{day}: {value:,}"
        for day, value in list(failing.items())[:NAMED_DAYS]
    )
    more = len(failing) - NAMED_DAYS
    return f"{shown}, and {more} more days" if more > 0 else shown


def _sentence(description: str) -> str:
    return description if description.endswith(".") else f"{description}."
