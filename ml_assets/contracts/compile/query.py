"""Rules of type ``sql``: one number from the events of a day, checked when the contract is loaded."""

import difflib
import re
from typing import Any

import duckdb

from ml_assets.contracts.compile.quality import Quality
from ml_assets.contracts.contract import Column
from ml_assets.lake import interrupted_after, sql, syntax

TABLE = "_contract_day"
SECONDS = 10
"""How long a query may take on hardly any rows, when its contract is loaded."""
TABLE_WORDS = ("table", "object")
COLUMN_WORDS = ("column", "property")
PLACEHOLDER = re.compile(r"\$?\{([A-Za-z_]+)\}")
NUMBERS = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|DOUBLE")


def checked_query(quality: Quality, columns: tuple[Column, ...]) -> str:
    """The query with ``{table}`` for the events and the column's name in place; ContractError if it isn't one.

    It has to be one SELECT over the day's events alone that gives one row and one numeric column, whatever
    the rows, and the same for the same rows.
    """
    written = str(quality.data["query"]).strip().rstrip(";").strip()
    query = _filled(quality, written)
    runnable = query.replace("{table}", sql.quote(TABLE))
    _check_tree(quality, runnable)
    fields = readable(columns)
    listed = ", ".join(f"CAST(NULL AS {kind}) AS {sql.quote(name)}" for name, kind in fields.items())
    for rows in (0, 2):
        with_table = f"WITH {sql.quote(TABLE)} AS (SELECT {listed} FROM range({rows}))"
        try:
            with interrupted_after(quality.scratch, SECONDS):
                found = quality.scratch.sql(f"{with_table} SELECT * FROM ({runnable}\n)")
                kinds = [str(kind) for kind in found.types]
                rows_found = len(found.fetchall())
        except duckdb.InterruptException as error:
            message = f"the query takes longer than {SECONDS} s on {rows} events; make it read and multiply fewer rows"
            raise quality.error(message, "query") from error
        except duckdb.Error as error:
            problem = str(error).splitlines()[0].replace(TABLE, "{table}")
            message = f"the query can't be run on the events: {problem}; correct it, in DuckDB's SQL"
            raise quality.error(message, "query") from error
        if len(kinds) != 1 or not NUMBERS.fullmatch(kinds[0]):
            message = f"the query gives {', '.join(kinds)}; one number is expected, for example count(*)"
            raise quality.error(message, "query")
        if rows_found != 1:
            message = f"the query gives {rows_found} rows for {rows or 'no'} events; exactly one is expected"
            raise quality.error(f"{message}: aggregate all rows, without GROUP BY", "query")
    return query


def readable(columns: tuple[Column, ...]) -> dict[str, str]:
    """The columns a query may read, with their types: those of the contract, as stored, and the day."""
    types = {column.name: column.stored_type for column in columns}
    return types | {"event_date": "DATE"}


def _filled(quality: Quality, query: str) -> str:
    known = TABLE_WORDS + (COLUMN_WORDS if quality.column else ())

    def fill(match: re.Match[str]) -> str:
        word = match[1]
        if word in TABLE_WORDS:
            return "{table}"
        if word in COLUMN_WORDS and quality.column:
            return sql.quote(quality.column.name)
        if word in COLUMN_WORDS:
            message = f"{match[0]} stands for the property of a rule, and this rule is the schema's"
            raise quality.error(f"{message}; write the column's name, or move the rule", "query")
        near = difflib.get_close_matches(word, known, n=1)
        hint = f"did you mean {{{near[0]}}}?" if near else f"expected {', '.join(f'{{{k}}}' for k in known)}"
        raise quality.error(f"the query has the placeholder {match[0]}; {hint}", "query")

    return PLACEHOLDER.sub(fill, query)


def _check_tree(quality: Quality, query: str) -> None:
    """Refuse several statements, other tables, and whatever isn't listed as allowed: files, clocks, chance, recursion."""
    try:
        selects = syntax.statements(query)
    except ValueError as error:
        raise quality.error(f"the query isn't a DuckDB SELECT: {error}", "query") from error
    if len(selects) != 1:
        raise quality.error(f"the query has {len(selects)} statements; write one", "query")
    nodes = syntax.nodes(selects)
    own = {str(name).lower() for node in nodes for name in _defined(node)}
    tables = {_table(node) for node in nodes if node.get("type") == "BASE_TABLE"}
    others = sorted(tables - own - {TABLE})
    if others:
        message = f"the query reads {others[0]!r}; a rule sees the events of one day only: write {{table}}"
        raise quality.error(message, "query")
    if TABLE not in tables:
        raise quality.error("the query reads no events; write FROM {table}", "query")
    if found := syntax.offence(nodes):
        message = (
            f"the query uses {found}; only what follows from the day's events is reproducible: remove it"
        )
        raise quality.error(message, "query")


def _defined(node: dict[str, Any]) -> list[str]:
    """The names that a node's WITH defines."""
    ctes = node.get("cte_map")
    return [entry["key"] for entry in ctes.get("map", [])] if isinstance(ctes, dict) else []


def _table(node: dict[str, Any]) -> str:
    parts = (node.get("catalog_name"), node.get("schema_name"), node.get("table_name"))
    return ".".join(str(part) for part in parts if part).lower()


def columns_read(query: str, names: list[str]) -> list[str]:
    """Those of ``names`` that a checked query may read; all where it takes columns without naming them."""
    runnable = query.replace("{table}", sql.quote(TABLE))
    nodes = syntax.nodes(syntax.statements(runnable))
    aliases = {TABLE, *(str(node.get("alias", "")).lower() for node in nodes if "class" not in node)}
    for node in nodes:
        whole_row = node.get("class") == "COLUMN_REF" and str(node["column_names"][0]).lower() in aliases
        if (
            node.get("class") == "STAR"
            or node.get("type") == "PIVOT"
            or node.get("ref_type") == "NATURAL"
            or (whole_row and len(node["column_names"]) == 1)
        ):
            return names
    return [name for name in names if name.lower() in query.lower()]
