"""What was seen on the days that break a rule, held against limits and put into words."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal

from ml_assets.contracts.model import Bound

NAMED_DAYS = 5

Seen = int | float | str


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


def keeps(operator: str, seen: float, bound: Bound) -> bool:
    """Whether a number keeps a limit of the standard, such as ``mustBeLessThan``."""
    return _COMPARE[operator](seen, bound)


def plain(value: object) -> Seen | None:
    """A query's number as Python's; None for NULL and NaN."""
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if not isinstance(value, int | float) or value != value:
        return None
    return value


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


_COMPARE: dict[str, Callable[[float, Bound], bool]] = {
    "mustBe": _single(lambda seen, bound: seen == bound),
    "mustNotBe": _single(lambda seen, bound: seen != bound),
    "mustBeGreaterThan": _single(lambda seen, bound: seen > bound),
    "mustBeGreaterOrEqualTo": _single(lambda seen, bound: seen >= bound),
    "mustBeLessThan": _single(lambda seen, bound: seen < bound),
    "mustBeLessOrEqualTo": _single(lambda seen, bound: seen <= bound),
    "mustBeBetween": _between,
    "mustNotBeBetween": lambda seen, bound: not _between(seen, bound),
}
