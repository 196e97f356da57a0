"""SQL as people write it in YAML, taken apart by DuckDB's own parser: what it names, and that it may say so."""

import json
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from ml_assets.lake.engine import scratch
from ml_assets.lake.functions import CLOCKS, EXPRESSIONS, OF_A_ROW, OF_ROWS, QUERIES, RELATIONS, TABLES

IN_WORDS = {
    "SUBQUERY": "a subquery",
    "STAR": "*",
    "PARAMETER": "a parameter",
    "DEFAULT": "DEFAULT",
    "POSITIONAL_REFERENCE": "a column by its number",
    "RECURSIVE_CTE_NODE": "WITH RECURSIVE",
    "SHOW_REF": "a description of a table",
}
"""How a person calls what may not stand in an expression or a query."""

Node = dict[str, Any]


def statements(query: str) -> list[Node]:
    """The parsed SELECT statements; ValueError says what keeps the text from being parsed."""
    with scratch() as con:
        [(serialized,)] = con.execute("SELECT json_serialize_sql($1)", [query]).fetchall()
    tree = json.loads(serialized)
    if tree.get("error"):
        raise ValueError(str(tree.get("error_message")))
    found: list[Node] = tree["statements"]
    return found


def nodes(tree: Any) -> list[Node]:
    """All nodes of a parsed statement, parents first, in the order they are written."""
    if isinstance(tree, list):
        return [node for item in tree for node in nodes(item)]
    if not isinstance(tree, dict):
        return []
    return [tree, *(node for value in tree.values() for node in nodes(value))]


@lru_cache(maxsize=4096)
def columns(text: str) -> tuple[str, ...]:
    """The columns that an expression over one row names, as they are written, each once.

    Raises ValueError, about the text, where it is not one expression or uses what may not stand in one.
    """
    try:
        in_brackets = statements(f"SELECT ({text}) AS x")
    except ValueError as error:
        raise ValueError(f"isn't a DuckDB expression: {error}") from None
    if not _is_one(text):
        raise ValueError("must be one DuckDB expression")
    found = nodes(in_brackets)
    for node in found:
        if offending := _offence(node, EXPRESSIONS, OF_A_ROW):
            raise ValueError(
                f"uses {offending}; only what follows from the row's own columns is reproducible; remove it"
            )
    named = [str(node["column_names"][-1]) for node in found if node.get("class") == "COLUMN_REF"]
    return tuple(dict.fromkeys(named))


def _is_one(text: str) -> bool:
    """Whether what is an expression between brackets is one without them: no brackets of its own close those around it."""
    try:
        [alone] = statements(f"SELECT {text}")
    except ValueError:
        return False
    return len(alone["node"]["select_list"]) == 1


def offence(tree: Iterable[Node]) -> str | None:
    """What in the nodes of a query may not stand in one; None if nothing."""
    return next((found for node in tree if (found := _offence(node, QUERIES, OF_ROWS))), None)


def _offence(node: Node, kinds: Collection[str], functions: Collection[str]) -> str | None:
    kind, is_expression = node.get("class", node.get("type")), "class" in node
    if node.get("sample") is not None:
        return "a sample"
    if not isinstance(kind, str) or kind.endswith(("_MODIFIER", "ORDER_DEFAULT", "ASCENDING", "DESCENDING")):
        return None
    if kind not in (kinds if is_expression else RELATIONS):
        return f"{node['function_name']}()" if kind == "WINDOW" else IN_WORDS.get(kind, kind)
    if kind == "TABLE_FUNCTION":
        return _unlisted(node["function"], TABLES)
    if kind in ("FUNCTION", "WINDOW"):
        return _unlisted(node, functions)
    if kind == "COLUMN_REF" and len(node["column_names"]) == 1:
        word = str(node["column_names"][0]).lower()
        return word if word in CLOCKS else None
    return None


def _unlisted(node: Node, functions: Collection[str]) -> str | None:
    """The function of a node as words, where it isn't one of these or asks the clock."""
    name = str(node["function_name"]).lower()
    asks_the_clock = name == "age" and len(node["arguments"]) == 1
    if name in functions and not asks_the_clock:
        return None
    near = [] if name in OF_ROWS else get_close_matches(name, [*functions], n=1, cutoff=0.85)
    return f"{name}(){f' (did you mean {near[0]}()?)' if near else ''}"
