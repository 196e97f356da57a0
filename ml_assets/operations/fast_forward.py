"""Dagster's daemon by hand: evaluate every sensor and schedule, run what they ask for, until all are quiet.

Everything is found in the repository: a new sensor takes part without being named here. Runs are executed in
this process, one after the other, so that a day of the project passes in seconds; on the same instance, with
the same tags and run keys as the daemon's.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, repeat

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG, SCHEDULE_NAME_TAG, SENSOR_NAME_TAG

from ml_assets.components.shared.partitions import between_of_run
from ml_assets.operations.in_process import execute

ROUNDS = 40
"""How often all sensors are evaluated before something must be wrong; a day of a model takes about six."""


class NeverQuiet(RuntimeError):
    """Sensors that ask for ever."""


@dataclass(frozen=True)
class Tick:
    """What one evaluation of a sensor or schedule gave."""

    requests: list[dg.RunRequest]
    skip: str
    cursor: str | None

    @property
    def only(self) -> dg.RunRequest:
        """The one request; AssertionError if there are more or none."""
        assert len(self.requests) == 1, (self.requests, self.skip)
        return self.requests[0]


@dataclass(frozen=True)
class Ran:
    """A run that a sensor or schedule has asked for."""

    by: str
    request: dg.RunRequest
    result: dg.ExecuteInProcessResult

    @property
    def run(self) -> dg.DagsterRun:
        """The run as the instance has it."""
        return self.result.dagster_run

    @property
    def assets(self) -> set[dg.AssetKey]:
        """The assets it was to materialize, whether or not it came so far."""
        return set(self.result.job_def.asset_layer.selected_asset_keys)

    @property
    def in_words(self) -> str:
        """Who asked for which assets, of which partitions."""
        names = ", ".join(sorted(key.to_user_string() for key in self.assets))
        between = between_of_run(self.run.tags)
        span = f" {between[0]} to {between[1]}" if between else ""
        return f"{self.by}: {names}{span}"


@dataclass
class FastForward:
    """The sensors and schedules of a repository on an instance, with what the daemon keeps between ticks.

    ``resources`` gives the resources of one tick. A new one has seen no failed run yet: ``listen`` before
    the first run that may fail.
    """

    repository: dg.RepositoryDefinition
    instance: dg.DagsterInstance
    resources: Callable[[], dict[str, object]]
    cursors: dict[str, str | None] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """Why each sensor or schedule last asked for nothing."""

    @property
    def sensors(self) -> Sequence[dg.SensorDefinition]:
        """All sensors that run unless somebody stops them."""
        running = dg.DefaultSensorStatus.RUNNING
        return [sensor for sensor in self.repository.sensor_defs if sensor.default_status == running]

    def tick(self, sensor: str, cursor: str | None = None) -> Tick:
        """Evaluate a sensor once with this cursor."""
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=cursor,
            repository_def=self.repository,
            resources=self.resources(),
            sensor_name=sensor,
        ) as context:
            found = self.repository.get_sensor_def(sensor).evaluate_tick(context)
        return Tick(list(found.run_requests or []), found.skip_message or "", found.cursor)

    def tick_schedule(self, schedule: str, at: datetime) -> Tick:
        """Evaluate a schedule once, as of a moment."""
        with dg.build_schedule_context(
            instance=self.instance,
            repository_def=self.repository,
            resources=self.resources(),
            scheduled_execution_time=at,
        ) as context:
            found = self.repository.get_schedule_def(schedule).evaluate_tick(context)
        return Tick(list(found.run_requests or []), found.skip_message or "", None)

    def launch(self, request: dg.RunRequest, by: str | None = None) -> dg.ExecuteInProcessResult:
        """Execute a request on the instance in this process, with the tags the daemon gives it.

        ``by`` names the sensor or schedule that asked; its target is run where the request names no job.
        """
        tags = {**request.tags, RUN_KEY_TAG: str(request.run_key)}
        job = request.job_name
        if by is not None:
            if self.repository.has_schedule_def(by):
                tags[SCHEDULE_NAME_TAG] = by
                job = job or self.repository.get_schedule_def(by).job_name
            else:
                tags[SENSOR_NAME_TAG] = by
                asked = self.repository.get_sensor_def(by)
                job = job or (asked.job_name if asked.targets else None)
        target = self.repository.get_job(job) if job else self.repository.get_implicit_global_asset_job_def()
        return execute(
            target,
            self.instance,
            assets=list(request.asset_selection) if request.asset_selection else None,
            tags=tags,
            run_config=request.run_config,
        )

    def listen(self) -> None:
        """Let the sensors that watch runs take note of where the instance's log ends now."""
        for sensor in self.sensors:
            if isinstance(sensor, dg.RunStatusSensorDefinition):
                self._watch(sensor.name)

    def until_quiet(self) -> Iterator[Ran]:
        """Evaluate all sensors in turn and run what they ask for, until none asks for anything.

        Raises NeverQuiet if that doesn't end.
        """
        sensors, quiet, last = self.sensors, 0, ""
        for sensor in chain.from_iterable(repeat(sensors, ROUNDS)):
            quiet += 1
            for ran in self._round(sensor):
                quiet, last = 0, ran.in_words
                yield ran
            if quiet == len(sensors):
                return
        if sensors:
            raise NeverQuiet(f"after {ROUNDS} rounds sensors still ask for runs; the last: {last}")

    def due(self, after: datetime, until: datetime) -> Iterator[Ran]:
        """Run what the schedules ask for at their times after ``after`` and up to ``until``."""
        for schedule in self.repository.schedule_defs:
            if schedule.default_status != dg.DefaultScheduleStatus.RUNNING:
                continue
            for at in _times(schedule, after, until):
                tick = self.tick_schedule(schedule.name, at)
                self.skipped[schedule.name] = tick.skip
                yield from self._run_new(schedule.name, tick)

    def _round(self, sensor: dg.SensorDefinition) -> Iterator[Ran]:
        if isinstance(sensor, dg.RunStatusSensorDefinition):
            while self._watch(sensor.name):
                pass
            return
        tick = self.tick(sensor.name, self.cursors.get(sensor.name))
        self.cursors[sensor.name] = tick.cursor
        self.skipped[sensor.name] = tick.skip
        yield from self._run_new(sensor.name, tick)

    def _watch(self, sensor: str) -> bool:
        """Let a sensor see the runs that have ended since its cursor; whether there were any."""
        before = self.cursors.get(sensor)
        self.cursors[sensor] = self.tick(sensor, before).cursor or before
        return before is not None and self.cursors[sensor] != before

    def _run_new(self, name: str, tick: Tick) -> Iterator[Ran]:
        """Run the requests whose run key the sensor has not used yet: a key is good for one run, for ever."""
        for request in tick.requests:
            if not (request.run_key and self._used(name, request.run_key)):
                yield Ran(name, request, self.launch(request, name))

    def _used(self, name: str, key: str) -> bool:
        runs = self.instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: key}))
        return any(name in (run.tags.get(SENSOR_NAME_TAG), run.tags.get(SCHEDULE_NAME_TAG)) for run in runs)


def _times(schedule: dg.ScheduleDefinition, after: datetime, until: datetime) -> Iterator[datetime]:
    """The times of a schedule after one moment and up to another."""
    from dagster._utils.schedules import cron_string_iterator

    crons = [schedule.cron_schedule] if isinstance(schedule.cron_schedule, str) else schedule.cron_schedule
    for cron in crons:
        start = (after + timedelta(seconds=1)).timestamp()
        for at in cron_string_iterator(start, cron, schedule.execution_timezone or "UTC"):
            if at > until:
                break
            yield at


def quieten() -> None:
    """Keep Dagster's loggers out of the terminal; the instance has all they say."""
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
