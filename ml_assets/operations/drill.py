"""A drill: an incident happens to a scratch copy of the project, and everything that follows is written down.

The days land one after the other, and the project's own sensors and schedules do what they would do: nothing
here tells them what.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from ml_assets.components.shared.keys import key_of
from ml_assets.definitions import resources
from ml_assets.instance import progress
from ml_assets.instance.alerts import logged
from ml_assets.instance.refusal import Refusal
from ml_assets.lake import connect
from ml_assets.landing import Landing, Piece, by_day
from ml_assets.landing.withholding import breaches
from ml_assets.monitoring.rehearse.drills.incidents import DayOfRows, Incident
from ml_assets.monitoring.rehearse.drills.reaction import DrillVerdict, Fact, Kind, judge
from ml_assets.monitoring.rehearse.drills.roles import landing_columns
from ml_assets.monitoring.rehearse.drills.rows import Rows, read_file
from ml_assets.operations.fast_forward import FastForward, Ran
from ml_assets.operations.scratch import Scratch, alone, base_of, copy_of, fetch_into
from ml_assets.project.model import DeclaredModel
from ml_assets.project.project import Project
from ml_assets.project.source import Source
from ml_assets.registry.promotion_log import read_log

TAG = "ml_assets"
ROUTINE = ("first", "age")
"""Values of the tag ml_assets/trigger of a retrain that comes because time has passed."""
SEED = 7
SHOWN = 300
"""Characters of a message that are told."""


@dataclass(frozen=True)
class Stage:
    """What a drill is about: the files of a source, real ones, and a model that lives on them."""

    project: Project
    source: Source
    model: DeclaredModel
    landings: dict[str, tuple[Landing, dict[date, Piece]]]
    """Source -> its real landing, and what is there."""
    start: date
    """The incident's first day."""
    columns: Mapping[str, str]
    """Role -> landing column, of the roles the incident needs."""

    @property
    def last(self) -> date:
        """The last day of the source's real files."""
        return max(self.landings[self.source.name][1])


def set_up(
    project: Project,
    incident: Incident,
    *,
    source: str | None = None,
    model: str | None = None,
    start: date | None = None,
) -> Stage:
    """Choose what isn't given: the first model, the source of its label, the day two horizons before the last one.

    Raises Refusal where there is nothing to choose from or no file around the day, and RolesError where the
    source doesn't say what columns the incident is about.
    """
    models = {name: m for name, m in project.models.items() if source in (None, *m.group.sources)}
    if not models or model not in (None, *models):
        wanted = " ".join(["model", *([model] if model else []), *(["on", source] if source else [])])
        raise Refusal(f"there is no {wanted} to watch; there are {', '.join(project.models) or 'none'}")
    bound = models[model or next(iter(models))]
    drilled = bound.group.sources[source] if source else bound.source
    landings = {
        name: (source.landing, by_day(source.landing.listed())) for name, source in project.sources.items()
    }
    days = landings[drilled.name][1]
    first = start or max(days) - 2 * bound.spec.label.horizon
    if not min(days) < first <= max(days):
        raise Refusal(
            f"{drilled.name} has files from {min(days)} to {max(days)}; a drill starts on a day after the first of "
            f"them, and {first} is none"
        )
    columns = landing_columns(
        drilled.contract, drilled.roles, bound.entity[0], incident.needs, incident=incident.name
    )
    return Stage(project, drilled, bound, landings, first, columns)


def rehearse(
    project: Project,
    incident: Incident,
    drills: Path,
    *,
    into: Path | None = None,
    source: str | None = None,
    model: str | None = None,
    start: date | None = None,
) -> DrillVerdict:
    """Set a drill up below the folder ``drills`` (its scratch in ``into``) and run it. Raises as ``set_up`` does."""
    stage = set_up(project, incident, source=source, model=model, start=start)
    with alone(drills):
        base = base_of(stage.project, stage.start, drills)
        scratch = copy_of(base, (into or drills / incident.name).resolve())
    progress.say(f"{incident.name}: {incident.means} In {scratch.root}.")
    with progress.phase(incident.name):
        return Drill(incident, stage, scratch).run()


@dataclass
class Drill:
    """One incident on one scratch."""

    incident: Incident
    stage: Stage
    scratch: Scratch
    seed: int = SEED
    facts: list[Fact] = field(default_factory=list)

    def run(self) -> DrillVerdict:
        """Land the days, let the sensors do their work, tell of it, and judge."""
        on = self.stage
        with self.scratch.opened() as (defs, instance):
            forward = FastForward(defs.get_repository_def(), instance, resources)
            forward.listen()
            watch = Watch(on, self.scratch, forward)
            batches = list(self.incident.batches(on.model.spec.label.days))
            for batch in progress.counted(batches, "landings"):
                days = [on.start + timedelta(days=n) for n in batch]
                if days[0] > on.last:
                    progress.say(f"the real files end on {on.last}, and the drill with them")
                    break
                landed = [name for number in batch for name in self._land(number)]
                progress.say(f"{_span(batch)}  {_span(days)}  landed {_named(landed)}")
                began = perf_counter()
                for line, fact in watch.follow(batch[-1], days):
                    progress.say(f"    {line}")
                    self.facts += [fact] if fact else []
                progress.say(f"    quiet after {perf_counter() - began:.1f} s")
        return judge(self.incident.expected, self.facts)

    @cached_property
    def _before(self) -> Rows:
        """The rows of the last day without the incident."""
        landing, listed = self.stage.landings[self.stage.source.name]
        day = max(day for day in listed if day < self.stage.start)
        return read_file(
            self.scratch.staged(self.stage.source.name) / listed[day].name, landing.delimiter
        ).rows

    def _land(self, number: int) -> Iterator[str]:
        """Land the files that come on a day, those of the drilled source as the incident leaves them."""
        for name, (landing, listed) in self.stage.landings.items():
            drilled = name == self.stage.source.name
            for own in self.incident.arriving(number) if drilled else [number]:
                item = listed.get(self.stage.start + timedelta(days=own))
                if item is None:
                    continue
                with TemporaryDirectory(dir=self.scratch.root) as aside:
                    path = fetch_into(landing, item, Path(aside))
                    if drilled:
                        file = read_file(path, landing.delimiter)
                        day = DayOfRows(file.rows, own, self._before, self.stage.columns, self.seed)
                        file.write(self.incident.change(day), path)
                    path.replace(self.scratch.staged(name) / item.name)
                yield item.name


@dataclass
class Watch:
    """Lets the sensors work, and finds out what they did: in words, and as facts to judge by."""

    stage: Stage
    scratch: Scratch
    forward: FastForward
    told: set[tuple[Any, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Take note of what is there already."""
        self.failing = _failing_now(self.forward)
        for _ in self._records(0):
            pass

    def follow(self, number: int, days: Sequence[date]) -> Iterator[tuple[str, Fact | None]]:
        """What happens after the files of ``days`` have landed, the last of which is day ``number`` of the drill."""
        for ran in self._work(days):
            yield from self._run(ran, number)
        yield from self._records(number)

    def _work(self, days: Sequence[date]) -> Iterator[Ran]:
        """The sensors, then the schedules of the mornings after these days, then the sensors again."""
        yield from self.forward.until_quiet()
        morning = datetime.combine(days[0] + timedelta(days=1), time.min, UTC)
        due = list(self.forward.due(morning, morning + timedelta(days=len(days))))
        yield from due
        if due:
            yield from self.forward.until_quiet()

    def _run(self, ran: Ran, number: int) -> Iterator[tuple[str, Fact | None]]:
        trained = key_of(self.stage.model, "candidate") in ran.assets
        trigger = ran.request.tags.get(f"{TAG}/trigger", "")
        fact = Fact(number, "retrain", trigger, ran.by) if trained and trigger not in ROUTINE else None
        yield f"{'done  ' if ran.result.success else 'FAILED'}  {ran.in_words}", fact
        for check in ran.result.get_asset_check_evaluations():
            name = f"{check.asset_key.to_user_string()} {check.check_name}"
            if check.passed or not self._is_new("check", number, name):
                continue
            blocks = check.blocking and check.severity is dg.AssetCheckSeverity.ERROR
            said = _said(check)
            counts = self._is_ours(check.asset_key) and not trained and name not in self.failing
            kind: Kind = "block" if blocks else "record"
            yield (
                f"{check.severity.value:<6}  {name}: {said}",
                Fact(number, kind, name, said) if counts else None,
            )

    def _is_ours(self, key: dg.AssetKey) -> bool:
        model = self.stage.model
        return key.path[0] in {*model.group.sources, model.group.name, model.name}

    def _records(self, number: int) -> Iterator[tuple[str, Fact | None]]:
        """What is new in the tables: withheld days, evidence, actions, moves of the champion, alerts."""
        lake, model = self.scratch.lake, self.stage.model
        tables = model.tables(lake)
        with connect() as con:
            for breach in breaches(con, self.stage.source.tables(lake)):
                if self._is_new("withheld", breach.day, breach.rule):
                    name = f"{self.stage.source.name} {breach.rule}"
                    yield (
                        f"withheld  {breach.day}: {breach.message}",
                        Fact(number, "block", name, breach.message),
                    )
            if tables.evidence.exists:
                for row in tables.evidence.read(con).order("as_of").to_arrow_table().to_pylist():
                    if self._is_new("evidence", row["evidence_id"]):
                        yield (
                            f"evidence  {row['reason']}",
                            Fact(number, "record", row["found_by"], row["reason"]),
                        )
            if tables.actions.exists:
                rows = tables.actions.read(con).filter("action <> 'nothing'").order('"at"')
                for row in rows.to_arrow_table().to_pylist():
                    if self._is_new("action", row["action"], row["why"]):
                        yield f"{row['action']:<8}  because of {row['trigger']}: {row['why']}", None
            for move in read_log(con, tables.promotions, model.name).moves:
                if self._is_new("move", move.at):
                    yield f"champion  {move.in_words()}", None
        for alert in logged():
            if self._is_new("alert", alert["at"], alert["key"]):
                yield f"alert   {_shortened(alert['message'])}", None

    def _is_new(self, *what: Any) -> bool:
        """Whether this is heard of for the first time."""
        new = what not in self.told
        self.told.add(what)
        return new


def _failing_now(forward: FastForward) -> set[str]:
    """The checks that fail without an incident; they say nothing about one."""
    keys = list(forward.repository.asset_graph.asset_check_keys)
    latest = forward.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    failed = AssetCheckExecutionRecordStatus.FAILED
    return {
        f"{k.asset_key.to_user_string()} {k.name}" for k, found in latest.items() if found.status == failed
    }


def _said(check: dg.AssetCheckEvaluation) -> str:
    text = check.description or "; ".join(f"{k}: {v.value}" for k, v in check.metadata.items())
    return _shortened(text)


def _shortened(text: str) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."


def _span(ends: Sequence[Any]) -> str:
    first, last = ends[0], ends[-1]
    word = "day " if isinstance(first, int) else ""
    return f"{word}{first}" if first == last else f"{word}{first} to {last}"


def _named(names: Sequence[str]) -> str:
    return (", ".join(names) if len(names) <= 3 else f"{names[0]} to {names[-1]}") or "nothing"
