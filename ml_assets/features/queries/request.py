"""Features on request: one entity at a moment, in milliseconds, from what a process holds in memory.

The query is that of a spine with one row. What it reads is held in DuckDB tables with an index on the entity, for
moments from a day on: tiles and events as far back as the longest window reaches, and of what lies further back one
tile an entity with what looks back without a limit.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb

from ml_assets.features.coverage import check_covered, days_of
from ml_assets.features.errors import FeatureError
from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.queries.spine import ROW, spine_query
from ml_assets.features.queries.tiles import carried_parts, events_of
from ml_assets.features.spec import unknown
from ml_assets.lake import Table, seal
from ml_assets.lake.sql import quote, text

if TYPE_CHECKING:
    import pyarrow as pa

DAY = timedelta(days=1)
HELD = "held_"
"""What the names of the tables in memory begin with."""


class Requests:
    """Answers for one entity at a time, at any moment from the day ``since`` on, as far as tables are filled.

    ``con`` is a connection of its own, which is sealed; ``events`` is the table of each source, ``reach`` how many
    days can lie between its events and their availability; ``only`` lists entities, for who needs no others. What is
    held are the tables as they were at construction, in versions ``versions``; to see later ones, make another. One
    thread at a time may ask.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        features: FeatureSet,
        *,
        events: Mapping[str, Table],
        tiles: Table,
        reach: Mapping[str, int],
        since: date,
        only: "pa.Table | None" = None,
    ) -> None:
        self.features, self.since, self._con = features, since, con
        self._tables = {events_of(source): table for source, table in events.items()} | {"tiles": tiles}
        self.versions = {table.name: table.version or 0 for table in self._tables.values()}
        self._covered = {table.name: days_of(table, self.versions) for table in self._tables.values()}
        con.execute("SET threads = 1")
        self._among = ""
        if only is not None:
            con.from_arrow(only).create("only_entities")
            self._among = f" SEMI JOIN only_entities USING ({features.entity})"
        back = since - features.longest_window * DAY
        for source, table in events.items():
            first = min(back, since - reach[source] * DAY)
            self._hold(
                events_of(source), table, f"SELECT * FROM read_rows WHERE event_date >= DATE '{first}'"
            )
        self._hold("tiles", tiles, _recent_and_before(features, since, back))
        seal(con)
        con.execute(f"PREPARE request AS {_request_query(features, list(self._tables))}")

    def _hold(self, name: str, table: Table, query: str) -> None:
        """Keep the rows of a query over a table, sorted and indexed by entity."""
        keys = self.features.entity
        table.read(self._con, version=self.versions[table.name]).create_view("all_rows", replace=True)
        self._con.execute(f"CREATE VIEW read_rows AS SELECT * FROM all_rows{self._among}")
        self._con.execute(f"CREATE TABLE {HELD}{name} AS SELECT * FROM ({query}) ORDER BY {keys}")
        self._con.execute(f"CREATE INDEX {HELD}{name}_by_entity ON {HELD}{name} ({keys})")
        self._con.execute("DROP VIEW read_rows")

    def of(self, entity: Mapping[str, Any], as_of: datetime) -> dict[str, Any]:
        """Feature column -> value for the entity, given as its columns' values, at ``as_of``, which has a time zone.

        An entity without events counts and sums 0 and has None otherwise. Raises FeatureError where a column of the
        entity is missing or has a value that isn't of its type, and where as_of has no time zone or lies outside
        of what is held.
        """
        self._check(entity, as_of)
        types = self.features.entity_types
        given = ", ".join(_literal(_exact(column, entity[column], kind)) for column, kind in types.items())
        try:
            found = self._con.execute(f"EXECUTE request({given}, {_literal(as_of.astimezone(UTC))})")
        except duckdb.ConversionException as error:
            wanted = ", ".join(f"{column} {kind}" for column, kind in types.items())
            raise FeatureError(f"the entity {dict(entity)} is not of the types {wanted}: {error}") from error
        [(_, *values)] = found.fetchall()
        return dict(zip(self.features.columns, values, strict=True))

    def _check(self, entity: Mapping[str, Any], as_of: datetime) -> None:
        for column in self.features.entity:
            if column not in entity:
                raise FeatureError(f"the request has {unknown(column, list(entity))}", column)
        if as_of.tzinfo is None:
            raise FeatureError(
                f"as_of {as_of} has no time zone, so it names no moment; for UTC add tzinfo=UTC", "as_of"
            )
        day = as_of.astimezone(UTC).date()
        if day < self.since:
            raise FeatureError(
                f"as_of {as_of} lies before {self.since}, from which on requests are answered", "as_of"
            )
        at_midnight = as_of.astimezone(UTC).time() == time()
        for name, table in self._tables.items():
            newest = day - DAY if name == "tiles" or at_midnight else day
            check_covered(table, self._covered[table.name], newest)


def _exact(column: str, value: object, kind: str) -> object:
    """The value of an entity's column, as long as its type holds it as it is; else FeatureError."""
    if value is None:
        return None
    if kind == "VARCHAR" and not isinstance(value, str | int):
        raise FeatureError(f"{column} is {value!r}, and the entity is a text; give the text", column)
    if kind.endswith("INT") or kind == "INTEGER":
        if isinstance(value, float | Decimal) and value == value // 1:
            value = int(value)
        if not re.fullmatch("0|-?[1-9][0-9]*", str(value)):
            raise FeatureError(
                f"{column} is {value!r}, which is not exactly a {kind}; give a whole number", column
            )
    return value


def _literal(value: object) -> str:
    """A value as text, which the query casts to the type it needs: EXECUTE takes no parameters of the driver's."""
    return "NULL" if value is None else text(str(value))


def _recent_and_before(features: FeatureSet, since: date, back: date) -> str:
    """The tiles of events from the day ``back`` on; of those before, what is known by ``since``, one tile an entity."""
    carried = [f"{part.merged(column)} AS {column}" for column, part in carried_parts(features).items()]
    day_before = f"DATE '{since}' - 1"
    recent = f"SELECT * FROM read_rows WHERE event_date >= DATE '{back}'"
    if not carried:
        return recent
    known = f"GREATEST(available_date, {day_before})"
    older = (
        f"SELECT {features.entity}, MIN(event_date) AS event_date, {known} AS available_date, {', '.join(carried)} "
        f"FROM read_rows WHERE event_date < DATE '{back}' GROUP BY {features.entity}, {known}"
    )
    return f"{recent} UNION ALL BY NAME {older}"


def _request_query(features: FeatureSet, relations: list[str]) -> str:
    """The query of a spine of one row, given as parameters, over the rows that are held of its entity."""
    types = enumerate(features.entity_types.items(), start=1)
    given = {quote(column): f"CAST(${n} AS {kind})" for n, (column, kind) in types}
    asked = ", ".join(f"{value} AS {column}" for column, value in given.items())
    own = " AND ".join(f"{column} = {value}" for column, value in given.items())
    moment = f"CAST(${len(features.entity) + 1} AS TIMESTAMPTZ) AS as_of"
    held = ", ".join(f"{name} AS (SELECT * FROM {HELD}{name} WHERE {own})" for name in relations)
    return f"WITH spine AS (SELECT 0 AS {ROW}, {asked}, {moment}), {held} SELECT * FROM ({spine_query(features)})"
