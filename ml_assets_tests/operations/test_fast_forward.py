"""All sensors of a project until they are quiet, as the daemon would have them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.instance.alerts import alerts_file
from ml_assets.operations.fast_forward import FastForward, NeverQuiet, Ran
from ml_assets_tests.house import SOURCE, House, alerts_in, failures

LAST = 70


def made_by(sensors: list[dg.SensorDefinition], instance: dg.DagsterInstance, **more: object) -> FastForward:
    defs = dg.Definitions(sensors=sensors, **more)  # type: ignore[arg-type]
    return FastForward(defs.get_repository_def(), instance, dict)


@dg.asset
def thing() -> None: ...


RUNNING = dg.DefaultSensorStatus.RUNNING


@pytest.mark.slow
def test_a_new_day_goes_all_the_way_and_then_it_is_quiet(finished: House) -> None:
    forward = finished.forward
    forward.listen()
    finished.land(LAST + 1, LAST + 1)
    done = list(forward.until_quiet())
    assert all(ran.result.success for ran in done), [failures(ran.result) for ran in done]
    made = {key.to_user_string() for ran in done for key in ran.assets}
    assert made >= {"visits/events", "visitor_features/snapshot", "churn/predictions", "churn/drift"}
    assert list(forward.until_quiet()) == []
    assert "no new or changed file among" in forward.skipped["visits_landing"]
    assert not alerts_in(alerts_file())


def test_a_failed_run_is_told_once_and_earlier_ones_never(finished: House) -> None:
    finished.path(LAST + 1).write_bytes(b"nothing to be read")
    assert not finished.run(SOURCE, LAST + 1).success
    forward = finished.forward
    forward.listen()
    finished.path(LAST + 2).write_bytes(b"nothing to be read either")
    (ran,) = forward.until_quiet()
    assert not ran.result.success
    (alert,) = alerts_in(alerts_file())
    assert alert["run"] == ran.run.run_id
    assert "no Parquet file" in alert["message"]
    assert list(forward.until_quiet()) == []


def test_cursors_are_kept_between_ticks_and_a_run_key_is_good_for_one_run(tmp_path: Path) -> None:
    seen: list[str | None] = []

    @dg.sensor(target=[thing], default_status=RUNNING)
    def counts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        seen.append(context.cursor)
        number = int(context.cursor or 0)
        return dg.SensorResult([dg.RunRequest(run_key=f"key {min(number, 1)}")], cursor=str(number + 1))

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        done = list(made_by([counts], instance, assets=[thing]).until_quiet())
        assert [ran.request.run_key for ran in done] == ["key 0", "key 1"]
        assert seen == [None, "1", "2"]
        assert [ran.run.tags["dagster/sensor_name"] for ran in done] == ["counts", "counts"]
        again = made_by([counts], instance, assets=[thing])
        assert list(again.until_quiet()) == [], "another process knows the keys that are used up"


def test_a_sensor_that_is_stopped_is_left_alone(tmp_path: Path) -> None:
    @dg.sensor(target=[thing])
    def stopped() -> dg.RunRequest:
        return dg.RunRequest()

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert list(made_by([stopped], instance, assets=[thing]).until_quiet()) == []


def test_a_sensor_that_asks_for_ever_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_assets.operations.fast_forward.ROUNDS", 3)

    @dg.sensor(target=[thing], default_status=RUNNING)
    def greedy() -> dg.RunRequest:
        return dg.RunRequest()

    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        pytest.raises(NeverQuiet, match="after 3 rounds sensors still ask for runs; the last: greedy: thing"),
    ):
        list(made_by([greedy], instance, assets=[thing]).until_quiet())


def test_schedules_run_at_their_times(tmp_path: Path) -> None:
    @dg.schedule(target=[thing], cron_schedule="0 6 * * 1", default_status=dg.DefaultScheduleStatus.RUNNING)
    def mondays(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(run_key=str(context.scheduled_execution_time.date()))

    @dg.schedule(target=[thing], cron_schedule="0 6 * * *")
    def stopped() -> dg.RunRequest:
        return dg.RunRequest()

    def keys(done: list[Ran]) -> list[str | None]:
        return [ran.request.run_key for ran in done]

    sunday = datetime(2024, 3, 3, tzinfo=UTC)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        forward = made_by([], instance, assets=[thing], schedules=[mondays, stopped])
        assert keys(list(forward.due(sunday, sunday + timedelta(days=1)))) == []
        done = list(forward.due(sunday, sunday + timedelta(days=10)))
        assert keys(done) == ["2024-03-04", "2024-03-11"]
        assert done[0].run.tags["dagster/schedule_name"] == "mondays"
        assert keys(list(forward.due(sunday, sunday + timedelta(days=10)))) == []
