import time
from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._utils.error import SerializableErrorInfo

from ml_assets.components.shared.alerts import run_failures
from ml_assets.definitions import resources
from ml_assets.instance import clock
from ml_assets.instance.alerts import alerts_file
from ml_assets_tests.house import SOURCE, House, alerts_in


@pytest.fixture
def failed(house: House) -> tuple[House, dg.ExecuteInProcessResult]:
    """A run that failed because nothing has landed."""
    result = house.run(SOURCE, 0, 4, tags={"ml_assets/request": "visits/landing:1"})
    assert not result.success
    return house, result


def report(house: House, result: dg.ExecuteInProcessResult) -> None:
    """Let the failure sensor see the run, as the daemon does."""
    run = house.instance.get_run_by_id(result.run_id)
    assert run is not None
    (event,) = [e for e in result.all_events if e.event_type_value == "PIPELINE_FAILURE"]
    with dg.build_sensor_context(
        instance=house.instance, repository_def=house.defs.get_repository_def(), resources=resources()
    ) as base:
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failures",
            dagster_event=event,
            dagster_instance=house.instance,
            dagster_run=run,
            context=base,
        ).for_run_failure()
        run_failures(context)


def test_a_failed_run_is_told(
    failed: tuple[House, dg.ExecuteInProcessResult],
) -> None:
    house, result = failed
    report(house, result)
    (alert,) = alerts_in(alerts_file())
    assert alerts_file() == house.home / "data" / "alerts.jsonl"
    assert alert["run"] == result.run_id
    assert alert["assets"] == sorted(SOURCE)
    assert alert["partitions"] == {
        "asset_partition_range_start": "2024-01-01",
        "asset_partition_range_end": "2024-01-05",
    }
    assert alert["reasons"] == {"ml_assets/request": "visits/landing:1"}
    assert f"the landing folder {house.landing} does not exist; land files there" in alert["message"]
    assert "Traceback" not in alert["message"]
    assert alert["next"].startswith(f"open /runs/{result.run_id} in the UI")


def test_a_failed_check_is_told_with_what_it_says(house: House) -> None:
    (house.landing).mkdir(parents=True, exist_ok=True)
    house.land(0, 3)
    house.path(1).write_bytes(b"no Parquet")
    result = house.run(SOURCE, 0, 3)
    assert not result.success
    report(house, result)
    (alert,) = alerts_in(alerts_file())
    assert "check visits/raw files_accepted: " in alert["message"]
    assert "DagsterAssetCheckFailedError" not in alert["message"]


def test_a_tick_that_fails_is_told_once(house: House) -> None:
    fail_tick(house, "visits_landing", "the disk is gone")
    tick = house.tick("tick_failures")
    assert tick.skip.startswith("visits_landing: log ")
    (alert,) = alerts_in(alerts_file())
    assert alert["title"] == "the sensor visits_landing fails"
    assert alert["message"] == "the disk is gone"
    assert alert["next"].startswith("open /automation in the UI, then visits_landing;")
    assert house.tick("tick_failures", tick.cursor).skip == "no tick has failed"
    fail_tick(house, "visits_landing", "the disk is gone")
    assert "told already at" in house.tick("tick_failures", tick.cursor).skip
    fail_tick(house, "visits_landing", "the disk is slow")
    house.tick("tick_failures")
    assert [a["message"] for a in alerts_in(alerts_file())] == ["the disk is gone", "the disk is slow"]


def test_a_tick_that_fails_after_the_clock_was_set_right_is_told(house: House) -> None:
    fail_tick(house, "visits_landing", "the disk is gone", ahead=1_000 * 86_400)
    tick = house.tick("tick_failures")
    fail_tick(house, "visits_landing", "the disk is slow")
    assert house.tick("tick_failures", tick.cursor).skip.startswith("visits_landing: log ")
    assert [a["message"] for a in alerts_in(alerts_file())] == ["the disk is gone", "the disk is slow"]


def test_what_a_channel_did_not_take_is_tried_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", "http://127.0.0.1:9/")
    fail_tick(house, "visits_landing", "the disk is gone")
    tick = house.tick("tick_failures")
    monkeypatch.delenv("ML_ASSETS_WEBHOOK")
    later = clock.now() + timedelta(minutes=1)
    with clock.at(lambda: later):
        assert house.tick("tick_failures", tick.cursor).skip == "no tick has failed"
    assert [a["told"] for a in alerts_in(alerts_file())] == [False, True]


def fail_tick(house: House, sensor: str, message: str, ahead: float = 0) -> None:
    """A failed tick on the instance, as the daemon writes it, by a clock that is ``ahead`` by seconds."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("ml_assets"), "__repository__")
    origin = RemoteInstigatorOrigin(repository, sensor)
    state = InstigatorState(
        origin, InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE, SensorInstigatorData()
    )
    if house.instance.get_instigator_state(state.instigator_origin_id, state.selector_id) is None:
        house.instance.add_instigator_state(state)
    house.instance.create_tick(
        TickData(
            instigator_origin_id=state.instigator_origin_id,
            instigator_name=sensor,
            instigator_type=InstigatorType.SENSOR,
            status=TickStatus.FAILURE,
            timestamp=time.time() + ahead,
            error=SerializableErrorInfo(f"{message}\n", [], "OSError"),
            selector_id=state.selector_id,
        )
    )
