"""Which days of a table have been written, and that those which are asked for have."""

from collections.abc import Mapping
from datetime import date, timedelta

from ml_assets.features.errors import FeatureError
from ml_assets.lake import Table, days

DAY = timedelta(days=1)


def days_of(table: Table, versions: Mapping[str, int]) -> set[date]:
    """The days that have been written, up to the version that is read; a withheld day has only been left."""
    marks = table.marks(versions.get(table.name))
    return {day for day, mark in marks.items() if mark.changed is not None}


def check_covered(table: Table, covered: set[date], through: date) -> None:
    """Refuse where a day from the table's first to ``through`` was never written."""
    first = min(covered, default=through)
    missing = [day for day in days(first, through) if day not in covered]
    if missing:
        raise FeatureError(
            f"moments up to {through + DAY} are asked for, but {table.name} lacks {len(missing)} days, the first "
            f"of them {missing[0]}. Materialize these days of {table.name} first, or ask for earlier moments",
            "as_of",
        )
