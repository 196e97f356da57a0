"""DuckDB SQL taken apart: what a piece of a contract's SQL names, and what in it is not reproducible."""

import json
import re
from typing import Any

import duckdb

# SQL words that DuckDB parses like columns but that give another answer on another day.
CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
# What gives another answer another day although DuckDB lists it as consistent, or hides it in a macro.
UNSTABLE = {
    "ago",
    "current_localtime",
    "current_localtimestamp",
    "pg_conf_load_time",
    "pg_postmaster_start_time",
}
# Table functions that read nothing but their arguments.
PURE_TABLES = {"unnest", "range", "generate_series"}

Node = dict[str, Any]


def statements(query: str, con: duckdb.DuckDBPyConnection) -> list[Node]:
    """The parsed SELECT statements; ValueError says what keeps the text from being parsed."""
    [(serialized,)] = con.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
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


def unstable(con: duckdb.DuckDBPyConnection) -> set[str]:
    """The functions that don't give the same result for the same arguments, and macros that use one."""
    rows = con.execute(
        "SELECT DISTINCT function_name, coalesce(macro_definition, '') FROM duckdb_functions() "
        "WHERE stability <> 'CONSISTENT' OR function_type = 'macro'"
    ).fetchall()
    names = {name for name, definition in rows if not definition} | CLOCKS | UNSTABLE
    word = re.compile(rf"\b({'|'.join(sorted(names))})\b")
    return names | {name for name, definition in rows if definition and word.search(definition)}


def aggregates(con: duckdb.DuckDBPyConnection) -> set[str]:
    """The functions whose result follows from several rows."""
    rows = con.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'"
    ).fetchall()
    return {name for (name,) in rows}


def offence(node: Node, unstable: set[str]) -> str | None:
    """What in a node makes the answer hang on more than the rows that are read; None if nothing."""
    if "sample" in node and node["sample"] is not None:
        return "a sample"
    if node.get("type") == "SHOW_REF":
        return "a description of a table"
    if node.get("type") == "TABLE_FUNCTION":
        name = str(node.get("function", {}).get("function_name"))
        return None if name in PURE_TABLES else f"{name}()"
    if node.get("class") == "FUNCTION":
        name = str(node.get("function_name"))
        alone = name == "age" and len(node["arguments"]) == 1
        return f"{name}()" if name in unstable or alone else None
    if node.get("class") == "COLUMN_REF":
        name = str(node["column_names"][-1]).lower()
        return name if name in CLOCKS else None
    return None
