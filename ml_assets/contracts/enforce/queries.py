"""Rules of type ``sql``, run on the events of each day."""

from collections.abc import Sequence
from datetime import date

import duckdb

from ml_assets.contracts.compile.query import TABLE, columns_read, readable
from ml_assets.contracts.contract import Contract, DayRule
from ml_assets.contracts.enforce.outcomes import Seen, plain
from ml_assets.lake import interrupted_after, sql

SECONDS = 300
"""How long a rule's query may take for a day where a source declares nothing else."""


def judged_days(
    contract: Contract,
    con: duckdb.DuckDBPyConnection,
    events: duckdb.DuckDBPyRelation,
    rule: DayRule,
    days: Sequence[date],
    seconds: int = SECONDS,
) -> dict[date, Seen]:
    """The number the rule's query gives for each day's events; a text where it gives none, fails or takes too long.

    What the query reads is put in order of days once, so that a day costs its own rows only.
    """
    names = columns_read(rule.query, list(readable(contract.columns)))
    events.create_view("_contract_events", replace=True)
    listed = ", ".join(sql.quote(name) for name in dict.fromkeys([*names, "event_date"]))
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE _contract_days AS SELECT {listed} FROM _contract_events ORDER BY event_date"
    )
    runnable = rule.query.replace("{table}", sql.quote(TABLE))
    statement = (
        f"WITH {sql.quote(TABLE)} AS (SELECT * FROM _contract_days WHERE event_date = ?) "
        f"SELECT * FROM ({runnable}\n)"
    )
    try:
        return {day: _number(con, statement, day, seconds) for day in days}
    finally:
        con.execute("DROP TABLE _contract_days")


def _number(con: duckdb.DuckDBPyConnection, statement: str, day: date, seconds: int) -> Seen:
    try:
        with interrupted_after(con, seconds):
            rows = con.execute(statement, [day]).fetchmany(2)
    except duckdb.InterruptException:
        return (
            f"the query takes longer than {seconds} s, the most for a day: make it read and multiply fewer rows, or raise "
            "rule_seconds in the source's defs.yaml"
        )
    except duckdb.Error as error:
        return f"the query fails: {str(error).splitlines()[0].replace(TABLE, '{table}')}"
    if len(rows) != 1:
        return "the query gives several rows" if rows else "the query gives no row"
    found = plain(rows[0][0])
    return "the query gives no number (NULL)" if found is None else found
