"""The outcome of a rule, and what was seen on the days that break it, in words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from ml_assets.contracts.contract import Rule

NAMED_DAYS = 5

Seen = int | float | str


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
    failing: Mapping[date, Seen] = field(default_factory=dict)


def name_days(failing: Mapping[date, Seen], say: Callable[[Seen], str] | None = None) -> str:
    """``2017-01-05: 2, 2017-01-06: 1, and 3 more days``."""
    shown = ", ".join(f"{day}: {(say or number)(value)}" for day, value in list(failing.items())[:NAMED_DAYS])
    more = len(failing) - NAMED_DAYS
    return f"{shown}, and {more} more days" if more > 0 else shown


def number(value: Seen) -> str:
    """A number with thousands set apart, fractions to four digits; a text as it is."""
    if isinstance(value, str):
        return value
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"


def sentence(description: str) -> str:
    """A description with its full stop."""
    return description if description.endswith(".") else f"{description}."


def plain(value: object) -> Seen | None:
    """A query's number as Python's; None for NULL and NaN."""
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if not isinstance(value, int | float) or value != value:
        return None
    return value
