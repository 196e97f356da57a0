"""The days that have landed, held against the promises of ``slaProperties``."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

from ml_assets.contracts.contract import Closed, Contract, ServiceRule
from ml_assets.contracts.enforce.outcomes import NAMED_DAYS, RuleResult

ONE_DAY = timedelta(days=1)


def judge_service(
    contract: Contract, landed: Sequence[date], today: date, end: date | None = None
) -> list[RuleResult]:
    """Hold the days that have landed against every service rule, as of ``today`` (UTC).

    ``end`` is the last day of a stream that has ended: it is as fresh as it will ever be. Closed days add
    nothing to an age or a gap.
    """
    days = sorted(set(landed))
    return [
        _fresh(rule, days, today, end, contract.closed)
        if rule.kind == "freshness"
        else _frequent(rule, days, contract.closed)
        for rule in contract.service_rules
    ]


def _fresh(rule: ServiceRule, days: list[date], today: date, end: date | None, closed: Closed) -> RuleResult:
    limit = rule.limit.days
    if not days:
        message = (
            f"{rule.name}: nothing has landed yet, a file at most {_days(limit)} old expected; land the first"
        )
        return RuleResult(rule, False, 1, 0, f"{message} file.", {today: "nothing has landed"})
    newest = days[-1]
    last = end
    while last is not None and last > newest and last in closed:
        last -= ONE_DAY
    if last is not None and newest >= last:
        return RuleResult(
            rule, True, 0, 0, f"{rule.name}: the stream has ended, and its last day has landed."
        )
    age = _open_days(newest, today, closed)
    if age <= limit:
        return RuleResult(rule, True, 0, 0, f"{rule.name}: the newest file is {newest}, {_days(age)} old.")
    message = (
        f"{rule.name}: the newest file is {newest}, {_days(age)} old on {today}, at most {_days(limit)} expected; "
        "ask the producer for the files since, or see why they don't land."
    )
    return RuleResult(rule, False, 1, 0, message, {today: age})


def _frequent(rule: ServiceRule, days: list[date], closed: Closed) -> RuleResult:
    """Every gap that is too long fails on the day by which a file was due."""
    limit = rule.limit.days
    gaps = [
        (before, after, length)
        for before, after in pairwise(days)
        if (length := _open_days(before, after, closed)) > limit
    ]
    if not gaps:
        span = f"from {days[0]} to {days[-1]}" if days else "so far (nothing has landed)"
        return RuleResult(rule, True, 0, 0, f"{rule.name}: a file at least every {_days(limit)} {span}.")
    shown = ", ".join(f"{before} to {after}: {_days(length)}" for before, after, length in gaps[:NAMED_DAYS])
    more = f", and {len(gaps) - NAMED_DAYS} more" if len(gaps) > NAMED_DAYS else ""
    message = (
        f"{rule.name}: a file at least every {_days(limit)} expected; {len(gaps)} gaps are longer "
        f"({shown}{more}); ask the producer for the files between, or declare closedDays."
    )
    failing: dict[date, int | float | str] = {
        _due(before, limit, closed): length for before, _, length in gaps
    }
    return RuleResult(rule, False, len(gaps), 0, message, failing)


def _open_days(before: date, after: date, closed: Closed) -> int:
    """The days from one to the other, closed ones between them left out."""
    between = (before + timedelta(days=n) for n in range(1, (after - before).days))
    return (after - before).days - sum(day in closed for day in between)


def _due(before: date, limit: int, closed: Closed) -> date:
    """The day by which the file after ``before`` has to be there."""
    day, left = before, limit
    while left:
        day += ONE_DAY
        left -= day not in closed
    return day


def _days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"
