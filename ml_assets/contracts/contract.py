"""A contract: loaded from YAML once, then held against rows in DuckDB."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import duckdb

from ml_assets.contracts.model import Closed, Column, DayRule, RowRule, RuleResult, ServiceRule, TrendRule

ROW_IDENTITY = {"landing_date": "DATE", "file": "VARCHAR", "content_hash": "VARCHAR", "row_number": "BIGINT"}
SEEN_AT = {"seen_at": "TIMESTAMPTZ"}


@dataclass(frozen=True)
class Contract:
    """What a source promises, as written in an Open Data Contract Standard v3.2.0 file.

    ``columns`` are the typed columns in the order of the file, ``source_columns`` what a landing file must
    have, ``source_types`` their types in a Parquet file. ``latency`` is the declared delivery delay,
    ``retention`` how long days are kept (None: for ever), ``closed`` the days on which nothing is expected,
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
    trend_rules: tuple[TrendRule, ...]
    service_rules: tuple[ServiceRule, ...]
    latency: timedelta
    retention: timedelta | None
    closed: Closed
    source_columns: tuple[str, ...]
    source_types: tuple[str, ...]
    sha256: str

    @property
    def references(self) -> tuple[str, ...]:
        """The sources whose events the contract refers to."""
        return tuple(sorted({rule.to for rule in self.day_rules if rule.kind == "reference"}))

    @property
    def personal(self) -> tuple[str, ...]:
        """The columns that are kept as keyed hashes."""
        return tuple(column.name for column in self.columns if column.personal)

    @property
    def look_back(self) -> timedelta:
        """How far before a day its trend rules look."""
        return timedelta(weeks=max((rule.weeks for rule in self.trend_rules), default=0))

    @classmethod
    def load(cls, path: Path) -> "Contract":
        """Read and check a contract file.

        Raises ContractError, naming file, line and column, for anything that isn't in the standard, that
        contradicts itself, or that promises what isn't enforced.
        """
        from ml_assets.contracts.compile.load import load

        return load(Path(path))

    def column(self, name: str) -> Column:
        """The column of this name; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def raw_schema(self, format: Literal["text", "parquet"]) -> dict[str, str]:
        """The DuckDB types of the raw landing columns, in order, the same for every file of a format.

        CSV and JSON lines hold ``text``. A Parquet file holds the contract's types; a column that only
        ``transformLogic`` reads is kept as text there too.
        """
        if format == "text":
            return dict.fromkeys(self.source_columns, "VARCHAR")
        return dict(zip(self.source_columns, self.source_types, strict=True))

    def classify(
        self,
        con: duckdb.DuckDBPyConnection,
        rows: duckdb.DuckDBPyRelation,
        *,
        late_days: int = 0,
        key: bytes | None = None,
        references: Mapping[str, duckdb.DuckDBPyRelation] | None = None,
    ) -> duckdb.DuckDBPyRelation:
        """Type raw rows and say of each why it is refused, in one pass; lazy, ``con`` must stay open.

        ``rows`` has the landing columns (text or typed), ``landing_date`` DATE, ``file`` VARCHAR,
        ``content_hash`` VARCHAR, ``row_number`` BIGINT and ``seen_at`` TIMESTAMPTZ, when the file was first
        seen. The result has the columns as they are stored and

        - ``available_at`` TIMESTAMPTZ: the declared time (the column of that name, else ``occurred_at`` plus
          the latency); where that is over before the landing date, as of a late row, the end of the landing
          date in UTC, because all that is known is that its file came on that day;
        - ``event_date`` DATE: the UTC date of ``occurred_at``; of a row refused because that can't be read or
          is no day the file may hold, the landing date;
        - ``landing_date``, ``file``, ``content_hash``, ``row_number``;
        - ``original`` VARCHAR: the landing row as JSON for a refused row, NULL for an accepted one;
        - ``reasons`` VARCHAR[]: ``<rule name>: <text>``, one for every reason to refuse the row; empty if it
          is accepted.

        Personal values are replaced by their HMAC-SHA256 under ``key``, as hex, in the columns, in
        ``original`` and in ``reasons``. Of rows of one ``event_date`` that repeat each other the first (by
        landing_date, file, row_number) is kept, looking at the given rows only; a refused row makes no other
        row a repeat. ``references`` are the events of sources that the contract refers to: rows that refer to
        nothing there are refused. ``late_days`` (0 or more) is how many days an event may land after it happened. Raises
        ContractError if a column of ``rows`` is missing, or if there are personal columns and no key.
        """
        from ml_assets.contracts.enforce.classify import classify

        return classify(self, con, rows, late_days, key, references or {})

    def validate(
        self,
        con: duckdb.DuckDBPyConnection,
        events: duckdb.DuckDBPyRelation,
        quarantine: duckdb.DuckDBPyRelation,
        days: Sequence[date],
        references: Mapping[str, duckdb.DuckDBPyRelation] | None = None,
    ) -> list[RuleResult]:
        """Hold events against every row rule and day rule.

        One aggregate pass serves every rule that counts rows by a condition. Beside it every set of columns that
        are unique together, and every reference, reads its columns once more; an ``sql`` rule reads its columns
        once and runs its query for each day.

        ``events`` has the stored columns and ``event_date``; ``quarantine`` has ``event_date`` and
        ``reasons``; both may be empty. Row rules look at all events given. Day rules are judged for each of
        ``days``, so that a day without rows counts as 0. ``references`` are the events of the sources the
        contract refers to; a source left out has none. A failing rule of severity ``warning`` has ``passed``
        False too. Raises ContractError if a column is missing.
        """
        from ml_assets.contracts.enforce.validate import validate

        return validate(self, con, events, quarantine, days, references or {})

    def compare(
        self, con: duckdb.DuckDBPyConnection, events: duckdb.DuckDBPyRelation, days: Sequence[date]
    ) -> list[RuleResult]:
        """Hold days against the days before them: every trend rule.

        ``events`` has the stored columns and ``event_date``, of ``days`` and of ``look_back`` before them.
        """
        from ml_assets.contracts.enforce.trends import compare

        return compare(self, con, events, days)

    def serve(self, landed: Sequence[date], today: date, end: date | None = None) -> list[RuleResult]:
        """Hold the days that have landed against every service rule, as of ``today`` (UTC).

        ``end`` is the last day of a stream that has ended: it is as fresh as it will ever be.
        """
        from ml_assets.contracts.enforce.service import serve

        return serve(self, landed, today, end)
