"""What a contract is made of: columns, rules for rows, days, trends and service, and a rule's outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

Severity = Literal["error", "warning"]
Bound = int | float | tuple[float, float]


@dataclass(frozen=True)
class Column:
    """A typed column of the events.

    ``sources`` are the landing columns it reads. ``expression`` is DuckDB SQL over them that gives the
    value as ``sql_type``, and NULL where there is none or it can't be read; it takes landing columns of any
    type, text included. A ``personal`` column is read and judged as ``sql_type`` and kept as ``stored_type``:
    text, the keyed hash of its value. ``logic`` is the contract's ``transformLogic``. ``timezone`` is where naive
    wall-clock times belong, ``time_format`` the contract's ``format``; ``offset_required`` refuses times
    without an offset.
    """

    name: str
    sources: tuple[str, ...]
    sql_type: str
    logical_type: str
    description: str
    required: bool
    primary_key: bool
    unique: bool
    expression: str
    logic: str | None = None
    timezone: str = "UTC"
    time_format: str | None = None
    offset_required: bool = False
    personal: bool = False

    @property
    def stored_type(self) -> str:
        """The DuckDB type of the column in ``events``."""
        return "VARCHAR" if self.personal else self.sql_type


@dataclass(frozen=True)
class RowRule:
    """A rule every row keeps.

    ``violation`` is a DuckDB boolean over the typed columns, never NULL; ``reason`` is a DuckDB text
    expression that says what is wrong with a row, and doesn't quote the value of a personal column. A rule of
    ``kind`` ``type``, ``window`` or ``clock`` can only be judged where the landing row is at hand: its
    ``violation`` is FALSE and its breaches are in the quarantine. A rule of kind ``unique`` says that no two
    rows of a day agree on ``keys``; its ``violation`` is a window expression, true for every repeat.
    """

    name: str
    column: str | None
    description: str
    dimension: str
    severity: Severity
    violation: str
    reason: str
    kind: Literal["value", "required", "type", "window", "clock", "unique"] = "value"
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class DayRule:
    """A rule judged once per day: what ``kind`` counts ``operator`` ``bound``, in ``unit``.

    - ``rows``: the events of a day.
    - ``refused``: a day's landed rows that are refused, as rows or as percent (0 to 100) of the landed.
    - ``violations``: the events of a day for which ``violation`` (a DuckDB boolean over the stored columns,
      never NULL) holds, as rows or as percent of the day's events.
    - ``duplicates``: the events of a day that repeat another one of the day in ``keys``, likewise.
    - ``reference``: the events of a day whose ``keys`` are all there but not found as ``to_keys`` in the
      events of the source ``to``, likewise. If none is allowed, such rows are refused, once that source has
      events; until then the day waits for it.
    - ``sql``: the single number ``query`` gives where ``{table}`` is the events of the day.

    ``operator`` is one of the standard's ``mustBe...``.
    """

    name: str
    kind: Literal["rows", "refused", "violations", "duplicates", "reference", "sql"]
    operator: str
    bound: Bound
    unit: Literal["rows", "percent"]
    severity: Severity
    description: str
    dimension: str
    column: str | None = None
    violation: str = "FALSE"
    keys: tuple[str, ...] = ()
    to: str = ""
    to_keys: tuple[str, ...] = ()
    query: str = ""

    @property
    def refuses_rows(self) -> bool:
        """Whether it refuses the rows that break it: a reference of severity error that none may break."""
        none = (self.operator, self.bound) in (("mustBe", 0), ("mustBeLessOrEqualTo", 0))
        return self.kind == "reference" and self.severity == "error" and none


@dataclass(frozen=True)
class TrendRule:
    """A rule that compares a day with the days before it.

    - ``volume``: the day's events as a multiple of the median of the same weekday in the last ``weeks``
      weeks lie between ``low`` and ``high``.
    - ``nulls``: the share of empty values of ``column`` exceeds that of the last ``weeks`` weeks by at most
      ``high`` (a share from 0 to 1).
    - ``categories``: of ``column``, no value unseen in the last ``weeks`` weeks has more than the share
      ``high`` of the day's events, and no value that had more than ``high`` then, and was there on most
      days, is gone.
    - ``repeats``: no event of the day agrees in ``keys`` with one of another day of the last ``weeks`` weeks.

    A day with fewer than half of those weeks on record is not judged; closed days are neither judged nor
    looked at.
    """

    name: str
    kind: Literal["volume", "nulls", "categories", "repeats"]
    column: str | None
    keys: tuple[str, ...]
    weeks: int
    low: float
    high: float
    severity: Severity
    description: str
    dimension: str


@dataclass(frozen=True)
class ServiceRule:
    """A promise of ``slaProperties`` about the landing files.

    - ``freshness``: the newest landed day is at most ``limit`` old.
    - ``frequency``: from the first to the last landed day there is a file at least every ``limit``, closed
      days apart.
    """

    name: str
    kind: Literal["freshness", "frequency"]
    limit: timedelta
    severity: Severity
    description: str
    dimension: str = "timeliness"


Rule = RowRule | DayRule | TrendRule | ServiceRule


@dataclass(frozen=True)
class RuleResult:
    """The outcome of one rule.

    ``failing`` maps every failing day, in order, to what was seen: rows for a row rule; rows, percent or the
    query's number for a day rule; a ratio, share or number of rows for a trend rule; days for a service rule.
    ``violations`` counts the rows that break a row rule, or the failing days of any other. ``refused`` counts
    the quarantined rows for which the rule is a reason. ``message`` says what was expected, what was found,
    on which days, and what to do.
    """

    rule: Rule
    passed: bool
    violations: int
    refused: int
    message: str
    failing: Mapping[date, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Closed:
    """The days on which nothing is expected: weekdays (0 is Monday) and dates of any or of one year."""

    weekdays: frozenset[int] = frozenset()
    yearly: frozenset[tuple[int, int]] = frozenset()
    """(month, day)"""
    dates: frozenset[date] = frozenset()

    def __contains__(self, day: date) -> bool:
        return day.weekday() in self.weekdays or (day.month, day.day) in self.yearly or day in self.dates
