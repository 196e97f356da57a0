"""Foreign keys: events whose keys aren't found among another source's events."""

from collections.abc import Mapping
from datetime import date

import duckdb

from ml_assets.contracts.compile import sql_types
from ml_assets.contracts.contract import Contract, DayRule
from ml_assets.contracts.errors import ContractError, nearest
from ml_assets.lake import sql

NUMERIC = tuple(sql_types.TYPES["integer"] | sql_types.TYPES["number"])


def missing_keys(
    contract: Contract,
    con: duckdb.DuckDBPyConnection,
    events: duckdb.DuckDBPyRelation,
    rule: DayRule,
    reference: duckdb.DuckDBPyRelation,
) -> dict[date, int]:
    """Events per day whose keys are all there but not found in ``reference``; days without any left out.

    Raises ContractError if a column that the rule leads to is missing there, or is of another kind.
    """
    check_columns(contract, _types(events), rule, reference)
    events.create_view("_contract_events", replace=True)
    reference.create_view("_contract_reference", replace=True)
    pairs = [(sql.quote(key), sql.quote(to)) for key, to in zip(rule.keys, rule.to_keys, strict=True)]
    there = ", ".join(to for _, to in pairs)
    same = " AND ".join(f"own.{key} = there.{to}" for key, to in pairs)
    present = " AND ".join(f"own.{key} IS NOT NULL" for key, _ in pairs)
    rows = con.execute(
        f"SELECT own.event_date, count(*) FROM _contract_events AS own ANTI JOIN "
        f"(SELECT DISTINCT {there} FROM _contract_reference) AS there ON {same} "
        f"WHERE {present} GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return dict(rows)


def check_columns(
    contract: Contract, own: Mapping[str, str], rule: DayRule, reference: duckdb.DuckDBPyRelation
) -> None:
    """Raise ContractError unless a rule's columns, of the types ``own``, can be held against a source's events."""
    there = _types(reference)
    for key, to in zip(rule.keys, rule.to_keys, strict=True):
        if to not in there:
            message = f"{rule.name} leads to {rule.to}.{to}, and the events of {rule.to} have no such column"
            raise ContractError(contract.path, f"{message}{nearest(to, there)}")
        numbers = all(kind.partition("(")[0] in NUMERIC for kind in (own[key], there[to]))
        if own[key] != there[to] and not numbers:
            message = (
                f"{rule.name} compares {key}, {own[key]}, with {rule.to}.{to}, {there[to]}; "
                "give both the same logicalType, and make both personal or neither"
            )
            raise ContractError(contract.path, message)


def _types(relation: duckdb.DuckDBPyRelation) -> dict[str, str]:
    return {
        name: sql_types.canonical(str(kind))
        for name, kind in zip(relation.columns, relation.types, strict=True)
    }
