"""Feast's DuckDB offline store: a spine joined to features that were computed beforehand, valid for 30 days.

Beforehand, and not timed: the features, and the store's registry. Timed: the store is opened,
``get_historical_features`` joins, and the rows are written. There are two ways to compute beforehand. A row at every
event holds the running values up to and with it; the arrival of the event is given as the created timestamp, and
Feast is asked to leave out what was created later. A row at every change is three times as many: values change when
an event is known, and when it leaves each window; one microsecond makes Feast's inclusive join strict.
"""

from datetime import timedelta
from pathlib import Path

import duckdb
import feast.infra.offline_stores.duckdb  # noqa: F401 (else loaded when the store opens, and timed)
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64, Int64
from feast.value_type import ValueType

FEATURES = {"n_7d": Int64, "s_7d": Float64, "n_28d": Int64, "s_28d": Float64}
AT_EVENTS = """
SELECT entity, occurred_at AS event_timestamp, available_at AS created,
       count(*) OVER week AS n_7d, (sum(amount) OVER week)::DOUBLE AS s_7d,
       count(*) OVER month AS n_28d, (sum(amount) OVER month)::DOUBLE AS s_28d
FROM '{events}'
WINDOW week AS (PARTITION BY entity ORDER BY occurred_at RANGE INTERVAL 7 DAY PRECEDING),
       month AS (PARTITION BY entity ORDER BY occurred_at RANGE INTERVAL 28 DAY PRECEDING)
"""
AT_CHANGES = """
WITH changes AS (
  SELECT entity, greatest(occurred_at + INTERVAL 1 MICROSECOND, available_at) AS moment, 1 AS n_7d, amount AS s_7d,
         1 AS n_28d, amount AS s_28d FROM '{events}'
  UNION ALL
  SELECT entity, occurred_at + INTERVAL 7 DAY + INTERVAL 1 MICROSECOND, -1, -amount, 0, 0 FROM '{events}'
  UNION ALL
  SELECT entity, occurred_at + INTERVAL 28 DAY + INTERVAL 1 MICROSECOND, 0, 0, -1, -amount FROM '{events}')
SELECT entity, moment AS event_timestamp, moment AS created,
       (sum(sum(n_7d)) OVER so_far)::BIGINT AS n_7d, (sum(sum(s_7d)) OVER so_far)::DOUBLE AS s_7d,
       (sum(sum(n_28d)) OVER so_far)::BIGINT AS n_28d, (sum(sum(s_28d)) OVER so_far)::DOUBLE AS s_28d
FROM changes GROUP BY entity, moment WINDOW so_far AS (PARTITION BY entity ORDER BY moment)
"""


def prepare_at_events(folder: Path) -> None:
    """Running values at every event."""
    _prepare(folder, "at_events", AT_EVENTS)


def prepare_at_changes(folder: Path) -> None:
    """Running values at every change."""
    _prepare(folder, "at_changes", AT_CHANGES)


def at_events(folder: Path, out: Path) -> None:
    """Join the spine to the values at every event."""
    _retrieve(folder, "at_events", out)


def at_changes(folder: Path, out: Path) -> None:
    """Join the spine to the values at every change."""
    _retrieve(folder, "at_changes", out)


def _prepare(folder: Path, view: str, query: str) -> None:
    features = folder / f"feast_{view}.parquet"
    with duckdb.connect() as con:
        con.execute(f"SET TimeZone = 'UTC'; SET temp_directory = '{folder}/spilled'")
        con.execute(
            f"COPY ({query.format(events=folder / 'events.parquet')}) TO '{features}' (FORMAT parquet)"
        )
    source = FileSource(
        path=str(features), timestamp_field="event_timestamp", created_timestamp_column="created"
    )
    entity = Entity(name="entity", value_type=ValueType.INT64)
    schema = [Field(name=name, dtype=kind) for name, kind in FEATURES.items()]
    _store(folder).apply(
        [
            entity,
            FeatureView(name=view, entities=[entity], ttl=timedelta(days=30), schema=schema, source=source),
        ]
    )


def _retrieve(folder: Path, view: str, out: Path) -> None:
    spine = pd.read_parquet(folder / "spine.parquet").rename(columns={"as_of": "event_timestamp"})
    job = _store(folder).get_historical_features(
        spine, [f"{view}:{name}" for name in FEATURES], filter_by_created_timestamp=True
    )
    found = job.to_df()[["row", *FEATURES]]
    found.fillna(0).to_parquet(out)


def _store(folder: Path) -> FeatureStore:
    config = {
        "project": "benchmark",
        "provider": "local",
        "registry": str(folder / "registry.db"),
        "offline_store": {"type": "duckdb"},
        "online_store": None,
        "entity_key_serialization_version": 3,
    }
    return FeatureStore(config=RepoConfig(repo_path=str(folder), **config))
