"""Small helpers around sqlglot, the one place that reads and writes SQL text."""

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp

DIALECT = "duckdb"


def parse(text: str, where: str) -> "exp.Expr":
    """Parse one DuckDB expression. Raises FeatureError naming ``where`` if it is not one."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    from ml_assets.features.spec import FeatureError

    try:
        return sqlglot.parse_one(text, dialect=DIALECT)
    except SqlglotError as error:
        raise FeatureError(f"feature {where}: {text!r} is not an SQL expression ({error})") from error


@lru_cache(maxsize=1024)
def columns_of(text: str, where: str) -> tuple[str, ...]:
    """The column names an expression reads, in order of appearance."""
    from sqlglot import exp

    return tuple(dict.fromkeys(column.name for column in parse(text, where).find_all(exp.Column)))
