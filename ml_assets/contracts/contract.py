"""A contract as a value: its columns, its rules, and what it promises of the delivery."""

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from ml_assets.lake.definition import Definitions

Severity = Literal["error", "warning"]
Bound = int | float | tuple[float, float]

ROW_IDENTITY = {"landing_date": "DATE", "file": "VARCHAR", "content_hash": "VARCHAR", "row_number": "BIGINT"}
SEEN_AT = {"seen_at": "TIMESTAMPTZ"}
OPERATORS = {
    "mustBe": "exactly",
    "mustNotBe": "not",
    "mustBeGreaterThan": "more than",
    "mustBeGreaterOrEqualTo": "at least",
    "mustBeLessThan": "less than",
    "mustBeLessOrEqualTo": "at most",
    "mustBeBetween": "between",
    "mustNotBeBetween": "not between",
}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "mustBe": operator.eq,
    "mustNotBe": operator.ne,
    "mustBeGreaterThan": operator.gt,
    "mustBeGreaterOrEqualTo": operator.ge,
    "mustBeLessThan": operator.lt,
    "mustBeLessOrEqualTo": operator.le,
}


@dataclass(frozen=True)
class Column:
    """A typed column of the events.

    ``sources`` are the landing columns it reads. ``expression`` is DuckDB SQL over them that gives the
    value as ``sql_type``, and NULL where there is none or it can't be read; it takes landing columns of any
    type, text included. A ``personal`` column is read and judged as ``sql_type`` and kept as ``stored_type``:
    text, the keyed hash of its value. ``logic`` is the contract's ``transformLogic``. ``timezone`` is where naive
    wall-clock times belong, and ``ambiguous`` what becomes of those that its clocks show twice or never;
    ``time_format`` is the contract's ``format``; ``offset_required`` refuses times without an offset.
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
    ambiguous: Literal["earlier", "later", "refuse"] = "refuse"
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
class Limit:
    """What a count, a share or a query's number has to be: ``operator`` is one of the standard's ``mustBe...``.

    ``bound`` is one number, or the smaller and the larger one of a pair.
    """

    operator: str
    bound: Bound

    def __str__(self) -> str:
        """``at most 5``."""
        shown = " and ".join(map(str, self.bound)) if isinstance(self.bound, tuple) else str(self.bound)
        return f"{OPERATORS[self.operator]} {shown}"

    def keeps(self, seen: float) -> bool:
        """Whether a number keeps it."""
        if isinstance(self.bound, tuple):
            inside = self.bound[0] <= seen <= self.bound[1]
            return inside if self.operator == "mustBeBetween" else not inside
        return _COMPARE[self.operator](seen, self.bound)

    def allows_none(self, unit: str) -> bool:
        """Whether only a count of 0 keeps it."""
        if isinstance(self.bound, tuple):
            return False
        if self.operator == "mustBeLessThan":
            return unit == "rows" and 0 < self.bound <= 1
        return self.operator in ("mustBe", "mustBeLessOrEqualTo") and self.bound == 0


@dataclass(frozen=True)
class DayRule:
    """A rule judged once per day: what ``kind`` counts keeps ``limit``, in ``unit``.

    - ``rows``: the events of a day.
    - ``refused``: a day's landed rows that are refused, as rows or as percent (0 to 100) of the landed.
    - ``violations``: the events of a day for which ``violation`` (a DuckDB boolean over the stored columns,
      never NULL) holds, as rows or as percent of the day's events.
    - ``duplicates``: the events of a day that repeat another one of the day in ``keys``, likewise.
    - ``reference``: the events of a day whose ``keys`` are all there but not found as ``to_keys`` in the
      events of the source ``to``, likewise. If none is allowed, such rows are refused, once that source has
      events; until then the day waits for it.
    - ``sql``: the single number ``query`` gives where ``{table}`` is the events of the day.
    """

    name: str
    kind: Literal["rows", "refused", "violations", "duplicates", "reference", "sql"]
    limit: Limit
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
        none = self.limit in (Limit("mustBe", 0), Limit("mustBeLessOrEqualTo", 0))
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
class Closed:
    """The days on which nothing is expected: weekdays (0 is Monday) and dates of any or of one year."""

    weekdays: frozenset[int] = frozenset()
    yearly: frozenset[tuple[int, int]] = frozenset()
    """(month, day)"""
    dates: frozenset[date] = frozenset()

    def __contains__(self, day: date) -> bool:
        return day.weekday() in self.weekdays or (day.month, day.day) in self.yearly or day in self.dates


@dataclass(frozen=True)
class Contract:
    """What a source promises, as ``compile`` reads it from an Open Data Contract Standard v3.2.0 file.

    ``columns`` are the typed columns in the order of the file, ``source_columns`` what a landing file must
    have, ``source_types`` their types in a Parquet file. ``latency`` is the declared delivery delay,
    ``retention`` how long days are kept (None: for ever), ``closed`` the days on which nothing is expected,
    ``readings`` hashes of how each column of the events is read, ``promises`` of what refuses rows and days, by
    name, ``sha256`` the digest of the file. Everything the file promises is enforced; what can't be enforced is
    refused when it is compiled.
    """

    path: Path
    name: str
    version: str
    table: str
    description: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    row_rules: tuple[RowRule, ...]
    day_rules: tuple[DayRule, ...]
    trend_rules: tuple[TrendRule, ...]
    service_rules: tuple[ServiceRule, ...]
    latency: timedelta
    retention: timedelta | None
    closed: Closed
    source_columns: tuple[str, ...]
    source_types: tuple[str, ...]
    sha256: str
    readings: Definitions = field(compare=False)
    promises: Definitions = field(compare=False)

    @property
    def references(self) -> tuple[str, ...]:
        """The sources whose events the contract refers to."""
        return tuple(sorted({rule.to for rule in self.day_rules if rule.kind == "reference"}))

    @property
    def personal(self) -> tuple[str, ...]:
        """The columns that are kept as keyed hashes."""
        return tuple(column.name for column in self.columns if column.personal)

    @property
    def look_back(self) -> timedelta:
        """How far before a day its trend rules look."""
        return timedelta(weeks=max((rule.weeks for rule in self.trend_rules), default=0))

    def column(self, name: str) -> Column:
        """The column of this name; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def raw_schema(self, *, typed: bool) -> dict[str, str]:
        """The DuckDB types of the raw landing columns, in order, the same for every file of a format.

        CSV and JSON lines hold text. A ``typed`` format (Parquet) holds the contract's types; a column that only
        ``transformLogic`` reads is kept as text there too.
        """
        types = self.source_types if typed else ["VARCHAR"] * len(self.source_columns)
        return dict(zip(self.source_columns, types, strict=True))
