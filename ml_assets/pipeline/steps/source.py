"""What the assets of a source do: copy what has landed into ``raw``, then build ``events`` and ``quarantine``."""

import duckdb

from ml_assets.contracts import Contract
from ml_assets.contracts.enforce.pseudonym import PseudonymError, fingerprint, key_from_environment
from ml_assets.lake import Between, Lake
from ml_assets.landing import NoLandingFiles
from ml_assets.landing.events import Written, write_events
from ml_assets.landing.raw import Landed, land
from ml_assets.pipeline.due.adoption import adopt
from ml_assets.pipeline.run import CannotRun, Run
from ml_assets.project.source import Source


def copy_landing(
    con: duckdb.DuckDBPyConnection, run: Run, source: Source, lake: Lake, between: Between
) -> Landed:
    """Copy the new and changed files of the days ``between`` into ``raw``. Raises CannotRun where nothing has landed."""
    pseudonym_key(source.contract)
    try:
        landed = land(con, source.tables(lake), source.landing, source.contract, between, run.made())
    except NoLandingFiles as error:
        raise CannotRun(str(error)) from None
    for refusal in landed.refused:
        run.log.error(f"{refusal.file.path}: {refusal.reason}")
    return landed


def build_events(
    con: duckdb.DuckDBPyConnection, run: Run, source: Source, lake: Lake, between: Between
) -> Written:
    """Build events and quarantine of the days ``between``; those that break the contract stay as they were published."""
    adopt(con, run, lake, source)
    tables, contract = source.tables(lake), source.contract
    types = source.schemas["events"].types
    tables.events.retype(con, types, run.made(), {name: f"column {name}" for name in types})
    key = pseudonym_key(contract)
    facts = {"contract": contract.sha256} | ({"pseudonym_key": fingerprint(key)} if key is not None else {})
    return write_events(
        con,
        tables,
        contract,
        between,
        late_days=source.late_days,
        provenance=run.made(tables.raw, tables.files, *source.referred(lake).values(), **facts).following(
            source.definitions
        ),
        key=key,
        references=source.references(lake),
        rule_seconds=source.rule_seconds,
    )


def pseudonym_key(contract: Contract) -> bytes | None:
    """The key for a contract with personal columns, from the environment; None for any other contract.

    A run that has none fails before it reads or writes anything: ``raw`` needs no key, what follows it does.
    """
    if not contract.personal:
        return None
    try:
        return key_from_environment()
    except PseudonymError as error:
        raise CannotRun(f"{contract.path}: {', '.join(contract.personal)} are personal. {error}") from None
