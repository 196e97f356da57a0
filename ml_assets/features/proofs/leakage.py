"""Proof that no feature knows the future: sampled rows computed again, by definition and with another future.

Three ways are compared for a few entities at an as_of: what the snapshot holds; what the naive definition
gives, straight from the events and without tiles; and what the compiled queries give once every event that
had not happened or was not known at as_of is removed, changed or joined by others. Any difference is a leak,
or a wrong feature.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import duckdb

from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.proofs.differences import Disparity, Rows, differences, hold_sample, values_of
from ml_assets.features.queries.definition import definition_query
from ml_assets.features.queries.snapshots import snapshot_query
from ml_assets.features.queries.tiles import events_of, tiles_query
from ml_assets.lake import Table, confined, seal
from ml_assets.lake.sql import quote

ENTITIES = 50
"""Entities that are looked at at an as_of."""


def find_leaks(
    features: FeatureSet,
    events: Mapping[str, Table],
    snapshot: Table,
    as_ofs: Sequence[date],
    current: Sequence[date],
) -> list[Disparity]:
    """The differences at ``as_ofs``, for entities picked by a hash, the same ones every time.

    The snapshot's own rows are compared at the as_ofs that are ``current``: where events have been corrected
    since, they differ rightly.
    """
    found: list[Disparity] = []
    for as_of in as_ofs:
        with confined() as con:
            stored = hold_sample(con, features, events, snapshot, as_of, ENTITIES)
            seal(con)
            for source in features.sources:
                con.execute(
                    f"CREATE OR REPLACE TEMP TABLE other_{source} AS {_another_future(features, source, as_of)}"
                )
            compiled = _compiled(con, features, "true", as_of)
            by_definition = values_of(
                con, features, definition_query(features, f"TIMESTAMPTZ '{as_of} 00:00:00+00'")
            )
            poisoned = _compiled(con, features, "other", as_of)
            found += differences(features, as_of, compiled, by_definition, "by definition")
            found += differences(features, as_of, poisoned, compiled, "with another future")
            if as_of in current:
                held = values_of(con, features, stored.sql_query())
                found += differences(features, as_of, held, by_definition, "by definition, in the snapshot")
    return found


def _compiled(con: duckdb.DuckDBPyConnection, features: FeatureSet, which: str, as_of: date) -> Rows:
    for source in features.sources:
        con.execute(
            f"CREATE OR REPLACE TEMP VIEW {quote(events_of(source))} AS SELECT * FROM {which}_{source}"
        )
    con.execute(f"CREATE OR REPLACE TEMP TABLE tiles AS {tiles_query(features)}")
    return values_of(con, features, snapshot_query(features, as_of, as_of))


def _another_future(features: FeatureSet, source: str, as_of: date) -> str:
    """The events known before ``as_of``, and a future that never was: fewer, changed, shifted and late events."""
    now, types = f"TIMESTAMPTZ '{as_of} 00:00:00+00'", features.sources[source]
    past = f"occurred_at < {now} AND available_at <= {now}"
    kept = ("occurred_at", "available_at", "event_date", *features.entity)
    changed = {name: _changed(name, kind) for name, kind in types.items() if name not in kept}
    days = f"(1 + CAST(date_diff('day', occurred_at, {now}) AS INTEGER))"
    shifted = changed | {
        "occurred_at": f"occurred_at + INTERVAL 1 DAY * {days}",
        "available_at": f"greatest(available_at, occurred_at) + INTERVAL 1 DAY * {days}",
        "event_date": f"event_date + {days}",
    }
    late = changed | {"available_at": f"greatest(available_at, {now}) + INTERVAL 1 MICROSECOND"}

    def select(columns: dict[str, str], where: str) -> str:
        listed = [f"{columns.get(name, quote(name))} AS {quote(name)}" for name in types]
        return f"SELECT {', '.join(listed)} FROM true_{source} WHERE {where}"

    return " UNION ALL ".join(
        (
            select({}, past),
            select(changed, f"NOT ({past}) AND hash(occurred_at, available_at) % 2 = 0"),
            select(shifted, past),
            select(late, past),
        )
    )


def _changed(name: str, kind: str) -> str:
    """Another value of a column, where its type has an obvious one."""
    if kind == "VARCHAR":
        return f"{quote(name)} || '?'"
    if kind.startswith("DECIMAL") or kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE"):
        return f"coalesce(TRY(CAST({quote(name)} * 2 + 1 AS {kind})), CAST(0 AS {kind}))"
    return quote(name)
