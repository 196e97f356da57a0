"""What SQL text reads, by DuckDB's own parser; and the same SQL in another dialect, by sqlglot."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ml_assets.features.errors import FeatureError
from ml_assets.lake.engine import scratch


@lru_cache(maxsize=1024)
def columns_of(text: str, where: str) -> tuple[str, ...]:
    """The column names a DuckDB expression reads. Raises FeatureError naming ``where`` if it is not one."""
    with scratch() as con:
        [(found,)] = con.execute("SELECT json_serialize_sql($1)", [f"SELECT ({text}) AS x"]).fetchall()
    tree = json.loads(found)
    if tree["error"]:
        raise FeatureError(
            f"feature {where}: {text!r} is not an SQL expression ({tree['error_message']})", text
        )
    return tuple(dict.fromkeys(_columns(tree)))


def _columns(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("class") == "COLUMN_REF":
            yield node["column_names"][-1]
        for child in node.values():
            yield from _columns(child)
    elif isinstance(node, list):
        for child in node:
            yield from _columns(child)


def transpile(query: str, dialect: str) -> str:
    """A query of the feature compiler in the dialect of another engine, for example ``spark``.

    Raises sqlglot's UnsupportedError where that engine has no equal.
    """
    import sqlglot

    (text,) = sqlglot.transpile(
        query, read="duckdb", write=dialect, unsupported_level=sqlglot.ErrorLevel.RAISE
    )
    return text
