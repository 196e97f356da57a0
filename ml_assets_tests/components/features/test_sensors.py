from datetime import timedelta
from decimal import Decimal

import dagster as dg

from ml_assets.components.shared.requests import REQUEST
from ml_assets_tests import visits
from ml_assets_tests.house import SOURCE, House, Tick, between_of, span

SENSOR = "visitor_features_refresh"
LAST = 29
"""The number of the last day that has landed in the fixture ``landed``."""


def change(house: House, number: int) -> None:
    """Another content for one day, read as far as events."""
    house.land(number, number, salt="corrected")
    assert house.run(SOURCE, number).success


def of(tick: Tick) -> list[tuple[str, tuple[str, str]]]:
    """What is asked for: the assets and the range of every request."""
    return [(str(request.job_name), between_of(request)) for request in tick.requests]


def test_nothing_to_do(landed: House) -> None:
    tick = landed.tick(SENSOR)
    assert not tick.requests
    assert tick.skip == "tiles and snapshots are as new as their events, and follow what is declared"


def test_before_anything_has_landed(house: House) -> None:
    assert not house.tick(SENSOR).requests


def test_a_changed_day_refreshes_its_tiles_and_then_what_reads_them(landed: House) -> None:
    """All later snapshots read it: who was known on a day stays known."""
    change(landed, 10)
    tick = landed.tick(SENSOR)
    assert of(tick) == [("visitor_features_tiles", span(10, 10))]
    assert landed.tick(SENSOR).only.run_key == tick.only.run_key
    assert landed.launch(tick.only).success
    before = landed.hash("visitor_features/snapshot")
    tick = landed.tick(SENSOR)
    assert of(tick) == [("visitor_features_snapshot", span(11, LAST + 1))]
    assert landed.launch(tick.only).success
    assert landed.hash("visitor_features/snapshot") != before
    assert not landed.tick(SENSOR).requests


def test_changed_days_apart_make_tiles_in_ranges_of_their_own(landed: House) -> None:
    change(landed, 1)
    change(landed, 25)
    tick = landed.tick(SENSOR)
    assert of(tick) == [
        ("visitor_features_tiles", span(1, 1)),
        ("visitor_features_tiles", span(25, 25)),
    ]
    assert len({request.run_key for request in tick.requests}) == 2
    for request in tick.requests:
        assert landed.launch(request).success
    assert of(landed.tick(SENSOR)) == [("visitor_features_snapshot", span(2, LAST + 1))]


def test_a_new_day_gives_its_tiles_and_the_snapshot_of_the_next_day(landed: House) -> None:
    landed.land(LAST + 1, LAST + 1)
    assert landed.run(SOURCE, LAST + 1).success
    tick = landed.tick(SENSOR)
    assert of(tick) == [("visitor_features_tiles", span(LAST + 1, LAST + 1))]
    assert landed.launch(tick.only).success
    tick = landed.tick(SENSOR)
    assert of(tick) == [("visitor_features_snapshot", span(LAST + 2, LAST + 2))]
    assert landed.launch(tick.only).success
    newest = visits.day(LAST + 2)
    assert landed.rows("visitor_features/snapshot", (newest, newest + timedelta(days=5)))


def test_a_run_in_flight_is_waited_for_and_a_failed_one_asked_for_again(landed: House) -> None:
    change(landed, 10)
    request = landed.tick(SENSOR).only
    run = landed.put_run(request.tags, dg.DagsterRunStatus.STARTED)
    tick = landed.tick(SENSOR)
    assert not tick.requests
    assert f"run {run.run_id} for {request.tags[REQUEST]} is in flight" in tick.skip
    landed.instance.report_run_failed(run)
    again = landed.tick(SENSOR).only
    assert again.run_key != request.run_key
    assert between_of(again) == between_of(request)


def test_a_day_that_breaks_its_contract_makes_no_tiles_until_it_is_mended(landed: House) -> None:
    rows = visits.visits_of(visits.day(10))
    spoilt = [row | {"amount": Decimal(-1)} for row in rows]
    visits.write(landed.path(10), spoilt)
    assert not landed.run(SOURCE, 10).success
    tick = landed.tick(SENSOR)
    assert not tick.requests
    assert "tiles and snapshots are as new as their events, and follow what is declared" in tick.skip
    change(landed, 10)
    assert of(landed.tick(SENSOR)) == [("visitor_features_tiles", span(10, 10))]
