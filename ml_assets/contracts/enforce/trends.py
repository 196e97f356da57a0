"""Days held against the days before them: volume, empty values, categories, repeats."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

import duckdb

from ml_assets.contracts.contract import Closed, Contract, TrendRule
from ml_assets.contracts.enforce.outcomes import NAMED_DAYS, RuleResult, Seen, sentence
from ml_assets.lake import sql

NAMED_VALUES = 3

Counts = dict[date, int]
# The value of a failing day and, for the message, the day's own words.
Finding = tuple[Seen, str]
Judge = Callable[[date, list[date]], Finding | None]


@dataclass(frozen=True)
class EventCounts:
    """The events per day, and on which days nothing was expected."""

    totals: Counts
    closed: Closed

    def before(self, day: date, weeks: int) -> list[date]:
        """The days of the last ``weeks`` weeks with events, closed ones apart."""
        days = (day - timedelta(days=n) for n in range(1, 7 * weeks + 1))
        return [other for other in days if self.totals.get(other) and other not in self.closed]

    def enough(self, day: date, before: Sequence[date], weeks: int) -> bool:
        """Whether at least half of the weeks have a day among those ``before``."""
        return 2 * len({((day - other).days - 1) // 7 for other in before}) >= weeks


def judge_trends(
    contract: Contract, con: duckdb.DuckDBPyConnection, events: duckdb.DuckDBPyRelation, days: Sequence[date]
) -> list[RuleResult]:
    """Hold days against the days before them: every trend rule.

    ``events`` has the stored columns and ``event_date``, of ``days`` and of ``look_back`` before them.
    """
    totals, empty = _count(contract, con, events)
    history = EventCounts(totals, contract.closed)
    asked = [day for day in sorted(set(days)) if day not in contract.closed]
    results = []
    for rule in contract.trend_rules:
        if rule.kind == "volume":
            judge = _volume(rule, history)
        elif rule.kind == "nulls":
            judge = _nulls(rule, history, empty[str(rule.column)])
        elif rule.kind == "categories":
            judge = _categories(rule, history, _shares(con, events, rule, totals))
        else:
            judge = _repeats(_repeated(con, events, rule, history))
        results.append(_result(rule, _judged(rule, history, asked, judge)))
    return results


def _count(
    contract: Contract, con: duckdb.DuckDBPyConnection, events: duckdb.DuckDBPyRelation
) -> tuple[Counts, dict[str, Counts]]:
    """Events per day, and per column of a rule about empty values how many there are: one pass."""
    events.create_view("_contract_events", replace=True)
    columns = sorted({str(rule.column) for rule in contract.trend_rules if rule.kind == "nulls"})
    counts = "".join(f", count(*) - count({sql.quote(column)})" for column in columns)
    rows = con.execute(f"SELECT event_date, count(*){counts} FROM _contract_events GROUP BY 1").fetchall()
    empty = {column: {row[0]: row[at] for row in rows} for at, column in enumerate(columns, start=2)}
    return {row[0]: row[1] for row in rows}, empty


def _judged(
    rule: TrendRule, history: EventCounts, days: Sequence[date], judge: Judge
) -> Iterator[tuple[date, Finding | None]]:
    """Every day with enough weeks before it, and what is wrong with it; a day without events has a volume only."""
    for day in days:
        before = history.before(day, rule.weeks)
        if rule.kind == "volume":
            before = [other for other in before if other.weekday() == day.weekday()]
        elif not history.totals.get(day):
            continue
        if history.enough(day, before, rule.weeks):
            yield day, judge(day, before)


def _volume(rule: TrendRule, history: EventCounts) -> Judge:
    def judge(day: date, before: list[date]) -> Finding | None:
        usual = median(history.totals[other] for other in before)
        found = history.totals.get(day, 0)
        ratio = found / usual
        if rule.low <= ratio <= rule.high:
            return None
        return ratio, f"{found:,} events, {ratio:.4g} times the usual {usual:,.0f}"

    return judge


def _nulls(rule: TrendRule, history: EventCounts, empty: Counts) -> Judge:
    def judge(day: date, before: list[date]) -> Finding | None:
        share = empty[day] / history.totals[day]
        usual = sum(empty[other] for other in before) / sum(history.totals[other] for other in before)
        if share - usual <= rule.high:
            return None
        return share, f"{share:.1%} empty, {usual:.1%} usual"

    return judge


def _shares(
    con: duckdb.DuckDBPyConnection,
    events: duckdb.DuckDBPyRelation,
    rule: TrendRule,
    totals: Mapping[date, int],
) -> dict[str, Counts]:
    """Events per value and day, of the values that ever have more than the rule's share of a day's events.

    A value that has more than a share of several days together has more than it of one of them.
    """
    events.create_view("_contract_events", replace=True)
    column = sql.quote(str(rule.column))
    rows = con.execute(
        f"WITH counted AS MATERIALIZED (SELECT event_date, {column} AS value, count(*) AS n "
        "FROM _contract_events GROUP BY ALL), "
        "days AS (SELECT event_date, sum(n) AS total FROM counted GROUP BY ALL), "
        "large AS (SELECT DISTINCT value FROM counted JOIN days USING (event_date) "
        f"WHERE n > total * {rule.high!r} AND value IS NOT NULL) "
        "SELECT CAST(value AS VARCHAR), event_date, n FROM counted SEMI JOIN large USING (value)"
    ).fetchall()
    found: dict[str, Counts] = {}
    for value, day, number in rows:
        found.setdefault(value, {})[day] = number
    return found


def _categories(rule: TrendRule, history: EventCounts, values: Mapping[str, Counts]) -> Judge:
    """A value is gone only if it was there on most days: what one odd day had isn't missed for weeks."""

    def judge(day: date, before: list[date]) -> Finding | None:
        total = sum(history.totals[other] for other in before)
        new: dict[str, float] = {}
        gone: dict[str, float] = {}
        for value, counts in values.items():
            share = counts.get(day, 0) / history.totals[day]
            usual = sum(counts.get(other, 0) for other in before) / total
            if share > rule.high and not usual:
                new[value] = share
            elif (
                usual > rule.high and not share and 2 * sum(other in counts for other in before) > len(before)
            ):
                gone[value] = usual
        if not new and not gone:
            return None
        words = [
            f"{listed} {what}" for what, found in (("new", new), ("gone", gone)) if (listed := _list(found))
        ]
        return max((*new.values(), *gone.values())), " and ".join(words)

    return judge


def _list(found: Mapping[str, float]) -> str:
    """``'A' (12.0%), 'B' (3.1%)``, the largest first."""
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{value[:40]!r} ({share:.1%})" for value, share in ordered[:NAMED_VALUES])
    more = len(found) - NAMED_VALUES
    return f"{shown} and {more} more" if more > 0 else shown


def _repeated(
    con: duckdb.DuckDBPyConnection, events: duckdb.DuckDBPyRelation, rule: TrendRule, history: EventCounts
) -> dict[date, Counts]:
    """Per day, how many of its events agree in their keys with one of an earlier day, by the nearest such day."""
    events.create_view("_contract_events", replace=True)
    skipped = ", ".join(f"DATE '{day}'" for day in history.totals if day in history.closed)
    rows_of = f"_contract_events WHERE event_date NOT IN ({skipped})" if skipped else "_contract_events"
    columns = [sql.quote(key) for key in rule.keys]
    listed = ", ".join(columns)
    same = " AND ".join(f"e.{column} = twice.{column}" for column in columns)
    rows = con.execute(
        f"WITH own AS (SELECT event_date, {listed} FROM {rows_of}), "
        f"twice AS (SELECT {listed} FROM own GROUP BY {listed} "
        "HAVING min(event_date) <> max(event_date)), "
        f"days AS (SELECT {', '.join(f'e.{column}' for column in columns)}, event_date, count(*) AS n "
        f"FROM own AS e SEMI JOIN twice ON {same} GROUP BY ALL), "
        f"near AS (SELECT event_date, n, lag(event_date) OVER (PARTITION BY {listed} ORDER BY event_date) "
        "AS earlier FROM days) "
        "SELECT event_date, earlier, sum(n)::BIGINT FROM near WHERE earlier IS NOT NULL GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    found: dict[date, Counts] = {}
    for day, earlier, number in rows:
        found.setdefault(day, {})[earlier] = number
    return found


def _repeats(found: Mapping[date, Counts]) -> Judge:
    def judge(day: date, before: list[date]) -> Finding | None:
        seen = set(before)
        earlier = {other: number for other, number in found.get(day, {}).items() if other in seen}
        if not earlier:
            return None
        number = sum(earlier.values())
        return number, f"{number:,} events again, most from {max(earlier, key=lambda other: earlier[other])}"

    return judge


def _result(rule: TrendRule, judged: Iterator[tuple[date, Finding | None]]) -> RuleResult:
    outcomes = dict(judged)
    broken = {day: finding for day, finding in outcomes.items() if finding is not None}
    if not outcomes:
        message = (
            f"{rule.name}: no day has {(rule.weeks + 1) // 2} of the {rule.weeks} weeks before it on record."
        )
        return RuleResult(rule, True, 0, 0, message)
    if not broken:
        return RuleResult(rule, True, 0, 0, f"{rule.name}: all {len(outcomes)} days with a past keep it.")
    shown = "; ".join(f"{day}: {words}" for day, (_, words) in list(broken.items())[:NAMED_DAYS])
    more = f"; and {len(broken) - NAMED_DAYS} more days" if len(broken) > NAMED_DAYS else ""
    message = (
        f"{rule.name}: {len(broken)} of {len(outcomes)} days are unlike those before ({shown}{more}). "
        f"{sentence(rule.description)} See whether the producer's files are complete and mean what they did; "
        "declare closedDays, or widen the rule, if the change is real."
    )
    failing = {day: seen for day, (seen, _) in broken.items()}
    return RuleResult(rule, False, len(broken), 0, message, failing)
