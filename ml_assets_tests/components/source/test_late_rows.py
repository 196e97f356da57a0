"""Rows that arrive late go to the day they happened on, and exactly what they touch is asked for."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml_assets_tests import visits
from ml_assets_tests.house import SOURCE, House, between_of, opened, scratch_defs, span

LATE, LAST = 2, 9
TILES, SNAPSHOT = ["visitor_features/tiles"], ["visitor_features/snapshot"]
REFRESH = "visitor_features_refresh"


@pytest.fixture
def late_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Rows may be two days late; the days 0 to 9 have gone from landing to snapshot."""
    monkeypatch.syspath_prepend(tmp_path)
    edits = {"visits/defs.yaml": ("  start:", f"    late_days: {LATE}\n  start:")}
    module = scratch_defs(tmp_path / f"late_{tmp_path.name}", edits)
    with opened(tmp_path / "home", module=module) as made:
        made.land(0, LAST)
        assert made.run(SOURCE, 0, LAST).success
        assert made.run(TILES, 0, LAST).success
        assert made.run(SNAPSHOT, 1, LAST + 1).success
        yield made


def test_a_late_row_is_an_event_of_its_own_day_known_from_its_landing_day(late_house: House) -> None:
    happened, landed = LAST - 1, LAST + 1
    late = visits.visits_of(visits.day(happened))[0] | {"visit_id": 999_999}
    visits.write(late_house.path(landed), [*visits.visits_of(visits.day(landed)), late])

    tick = late_house.tick("visits_landing")
    assert between_of(tick.only) == span(landed - LATE, landed)
    before = late_house.source.events.version
    assert late_house.launch(tick.only).success
    [commit] = [c for c in late_house.source.events.history() if c.version > (before or 0)]
    assert commit.left == {visits.day(landed - 1)}
    day = visits.day(happened)
    [row] = [
        found
        for found in late_house.rows("visits/events", (day, day), "visit_id, available_at, landing_date")
        if found[0] == 999_999
    ]
    on = visits.day(landed)
    assert row == (999_999, datetime(on.year, on.month, on.day, tzinfo=UTC) + timedelta(days=1), on)

    tick = late_house.tick(REFRESH)
    assert between_of(tick.only) == span(happened, landed)
    assert late_house.launch(tick.only).success
    tick = late_house.tick(REFRESH)
    assert between_of(tick.only) == span(landed + 1, landed + 1)
    assert late_house.launch(tick.only).success
    assert not late_house.tick(REFRESH).requests


def test_a_row_that_is_too_late_is_refused(late_house: House) -> None:
    landed = LAST + 1
    late = visits.visits_of(visits.day(landed - LATE - 1))[0]
    visits.write(late_house.path(landed), [*visits.visits_of(visits.day(landed)), late])
    assert late_house.launch(late_house.tick("visits_landing").only).success
    [(day, reasons)] = late_house.rows("visits/quarantine", None, "event_date, reasons")
    assert day == visits.day(landed)
    assert "event_date_in_window: occurred_at is 2024-01-08" in str(reasons)
