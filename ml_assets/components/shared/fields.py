"""Types of YAML fields: domain specs as they are, and days."""

from datetime import date
from typing import Annotated, Any

import dagster as dg
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema


class _Alone(type):
    """The type of a field that takes no text beside what it is for.

    Dagster makes every field a union with str, for templates; an error within a union has no line of its own.
    """

    def __or__(cls, other: Any) -> Any:
        return cls


def spec(kind: Any) -> dg.Resolver:
    """For a field of a pydantic type of the domain: that type checks it, with the line of the YAML in its errors.

    The field itself is annotated as Any, because Dagster would resolve a pydantic model's fields itself.
    """

    class Checked(metaclass=_Alone):
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
            return handler(kind)

    return dg.Resolver(lambda context, value: value, model_field_type=Checked)


def _day(context: dg.ResolutionContext, value: str | None) -> date | None:
    return None if value is None else date.fromisoformat(str(value))


Day = Annotated[date, dg.Resolver(_day, model_field_type=str)]
"""A day, as YYYY-MM-DD."""
