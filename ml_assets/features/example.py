"""A feature's example, tried: its events through tiles and a snapshot, and through a spine."""

import math
from datetime import date
from typing import Any

import duckdb

from ml_assets.features.snapshots import snapshot_query
from ml_assets.features.spec import Feature, FeatureSet
from ml_assets.features.spine import ROW, spine_query
from ml_assets.features.tiles import tiles_query

AS_OF = date(2024, 3, 1)
UNITS = {"d": "DAY", "h": "HOUR", "min": "MINUTE"}


def try_example(con: duckdb.DuckDBPyConnection, features: FeatureSet, feature: Feature) -> list[str]:
    """What differs from the feature's example, a sentence each; empty if nothing does or there is no example."""
    if feature.example is None:
        return []
    con.execute(f"CREATE OR REPLACE TEMP TABLE events AS {_events(features, feature)}")
    con.execute(f"CREATE OR REPLACE TEMP TABLE tiles AS {tiles_query(features)}")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE spine AS SELECT DISTINCT 0 AS {ROW}, {features.entity}, "
        f"TIMESTAMPTZ '{AS_OF} 00:00:00+00' AS as_of FROM events"
    )
    columns = list(feature.columns)
    gives = feature.example.gives
    expected = gives if len(columns) > 1 and isinstance(gives, list) else [gives]
    if len(expected) != len(columns):
        return [f"{feature.name}: its example gives {gives}; expected a list of {', '.join(columns)}"]
    found = []
    for way, query in (
        ("the snapshot", snapshot_query(features, AS_OF, AS_OF)),
        ("the spine", spine_query(features)),
    ):
        [(*values,)] = con.sql(query).select(", ".join(columns)).fetchall()
        found += [
            f"{column}: its example gives {wanted}, {way} {value}"
            for column, value, wanted in zip(columns, values, expected, strict=True)
            if not _same(value, wanted)
        ]
    return found


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, (int, float)) and not isinstance(wanted, bool) and value is not None:
        return math.isclose(float(value), float(wanted), rel_tol=1e-9, abs_tol=1e-12)
    return bool(value == wanted) or (value is not None and str(value) == str(wanted))


def _events(features: FeatureSet, feature: Feature) -> str:
    """The example's events as a query; the entity is the same in all of them."""
    assert feature.example is not None
    rows = []
    for event in feature.example.events:
        number, unit = _split(event["ago"])
        moment = f"TIMESTAMPTZ '{AS_OF} 00:00:00+00' - INTERVAL {number} {UNITS[unit]}"
        given: dict[str, str] = {
            features.entity: f"CAST('1' AS {features.source_columns[features.entity]})",
            "occurred_at": moment,
            "available_at": moment,
            "event_date": f"CAST({moment} AS DATE)",
        }
        for name, kind in features.source_columns.items():
            if name in event:
                literal = "NULL" if event[name] is None else "'" + str(event[name]).replace("'", "''") + "'"
                given[name] = f"CAST({literal} AS {kind})"
            given.setdefault(name, f"CAST(NULL AS {kind})")
        rows.append("SELECT " + ", ".join(f'{given[name]} AS "{name}"' for name in features.source_columns))
    return " UNION ALL ".join(rows)


def _split(ago: str) -> tuple[int, str]:
    unit = ago.lstrip("0123456789")
    return int(ago.removesuffix(unit)), unit
