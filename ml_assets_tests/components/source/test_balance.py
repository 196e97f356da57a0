"""Every run over a source says whether rows were lost, of which days, and what to do; what can be had again is."""

from pathlib import Path

import pytest
from deltalake import DeltaTable

from ml_assets.components.shared import resources
from ml_assets.lake import Table
from ml_assets_tests import visits
from ml_assets_tests.house import SOURCE, House, between_of, checks, span


def lose(table: Table, column: str, number: int) -> None:
    DeltaTable(table.uri).delete(f"{column} = '{visits.day(number)}'")


def test_what_was_lost_is_told_in_every_run_and_copied_again_by_itself(house: House) -> None:
    house.land(0, 2)
    result = house.run(SOURCE, 0, 2)
    assert result.success
    assert {checks(result)[name].passed for name in ("rows_kept", "rows_accounted")} == {True}

    lose(house.source.events, "event_date", 1)
    found = checks(house.run(["visits/quarantine", "visits/events"], 2))
    assert found["rows_accounted"].passed, "the run is about another day"
    before = house.rows("visits/raw", (visits.day(1), visits.day(1)), "row_number")
    lose(house.source.raw, "landing_date", 1)
    tick = house.tick("visits_landing")
    assert between_of(tick.only) == span(1, 1)
    assert house.launch(tick.only).success
    assert house.rows("visits/raw", (visits.day(1), visits.day(1)), "row_number") == before
    assert len(house.rows("visits/events", (visits.day(1), visits.day(1)))) == len(before)
    assert not house.tick("visits_landing").requests


def test_what_can_not_be_had_again_stops_what_reads_it(house: House) -> None:
    house.land(0, 1)
    assert house.run(SOURCE, 0, 1).success
    house.path(1).unlink()
    rows = len(house.rows("visits/raw", (visits.day(1), visits.day(1))))
    lose(house.source.raw, "landing_date", 1)
    before = house.source.events.version
    result = house.run(SOURCE, 0, 1)
    assert not result.success
    assert house.source.events.version == before
    said = checks(result)["rows_kept"].description or ""
    assert said.startswith(
        f"raw of visits has other rows than landed on 1 days: 2024-01-02: 0 rows, {rows} expected."
    )
    assert "landed again" in said


def test_a_run_mends_what_a_power_failure_tore(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.land(0, 1)
    assert house.run(SOURCE, 0, 1).success
    rows = house.rows("visits/raw")
    max(Path(house.source.raw.uri, "_delta_log").glob("*.json")).write_bytes(b"")
    monkeypatch.setattr(resources, "_LOOKED_AT", set())
    tick = house.tick("visits_landing")
    assert house.launch(tick.only).success
    assert house.rows("visits/raw") == rows
