"""What SQL text reads, by DuckDB's own parser; and the same SQL in another dialect, by sqlglot."""

from ml_assets.features.errors import FeatureError
from ml_assets.lake.syntax import columns


def columns_of(text: str, where: str) -> tuple[str, ...]:
    """The column names that an SQL expression over one row reads.

    Raises FeatureError, which begins with ``where`` it stands, if it isn't one or uses what may not stand there.
    """
    try:
        return columns(text)
    except ValueError as error:
        raise FeatureError(f"{where}: {text!r} {error}", text) from None


def transpile(query: str, dialect: str) -> str:
    """A query of the feature compiler in the dialect of another engine, for example ``spark``.

    DuckDB's ``TRY`` is left out: what an overflow gives is that engine's to say. Raises sqlglot's UnsupportedError where
    that engine has no equal.
    """
    import sqlglot
    from sqlglot import exp

    untried = sqlglot.parse_one(query, read="duckdb").transform(
        lambda node: node.this if isinstance(node, exp.Try) else node
    )
    written: str = untried.sql(dialect, unsupported_level=sqlglot.ErrorLevel.RAISE)
    return written
