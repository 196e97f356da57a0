"""A contract: loaded from YAML once, then held against rows in DuckDB."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import duckdb

from ml_assets.contracts.model import Column, DayRule, RowRule, RuleResult

ROW_IDENTITY = {"landing_date": "DATE", "file": "VARCHAR", "content_hash": "VARCHAR", "row_number": "BIGINT"}


@dataclass(frozen=True)
class Contract:
    """What a source promises, as written in an Open Data Contract Standard v3.2.0 file.

    ``columns`` are the typed columns in the order of the file, ``source_columns`` what a landing file must
    have, ``source_types`` their types in a Parquet file. ``latency`` is the declared delivery delay,
    ``sha256`` the digest of the file. Everything the file promises is enforced; what can't be enforced is
    refused by ``load``.
    """

    path: Path
    name: str
    version: str
    table: str
    description: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    row_rules: tuple[RowRule, ...]
    day_rules: tuple[DayRule, ...]
    latency: timedelta
    source_columns: tuple[str, ...]
    source_types: tuple[str, ...]
    sha256: str

    @classmethod
    def load(cls, path: Path) -> "Contract":
        """Read and check a contract file.

        Raises ContractError, naming file, line and column, for anything that isn't in the standard, that
        contradicts itself, or that promises what isn't enforced.
        """
        from ml_assets.contracts.load import load

        return load(Path(path))

    def column(self, name: str) -> Column:
        """The column of this name; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def raw_schema(self, format: Literal["csv", "parquet"]) -> dict[str, str]:
        """The DuckDB types of the raw landing columns, in order, the same for every file of a format.

        A CSV file holds text. A Parquet file holds the contract's types; a column that only
        ``transformLogic`` reads is kept as text there too.
        """
        if format == "csv":
            return dict.fromkeys(self.source_columns, "VARCHAR")
        return dict(zip(self.source_columns, self.source_types, strict=True))

    def classify(
        self, con: duckdb.DuckDBPyConnection, rows: duckdb.DuckDBPyRelation, *, late_days: int = 0
    ) -> duckdb.DuckDBPyRelation:
        """Type raw rows and say of each why it is refused, in one pass; lazy, ``con`` must stay open.

        ``rows`` has the landing columns (text or typed) and ``landing_date`` DATE, ``file`` VARCHAR,
        ``content_hash`` VARCHAR, ``row_number`` BIGINT. The result has the typed columns and

        - ``available_at`` TIMESTAMPTZ: the later of the declared time (the column of that name, else
          ``occurred_at`` plus the latency) and the start of the landing date in UTC;
        - ``event_date`` DATE: the UTC date of ``occurred_at``;
        - ``landing_date``, ``file``, ``content_hash``, ``row_number``;
        - ``original`` VARCHAR: the landing row as JSON for a refused row, NULL for an accepted one;
        - ``reasons`` VARCHAR[]: ``<rule name>: <text>``, one for every reason to refuse the row; empty if it
          is accepted.

        Of rows that repeat each other the first (by landing_date, file, row_number) is kept, looking at the
        given rows only; a refused row makes no other row a repeat. ``late_days`` (0 or more) is how many
        days an event may land after it happened. Raises ContractError if a column of ``rows`` is missing.
        """
        from ml_assets.contracts.classify import classify

        return classify(self, con, rows, late_days)

    def validate(
        self,
        con: duckdb.DuckDBPyConnection,
        events: duckdb.DuckDBPyRelation,
        quarantine: duckdb.DuckDBPyRelation,
        days: Sequence[date],
    ) -> list[RuleResult]:
        """Hold events against every rule: one aggregate pass, then one per uniqueness rule.

        ``events`` has the typed columns and ``event_date``; ``quarantine`` has ``landing_date`` and
        ``reasons``; both may be empty. Row rules look at all events given. Day rules are judged for each of
        ``days``, so that a day without rows counts as 0; a day's landed rows are its events plus the rows
        refused from its landing file. A failing rule of severity ``warning`` has ``passed`` False too.
        Raises ContractError if a column is missing.
        """
        from ml_assets.contracts.validate import validate

        return validate(self, con, events, quarantine, days)
