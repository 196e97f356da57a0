"""HTML pages from the templates beside this file: what is put in is text, never markup."""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from ml_assets.pages.figures import data_uri, width_share

if TYPE_CHECKING:
    from jinja2 import Environment


def page(template: str, **given: Any) -> str:
    """The template filled with what it names. Raises jinja2's UndefinedError for a name that isn't given."""
    return _environment().get_template(template).render(given)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("ml_assets.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "backticked": backticked,
        "data_uri": data_uri,
        "digits": digits,
        "lines": lines,
        "spelled": format,
        "width_share": width_share,
    }
    found.tests["hash"] = is_hash
    return found


def digits(value: float, sign: str = "") -> str:
    """Four digits behind the point, one for numbers of three digits or more; with "+" every number has its sign."""
    return f"{value:{sign},.4f}" if abs(value) < 100 else f"{value:{sign},.1f}"


def lines(text: str) -> list[str]:
    """The parts between semicolons; a sign and its number stay on one line."""
    return [part.strip().replace("> ", ">\u00a0").replace(">= ", ">=\u00a0") for part in text.split(";")]


def backticked(text: str) -> list[str]:
    """Text and what stands between backticks, by turns, text first."""
    return re.split("`([^`]+)`", text)


def is_hash(text: str) -> bool:
    """Whether it is a commit or a SHA-256."""
    return re.fullmatch("[0-9a-f]{40,}", text) is not None
