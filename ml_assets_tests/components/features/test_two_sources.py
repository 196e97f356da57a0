"""A group over two sources whose entity has two columns: from landing to predictions, and what it waits for."""

from collections.abc import Iterator
from datetime import date, timedelta

import dagster as dg
import pyarrow as pa
import pytest

from ml_assets.lake import connect
from ml_assets_tests import visits
from ml_assets_tests.house import House, opened, scratch_defs

pytestmark = pytest.mark.slow
LANDED = 55
CALLS = """
type: ml_assets.components.EventSource
attributes:
  contract: contract.yaml
  landing: {path: "{{ env.ML_ASSETS_MINI_LANDING }}/calls", late_days: 1}
  start: 2024-01-03
  end: 2024-03-25
"""
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: calls
version: 1.0.0
status: active
schema:
  - name: calls
    properties:
      - {name: call_id, logicalType: integer, primaryKey: true}
      - {name: visitor_id, logicalType: integer, required: true}
      - {name: channel, logicalType: string, required: true}
      - {name: minutes, logicalType: integer, required: true}
      - {name: occurred_at, logicalType: timestamp, required: true, logicalTypeOptions: {timezone: true}}
"""
GROUP = """
type: ml_assets.components.FeatureGroup
attributes:
  source: [visits, calls]
  entity: [visitor_id, channel]
  features:
    - {name: visits, count: "*", windows: [7d, 14d]}
    - {name: mean_amount, mean: amount, windows: [14d]}
    - {name: calls, count: "*", source: calls, windows: [14d]}
    - {name: longest_call, max: minutes, source: calls, windows: [14d]}
    - {name: calls_a_visit, sql: "calls / nullif(visits_14d, 0)"}
"""
SCHEMA = pa.schema(
    [
        ("call_id", pa.int64()),
        ("visitor_id", pa.int64()),
        ("channel", pa.string()),
        ("minutes", pa.int64()),
        ("occurred_at", pa.timestamp("us", tz="UTC")),
    ]
)


def calls_of(on: date) -> list[dict[str, object]]:
    """Every second visitor of a day calls an hour before."""
    return [
        {
            "call_id": visit["visit_id"],
            "visitor_id": visit["visitor_id"],
            "channel": visit["channel"],
            "minutes": visit["visitor_id"] % 7,
            "occurred_at": visit["occurred_at"] - timedelta(hours=1),
        }
        for visit in visits.visits_of(on)
        if visit["visitor_id"] % 2
    ]


def land_calls(house: House, first: int, last: int) -> None:
    for number in range(first, last + 1):
        on = visits.day(number)
        visits.write(house.landing / "calls" / f"{on}.parquet", calls_of(on), SCHEMA)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("two") / "two_sources_defs"
    name = scratch_defs(folder, {"churn/defs.yaml": ("slices: [channel]", "slices: []")})
    (folder / "calls").mkdir()
    (folder / "calls" / "defs.yaml").write_text(CALLS)
    (folder / "calls" / "contract.yaml").write_text(CONTRACT)
    (folder / "visitor_features" / "defs.yaml").write_text(GROUP)
    return name


@pytest.fixture(scope="module")
def built(module: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Everything materialized, a champion of 2024-02-19 included."""
    with opened(tmp_path_factory.mktemp("two_home") / "home", module=module) as house:
        house.land(0, LANDED)
        land_calls(house, 2, LANDED)
        done = house.materialize(cutoffs=1)
        assert all(phase.success for phase in done), [p.messages for p in done]
        yield house


def test_tiles_depend_on_both(built: House) -> None:
    graph = built.defs.resolve_asset_graph()
    tiles = graph.get(dg.AssetKey(["visitor_features", "tiles"]))
    assert {key.to_user_string() for key in tiles.parent_keys} == {"visits/events", "calls/events"}


def test_a_snapshot_counts_the_events_of_both(built: House) -> None:
    as_of = visits.day(LANDED + 1)
    days = [as_of - timedelta(days=n) for n in range(1, 15)]
    bought = [visit for on in days for visit in visits.visits_of(on)]
    called = [call for on in days for call in calls_of(on)]
    with connect() as con:
        rows = built.table("visitor_features/snapshot").read(con, between=(as_of, as_of))
        found = rows.select("visitor_id, channel, visits_14d, calls, longest_call").fetchall()
    assert len(found) > 50
    for visitor, channel, visited, calls, longest in found:
        own = [call for call in called if (call["visitor_id"], call["channel"]) == (visitor, channel)]
        assert visited == sum(visit["visitor_id"] == visitor for visit in bought)
        assert calls == len(own)
        assert longest == (visitor % 7 if own else None)


def test_its_model_predicts_for_both_columns(built: House) -> None:
    with connect() as con:
        rows = built.churn.tables(built.lake).predictions.read(con)
        assert {"visitor_id", "channel", "score"} <= set(rows.columns)
        [(many, pairs)] = rows.aggregate(
            "count(DISTINCT prediction_id), count(DISTINCT (visitor_id, channel, as_of, model_version))"
        ).fetchall()
    assert many == pairs > 40


def test_a_day_waits_for_the_source_that_has_not_landed(built: House) -> None:
    built.land(LANDED + 1, LANDED + 1)
    assert built.run(["visits/raw", "visits/events", "visits/quarantine"], LANDED + 1).success
    waiting = built.tick("visitor_features_refresh")
    assert waiting.requests == []
    assert f"it waits for calls, which has landed through {visits.day(LANDED)}" in waiting.skip
    refused = built.run(["visitor_features/tiles"], LANDED + 1)
    assert not refused.success
    land_calls(built, LANDED + 1, LANDED + 1)
    assert built.run(["calls/raw", "calls/events", "calls/quarantine"], LANDED + 1).success
    assert built.launch(built.tick("visitor_features_refresh").only).success
    assert built.launch(built.tick("visitor_features_refresh").only).success
    assert "as new as their events" in built.tick("visitor_features_refresh").skip
