"""What a contract is made of: columns, rules for rows, rules for days, and the outcome of a rule."""

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning"]
Bound = int | float | tuple[float, float]


@dataclass(frozen=True)
class Column:
    """A typed column of the events.

    ``sources`` are the landing columns it reads. ``expression`` is DuckDB SQL over them that gives the
    value as ``sql_type``, and NULL where there is none or it can't be read; it takes landing columns of any
    type, text included. ``logic`` is the contract's ``transformLogic``. ``timezone`` is where naive
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


@dataclass(frozen=True)
class RowRule:
    """A rule every row keeps.

    ``violation`` is a DuckDB boolean over the typed columns, never NULL; ``reason`` is a DuckDB text
    expression that says what is wrong with a row. A rule of ``kind`` ``type`` or ``window`` can only be
    judged where the landing row is at hand: its ``violation`` is FALSE and its breaches are in the
    quarantine. A rule of kind ``unique`` says that no two rows agree on ``keys``; its ``violation`` is a
    window expression, true for every repeat.
    """

    name: str
    column: str | None
    description: str
    dimension: str
    severity: Severity
    violation: str
    reason: str
    kind: Literal["value", "required", "type", "window", "unique"] = "value"
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class DayRule:
    """A rule judged once per day: ``metric`` ``operator`` ``bound``, in ``unit`` (``rows`` or ``percent``).

    ``rowCount`` is the number of events of a day; ``invalidValues`` is how many of a day's landed rows are
    refused, as rows or as percent of 0 to 100. ``operator`` is one of the standard's ``mustBe...``.
    """

    name: str
    metric: Literal["rowCount", "invalidValues"]
    operator: str
    bound: Bound
    unit: Literal["rows", "percent"]
    severity: Severity
    description: str
    dimension: str


@dataclass(frozen=True)
class RuleResult:
    """The outcome of one rule.

    ``observed`` maps failing days (ISO dates, the first 20) to what was seen: rows for a row rule, rows or
    percent for a day rule. ``violations`` counts the rows that break a row rule, or the failing days of a
    day rule. ``refused`` counts the quarantined rows for which the rule is a reason.
    """

    rule: RowRule | DayRule
    passed: bool
    violations: int
    refused: int
    message: str
    observed: dict[str, str | int | float] = field(default_factory=dict)
