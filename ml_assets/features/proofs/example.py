"""A feature's example, tried: its events through tiles and a snapshot, and through a spine."""

import math
from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

import duckdb

from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.queries.snapshots import snapshot_query
from ml_assets.features.queries.spine import ROW, spine_query
from ml_assets.features.queries.tiles import events_of, tiles_query
from ml_assets.features.spec import Feature
from ml_assets.lake.sql import quote, text

AS_OF = date(2024, 3, 1)
UNITS = {"d": "DAY", "h": "HOUR", "min": "MINUTE"}


def try_example(con: duckdb.DuckDBPyConnection, features: FeatureSet, feature: Feature) -> list[str]:
    """What differs from the feature's example, a sentence each; empty if nothing does or there is no example."""
    if feature.example is None:
        return []
    for source, columns in features.sources.items():
        given = _events(features, feature) if source == features.source_of(feature) else _nothing(columns)
        con.execute(f"CREATE OR REPLACE TEMP TABLE {quote(events_of(source))} AS {given}")
    con.execute(f"CREATE OR REPLACE TEMP TABLE tiles AS {tiles_query(features)}")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE spine AS SELECT DISTINCT 0 AS {ROW}, {features.entity}, "
        f"TIMESTAMPTZ '{AS_OF} 00:00:00+00' AS as_of FROM tiles"
    )
    names = list(feature.columns)
    gives = feature.example.gives
    expected = gives if len(names) > 1 and isinstance(gives, list) else [gives]
    if len(expected) != len(names):
        return [f"{feature.name}: its example gives {gives}; expected a list of {', '.join(names)}"]
    found = []
    for way, query in (
        ("the snapshot", snapshot_query(features, AS_OF, AS_OF)),
        ("the spine", spine_query(features)),
    ):
        [(*values,)] = con.sql(query).select(", ".join(map(quote, names))).fetchall()
        found += [
            f"{column}: its example gives {wanted}, {way} {value}"
            for column, value, wanted in zip(names, values, expected, strict=True)
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
    rows, columns = [], features.columns_for(feature)
    for event in feature.example.events:
        number, unit = _split(event["ago"])
        moment = f"TIMESTAMPTZ '{AS_OF} 00:00:00+00' - INTERVAL {number} {UNITS[unit]}"
        given: dict[str, str] = {
            **{name: _some(kind) for name, kind in features.entity_types.items()},
            "occurred_at": moment,
            "available_at": moment,
            "event_date": f"CAST({moment} AS DATE)",
        }
        for name, kind in columns.items():
            if name in event:
                literal = "NULL" if event[name] is None else text(str(event[name]))
                given[name] = f"CAST({literal} AS {kind})"
            given.setdefault(name, f"CAST(NULL AS {kind})")
        rows.append("SELECT " + ", ".join(f"{given[name]} AS {quote(name)}" for name in columns))
    return " UNION ALL ".join(rows)


def _nothing(columns: Mapping[str, str]) -> str:
    listed = ", ".join(f"CAST(NULL AS {kind}) AS {quote(name)}" for name, kind in columns.items())
    return f"SELECT {listed} WHERE FALSE"


def _some(kind: str) -> str:
    """A value of a type."""
    texts = {"DATE": "2024-01-01", "TIME": "00:00:00", "UUID": str(UUID(int=1))}
    text = "2024-01-01 00:00:00" if kind.startswith("TIMESTAMP") else texts.get(kind, "1")
    return f"CAST('{text}' AS {kind})"


def _split(ago: str) -> tuple[int, str]:
    unit = ago.lstrip("0123456789")
    return int(ago.removesuffix(unit)), unit
