"""A source that refers to another: what it lacks is refused or waits, and is built again once the other has it."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from ml_assets.lake import connect
from ml_assets.landing.withholding import withheld
from ml_assets.operations.materialize import _referred_first
from ml_assets_tests import visits
from ml_assets_tests.house import SOURCE, House, between_of, failures, opened, scratch_defs, span

VISITORS = ("visitors/raw", "visitors/events", "visitors/quarantine")
SENSOR = "visits_landing"
DEFS = """
type: ml_assets.components.EventSource
attributes:
  contract: contract.yaml
  landing: {path: "{{ env.ML_ASSETS_MINI_LANDING }}/visitors"}
  start: 2024-01-01
  end: 2024-03-25
"""
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: visitors
version: 1.0.0
status: active
schema:
  - name: visitors
    properties:
      - {name: visitor_id, logicalType: integer, required: true}
      - {name: occurred_at, logicalType: timestamp, required: true, logicalTypeOptions: {timezone: true}}
"""
SCHEMA = pa.schema([("visitor_id", pa.int64()), ("occurred_at", pa.timestamp("us", tz="UTC"))])
LATE = {3, 7}
"""Visitors who are registered on the second day."""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """The mini use case, whose visitors are a source of their own; day 0 of the visits has landed."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / f"references_{tmp_path.name}"
    refers = "        required: true\n        relationships: [{to: visitors.visitor_id}]\n        description: The visitor."
    module = scratch_defs(
        folder,
        {"visits/contract.yaml": ("        required: true\n        description: The visitor.", refers)},
    )
    (folder / "visitors").mkdir()
    (folder / "visitors" / "defs.yaml").write_text(DEFS)
    (folder / "visitors" / "contract.yaml").write_text(CONTRACT)
    with opened(tmp_path / "home", module=module) as house:
        house.land(0, 0)
        yield house


def register(house: House, number: int, who: set[int]) -> None:
    """Land the file of new visitors of a day, and build it."""
    on = visits.day(number)
    noon = pa.scalar(0).cast(pa.timestamp("us", tz="UTC")).as_py() + timedelta(
        days=(on - date(1970, 1, 1)).days
    )
    rows = [{"visitor_id": visitor, "occurred_at": noon} for visitor in sorted(who)]
    visits.write(house.landing / "visitors" / f"{on}.parquet", rows, SCHEMA)
    assert house.run(VISITORS, number).success


def came() -> set[int]:
    return {row["visitor_id"] for row in visits.visits_of(visits.day(0))}


def published(house: House) -> set[int]:
    return {visitor for (visitor,) in house.rows("visits/events", None, "visitor_id")}


@pytest.mark.slow
def test_a_day_waits_for_the_other_source_then_its_rows_for_their_keys(shop: House) -> None:
    everyone = came()
    assert everyone >= LATE
    tick = shop.tick(SENSOR)
    [message] = failures(shop.launch(tick.only)).values()
    assert "visitor_id_in_visitors: it waits for visitors, which has no events yet" in message
    assert not shop.tick(SENSOR, tick.cursor).requests

    register(shop, 0, everyone - LATE)
    tick = shop.tick(SENSOR, tick.cursor)
    assert between_of(tick.only) == span(0, 0)
    assert shop.launch(tick.only).success
    assert published(shop) == everyone - LATE
    reasons = {reason for (listed,) in shop.rows("visits/quarantine", None, "reasons") for reason in listed}
    assert reasons == {
        f"visitor_id_in_visitors: visitor_id is {who}, one of visitors.visitor_id expected" for who in LATE
    }
    assert not shop.tick(SENSOR, tick.cursor).requests
    assert shop.run(VISITORS, 0).success
    assert not shop.tick(SENSOR, tick.cursor).requests, "nothing has changed in the other source"

    register(shop, 1, LATE)
    tick = shop.tick(SENSOR, tick.cursor)
    assert between_of(tick.only) == span(0, 0)
    assert shop.launch(tick.only).success
    assert published(shop) == everyone
    assert shop.rows("visits/quarantine") == []
    with connect() as con:
        assert withheld(con, shop.source) == {}
    assert not shop.tick(SENSOR, tick.cursor).requests


def test_a_build_on_record_names_the_version_it_was_held_against(shop: House) -> None:
    register(shop, 0, came())
    assert shop.run(SOURCE, 0).success
    version = shop.table("visitors/events").version
    assert shop.source.events.history()[0].inputs["visitors/events"] == version


def test_the_source_that_is_referred_to_comes_first(shop: House) -> None:
    assert _referred_first(shop.project) == ["visitors", "visits"]
    keys = shop.defs.resolve_asset_graph().get(dg.AssetKey(["visits", "events"])).parent_keys
    assert dg.AssetKey(["visitors", "events"]) in keys
