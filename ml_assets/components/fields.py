"""Types of YAML fields: domain specs as they are, and days."""

from datetime import date
from typing import Annotated, Any

import dagster as dg


def spec(kind: Any) -> dg.Resolver:
    """For a field of a pydantic type of the domain: that type checks it, with the line of the YAML in its errors.

    The field itself is annotated as Any, because Dagster would resolve a pydantic model's fields itself.
    """
    return dg.Resolver(lambda context, value: value, model_field_type=kind)


def _day(context: dg.ResolutionContext, value: str | None) -> date | None:
    return None if value is None else date.fromisoformat(str(value))


Day = Annotated[date, dg.Resolver(_day, model_field_type=str)]
"""A day, as YYYY-MM-DD."""
