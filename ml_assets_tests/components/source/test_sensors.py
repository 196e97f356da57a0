import os
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.components.shared.requests import REQUEST
from ml_assets.instance import clock
from ml_assets.landing import content_hash, raw, reading
from ml_assets.pipeline.due import landing
from ml_assets_tests import visits
from ml_assets_tests.house import FEATURES, SOURCE, House, alerts_in, between_of, opened, span

SENSOR = "visits_landing"


@pytest.fixture(scope="module")
def two_days_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("two_days") / "home"
    with opened(home) as made:
        made.land(0, 1)
        assert made.run(SOURCE, 0, 1).success
    return home


@pytest.fixture
def two_days(two_days_home: Path, tmp_path: Path) -> Iterator[House]:
    """Days 0 and 1 are landed and read."""
    with opened(tmp_path / "home", template=two_days_home) as made:
        yield made


def rewrite(house: House, number: int, salt: str) -> None:
    """Another content for a day's file, with a time stamp that differs however fast the clock is."""
    path = house.path(number)
    before = path.stat().st_mtime_ns
    visits.write(path, visits_of(number, salt))
    os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))


def visits_of(number: int, salt: str = "") -> list[dict[str, object]]:
    return visits.visits_of(visits.day(number), salt=salt)


def amounts(house: House, number: int) -> list[tuple[object, ...]]:
    day = visits.day(number)
    return house.rows("visits/events", (day, day), "visitor_id, amount")


def expected(number: int, salt: str = "") -> list[tuple[object, ...]]:
    return sorted((row["visitor_id"], row["amount"]) for row in visits_of(number, salt))


def test_the_first_tick_asks_for_one_range_of_all_days(house: House) -> None:
    house.land(0, 4)
    request = house.tick(SENSOR).only
    assert between_of(request) == span(0, 4)
    assert [key.to_user_string() for key in request.asset_selection or ()] == list(SOURCE)
    assert house.launch(request).success
    assert amounts(house, 3) == expected(3)


def test_a_second_tick_before_the_run_asks_for_the_same_run(house: House) -> None:
    house.land(0, 4)
    first = house.tick(SENSOR)
    second = house.tick(SENSOR, first.cursor)
    assert first.only.run_key == second.only.run_key
    assert first.only.tags == second.only.tags


def test_after_the_run_there_is_nothing_to_ask_for(house: House) -> None:
    house.land(0, 4)
    tick = house.tick(SENSOR)
    assert house.launch(tick.only).success
    for cursor in (tick.cursor, None):
        after = house.tick(SENSOR, cursor)
        assert not after.requests
        assert f"no new or changed file among 5 in {house.landing}" in after.skip


def test_the_cursor_spares_files_that_were_looked_at(
    two_days: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = two_days.tick(SENSOR).cursor
    looked_at = []
    hashing = landing.content_hash
    monkeypatch.setattr(landing, "content_hash", lambda path: looked_at.append(path.name) or hashing(path))
    two_days.land(2, 2)
    assert between_of(two_days.tick(SENSOR, cursor).only) == span(2, 2)
    assert looked_at == [two_days.path(2).name]


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_a_run_in_flight_is_waited_for(house: House, status: str) -> None:
    house.land(0, 1)
    request = house.tick(SENSOR).only
    run = house.put_run(request.tags, dg.DagsterRunStatus[status])
    tick = house.tick(SENSOR)
    assert not tick.requests
    assert f"run {run.run_id} for {request.tags[REQUEST]} is in flight" in tick.skip


def test_a_failed_run_is_asked_for_again_three_times_at_most(house: House) -> None:
    house.land(0, 1)
    keys, cursor = [], None
    for _ in range(3):
        tick = house.tick(SENSOR, cursor)
        keys.append(tick.only.run_key)
        run, cursor = house.put_run(tick.only.tags, dg.DagsterRunStatus.FAILURE), tick.cursor
    assert len(set(keys)) == 3
    for memory in (cursor, None):
        tick = house.tick(SENSOR, memory)
        assert not tick.requests
        assert "3 runs for visits/landing:" in tick.skip
        assert f"have failed, the last is {run.run_id}" in tick.skip
        assert "mend the cause and re-execute it" in tick.skip


def test_a_new_file_after_three_failures_is_asked_for(house: House) -> None:
    house.land(0, 1)
    for _ in range(3):
        house.put_run(house.tick(SENSOR).only.tags, dg.DagsterRunStatus.FAILURE)
    house.land(2, 2)
    assert between_of(house.tick(SENSOR).only) == span(0, 2)


def test_a_changed_file_is_exactly_its_day(two_days: House) -> None:
    rewrite(two_days, 1, "corrected")
    for cursor in (None, two_days.tick(SENSOR).cursor):
        assert between_of(two_days.tick(SENSOR, cursor).only) == span(1, 1)
    assert two_days.launch(two_days.tick(SENSOR).only).success
    assert amounts(two_days, 1) == expected(1, "corrected")
    assert amounts(two_days, 0) == expected(0)


def test_a_file_that_is_only_touched_is_not_asked_for(two_days: House) -> None:
    os.utime(two_days.path(1), ns=(1, 1))
    tick = two_days.tick(SENSOR)
    assert not tick.requests
    assert "no new or changed file" in tick.skip


def test_a_file_that_changes_back_is_asked_for_each_time(two_days: House) -> None:
    keys, cursor = set(), two_days.tick(SENSOR).cursor
    for salt in ("other", "", "other"):
        rewrite(two_days, 1, salt)
        tick = two_days.tick(SENSOR, cursor)
        assert between_of(tick.only) == span(1, 1)
        keys.add(tick.only.run_key)
        assert two_days.launch(tick.only).success
        assert amounts(two_days, 1) == expected(1, salt)
        cursor = two_days.tick(SENSOR, tick.cursor).cursor
    assert len(keys) == 3
    versions = set(two_days.rows("visits/raw", (visits.day(1), visits.day(1)), "content_hash"))
    assert len(versions) == 2


def test_a_new_day_is_exactly_that_day(two_days: House) -> None:
    two_days.land(2, 2)
    assert between_of(two_days.tick(SENSOR).only) == span(2, 2)


def test_days_far_apart_are_two_runs_and_a_closed_week_is_not(two_days: House) -> None:
    for number in (3, 10, 40):
        two_days.land(number, number)
    assert [between_of(r) for r in two_days.tick(SENSOR).requests] == [span(3, 10), span(40, 40)]


def test_without_landing_files_it_says_what_to_do(house: House) -> None:
    tick = house.tick(SENSOR)
    assert f"the landing folder {house.landing} does not exist; land files there" in tick.skip
    house.landing.mkdir()
    (house.landing / "notes.txt").write_text("no data")
    tick = house.tick(SENSOR)
    assert "has 1 files, none named {date}.parquet (with {date} as YYYY-MM-DD); land files there" in tick.skip
    assert not tick.requests


def test_files_of_days_outside_the_partitions_are_told_of(two_days: House) -> None:
    for on in (date(2023, 12, 31), date(2024, 3, 26)):
        visits.write(two_days.landing / f"{on}.parquet", visits.visits_of(visits.day(3)))
    tick = two_days.tick(SENSOR)
    assert not tick.requests
    said = "2023-12-31.parquet, 2024-03-26.parquet passed over: the source has the days from 2024-01-01 to 2024-03-25"
    assert said in tick.skip


def test_files_that_are_never_taken_are_told_once_with_the_pattern(two_days: House) -> None:
    told = two_days.home / "data" / "alerts.jsonl"
    (two_days.landing / "20240102.parquet").touch()
    tick = two_days.tick(SENSOR)
    [alert] = alerts_in(told)
    assert "20240102.parquet passed over: a file of a day is named {date}.parquet here" in alert["message"]
    now = clock.now()
    with clock.at(lambda: now + timedelta(days=2)):
        tick = two_days.tick(SENSOR, tick.cursor)
        assert len(alerts_in(told)) == 1, "not again the day after"
        (two_days.landing / "2024-01-02.PARQUET").touch()
        two_days.tick(SENSOR, tick.cursor)
    assert "2024-01-02.PARQUET, 20240102.parquet passed over" in alerts_in(told)[1]["message"]


def test_rows_that_never_became_events_are_asked_for(two_days: House) -> None:
    """A run that ended between raw and events leaves the file on record, and events without it."""
    two_days.land(2, 3)
    assert two_days.run(["visits/raw"], 2, 3).success
    tick = two_days.tick(SENSOR)
    assert between_of(tick.only) == span(2, 3)
    assert two_days.tick(SENSOR, tick.cursor).only.run_key == tick.only.run_key
    assert two_days.launch(tick.only).success
    assert amounts(two_days, 3) == expected(3)
    assert not two_days.tick(SENSOR, tick.cursor).requests


def test_the_run_that_is_between_raw_and_events_is_waited_for(two_days: House) -> None:
    two_days.land(2, 2)
    assert two_days.run(["visits/raw"], 2, 2).success
    job = two_days.defs.resolve_implicit_global_asset_job_def()
    run = two_days.instance.create_run_for_job(
        job,
        asset_selection={dg.AssetKey(asset.split("/")) for asset in SOURCE},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert not two_days.tick(SENSOR).requests
    two_days.instance.report_run_failed(run)
    assert between_of(two_days.tick(SENSOR).only) == span(2, 2)


def test_the_features_have_a_sensor_of_their_own(house: House) -> None:
    house.land(0, 0)
    asked = {key.to_user_string() for key in house.tick(SENSOR).only.asset_selection or ()}
    assert not asked & set(FEATURES)


def test_a_file_that_could_not_be_read_is_asked_for_once_it_can(two_days: House) -> None:
    """That it may be read now changes neither its size nor its time stamp."""

    def denied(path: Path) -> str:
        if path == two_days.path(2):
            raise PermissionError(13, "Permission denied")
        return content_hash(path)

    two_days.land(2, 2)
    with pytest.MonkeyPatch.context() as patch:
        for module in (landing, raw, reading):
            patch.setattr(module, "content_hash", denied)
        two_days.launch(two_days.tick(SENSOR).only)
        quiet = two_days.tick(SENSOR)
        assert not quiet.requests
        quiet = two_days.tick(SENSOR, quiet.cursor)
        assert not quiet.requests
    assert between_of(two_days.tick(SENSOR, quiet.cursor).only) == span(2, 2)
