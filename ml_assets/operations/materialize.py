"""Materialize the whole graph from a script: phase by phase, each a range run, only what is missing."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from ml_assets.components.model.checks import CHAMPION_USABLE
from ml_assets.components.shared import maintenance
from ml_assets.components.shared.keys import key_of, keys_of
from ml_assets.components.shared.partitions import range_tags
from ml_assets.instance import progress
from ml_assets.lake import Between, Lake, as_ranges, connect
from ml_assets.landing import LandingUnavailable, NoLandingFiles, by_day
from ml_assets.landing.raw import landed_through
from ml_assets.landing.withholding import withheld
from ml_assets.operations.in_process import execute
from ml_assets.pipeline.book import book_of
from ml_assets.pipeline.due.adoption import adopt
from ml_assets.pipeline.due.features import buildable_days, edges
from ml_assets.pipeline.due.landing import BRIDGED, due_days, passed_over
from ml_assets.pipeline.due.model import days_to_score, stale_evaluations, stale_labels, stale_performance
from ml_assets.pipeline.run import Run
from ml_assets.project.calendar import WEEK
from ml_assets.project.model import DeclaredModel
from ml_assets.project.project import Project
from ml_assets.registry.aliases import announces
from ml_assets.registry.in_use import trouble
from ml_assets.registry.mlflow_registry import Registry
from ml_assets.registry.promotion_log import read_log


@dataclass(frozen=True)
class Phase:
    """One run to make: which assets, for which range of partitions."""

    title: str
    assets: tuple[dg.AssetKey, ...]
    between: Between | None
    checks: tuple[dg.AssetCheckKey, ...] | None = None
    """Run these checks alone, without materializing."""
    if_refused: Literal["stop", "go on", "accept"] = "stop"
    """Withheld and broken days are a fault, but what comes after can ``go on`` with the other days; that a gate fails
    is an answer to ``accept``."""

    blocked: str = ""
    """Why it can't be begun, in words."""

    @property
    def in_words(self) -> str:
        """The title, and the range if there is one."""
        return f"{self.title}  {self.between[0]} to {self.between[1]}" if self.between else self.title


MAINTENANCE = Phase("maintenance of the lake", (maintenance.KEY,), None, if_refused="go on")


@dataclass(frozen=True)
class Done:
    """How a phase went."""

    phase: Phase
    success: bool
    seconds: float
    messages: tuple[str, ...]
    crashed: bool = False
    """Whether an error ended it that nobody raised on purpose."""

    @property
    def is_failure(self) -> bool:
        """Whether the command that asked for it has failed."""
        return self.crashed or (not self.success and self.phase.if_refused != "accept")

    @property
    def ended(self) -> str:
        """How, in a word."""
        return "done" if self.success else "failed" if self.is_failure else "refused"

    @property
    def record(self) -> dict[str, object]:
        """What is to be kept of it: plain values by name."""
        first, last = self.phase.between or (None, None)
        return {
            "phase": self.phase.title,
            "first": first,
            "last": last,
            "outcome": self.ended,
            "seconds": round(self.seconds, 1),
            "messages": self.messages,
        }


def phases(
    project: Project,
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    lake: Lake,
    registry: Registry,
    cutoffs: int,
) -> Iterator[Phase]:
    """What there is to do, in order; each phase is worked out after the one before it has run.

    Models are only trained on tables whose blocking checks have passed: where one failed or never ran, it
    is run again first.
    """
    with connect() as con:
        adopt(
            con, Run(""), lake, *project.sources.values(), *project.groups.values(), *project.models.values()
        )
    for name in _referred_first(project):
        yield from _source_phases(project, lake, name)
    for group in project.groups.values():
        for edge in edges(group, lake):
            with connect() as con:
                due, _ = buildable_days(con, lake, group, edge)
            folder, asset = edge.downstream.name.split("/")
            keys = tuple(dg.AssetKey(name.split("/")) for name in edge.assets)
            for between in as_ranges(due):
                yield Phase(f"{folder}: {asset}", keys, between)
    yield from _unpassed_checks(project, defs, instance, lake)
    for model in project.models.values():
        yield from _model_phases(model, instance, lake, registry, cutoffs)
    if maintenance.is_due(instance):
        yield MAINTENANCE


def _unpassed_checks(
    project: Project, defs: dg.Definitions, instance: dg.DagsterInstance, lake: Lake
) -> Iterator[Phase]:
    """The blocking checks of sources and features that did not pass when they last ran.

    Of a source that has no events yet, and of features that wait for it, there is nothing to check.
    """
    begun = {name for name, source in project.sources.items() if source.tables(lake).events.exists}
    folders = begun | {name for name, group in project.groups.items() if begun.issuperset(group.sources)}
    specs = [spec for checks in defs.asset_checks or () for spec in checks.check_specs]
    wanted = [spec.key for spec in specs if spec.blocking and spec.asset_key.path[0] in folders]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(wanted)
    passed = AssetCheckExecutionRecordStatus.SUCCEEDED
    waiting = tuple(key for key in wanted if key not in latest or latest[key].status != passed)
    if waiting:
        yield Phase("checks that have not passed yet", (), None, checks=waiting)


def _referred_first(project: Project) -> list[str]:
    """The sources, each after those that its contract refers to, as far as they don't refer to each other."""
    ordered: dict[str, None] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        for other in project.sources[name].contract.references:
            if other in project.sources and other not in above:
                add(other, (*above, name))
        ordered.setdefault(name)

    for name in project.sources:
        add(name, (name,))
    return list(ordered)


def _source_phases(project: Project, lake: Lake, name: str) -> Iterator[Phase]:
    """What a source has to do; where its landing can't be asked, that is told and the others go on."""
    source = project.sources[name]

    def phase(between: Between | None, blocked: str = "", first: int = 0) -> Phase:
        assets = ("raw", "events", "quarantine")[first:]
        title, keys = f"{name}: {', '.join(assets)}", tuple(keys_of(source, *assets))
        return Phase(title, keys, between, if_refused="go on", blocked=blocked)

    try:
        listed = source.landing.listed()
        with connect() as con:
            due = due_days(con, source, lake, by_day(listed))
    except (NoLandingFiles, LandingUnavailable) as error:
        yield phase(None, str(error))
        return
    if told := passed_over(source, listed):
        progress.say(f"{name}: in {source.landing.place}, {told}")
    for between in as_ranges(set(due.days), BRIDGED):
        yield phase(between, first=1 if due.from_raw(between) else 0)


def _model_phases(
    model: DeclaredModel, instance: dg.DagsterInstance, lake: Lake, registry: Registry, cutoffs: int
) -> Iterator[Phase]:
    with connect() as con:
        landed = landed_through(con, model.source.tables(lake).files)
    newest = model.newest_mature(landed) if landed else None
    if newest is None:
        return
    wanted = model.cutoffs.between(model.cutoffs.first, newest)
    for between in as_ranges(stale_labels(model, lake, landed) & set(wanted), WEEK):
        yield Phase(f"{model.name}: labels", (key_of(model, "labels"),), between)
    chain = tuple(key_of(model, asset) for asset in ("training_set", "candidate", "evaluation"))
    for between in as_ranges(stale_evaluations(model, lake, wanted[-cutoffs:]), WEEK):
        yield Phase(f"{model.name}: training_set, candidate, evaluation", chain, between, if_refused="accept")
    if _something_to_promote(model, lake, registry):
        yield Phase(f"{model.name}: champion", (key_of(model, "champion"),), None)
    yield from _use_phases(model, instance, lake, registry)


def _use_phases(
    model: DeclaredModel, instance: dg.DagsterInstance, lake: Lake, registry: Registry
) -> Iterator[Phase]:
    tables = model.tables(lake)
    with connect() as con:
        log = read_log(con, tables.promotions, model.name)
    if trouble(registry, log):
        usable = dg.AssetCheckKey(key_of(model, "champion"), CHAMPION_USABLE)
        yield Phase(f"{model.name}: the champion can't be used", (), None, (usable,), if_refused="go on")
        return
    if log.champion is None or log.cutoff is None:
        return
    wanted = days_to_score(model, lake, log.champion, log.cutoff)
    watching = tuple(key_of(model, asset) for asset in ("predictions", "drift"))
    for between in as_ranges(wanted):
        yield Phase(f"{model.name}: predictions, drift", watching, between, if_refused="go on")
    for between in as_ranges(stale_performance(model, lake), WEEK):
        yield Phase(f"{model.name}: performance", (key_of(model, "performance"),), between)
    scored = max(tables.predictions.marks(), default=None)
    report = key_of(model, "drift_report")
    if scored and str(scored) not in instance.get_materialized_partitions(report):
        yield Phase(f"{model.name}: drift_report", (report,), (scored, scored), if_refused="go on")


def _something_to_promote(model: DeclaredModel, lake: Lake, registry: Registry) -> bool:
    with connect() as con:
        book = book_of(con, model, lake, registry)
        found = book.plan()
        nobody = book.log().champion is None and found.challenger is None
        return bool(found.promote) or nobody or not announces(book)


def run_phase(defs: dg.Definitions, instance: dg.DagsterInstance, phase: Phase) -> Done:
    """Execute a phase as one run in this process, on the given instance."""
    if phase.blocked:
        return Done(phase, False, 0.0, (phase.blocked,))
    started = time.perf_counter()
    if phase.checks is not None:
        selection = dg.AssetSelection.checks(*phase.checks)
        jobs = dg.Definitions(jobs=[dg.define_asset_job("asset_checks", selection=selection)])
        job, assets = dg.Definitions.merge(defs, jobs).resolve_job_def("asset_checks"), None
    else:
        job, assets = defs.resolve_implicit_global_asset_job_def(), list(phase.assets)
    result = execute(job, instance, assets=assets, tags=range_tags(*phase.between) if phase.between else {})
    failed = [
        c
        for c in result.get_asset_check_evaluations()
        if not c.passed and c.blocking and c.severity is dg.AssetCheckSeverity.ERROR
    ]
    seconds = time.perf_counter() - started
    return Done(
        phase, result.success and not failed, seconds, tuple(_messages(result)), any(_crashes(result))
    )


def _crashes(result: dg.ExecuteInProcessResult) -> Iterator[bool]:
    """Of every step that failed, whether that was neither a failed check nor a failure raised in words."""
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error is not None:
            error = event.step_failure_data.error.cause or event.step_failure_data.error
            in_words = event.step_failure_data.user_failure_data is not None
            yield not in_words and error.cls_name != "DagsterAssetCheckFailedError"


def _messages(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    """In words: what failed and which checks did not pass."""
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error is not None:
            error = event.step_failure_data.error.cause or event.step_failure_data.error
            if error.cls_name != "DagsterAssetCheckFailedError":
                yield f"{event.step_key}: {error.message.strip()}"
    for check in result.get_asset_check_evaluations():
        if not check.passed:
            said = check.description or "; ".join(f"{k}: {v.value}" for k, v in check.metadata.items())
            yield f"{check.severity.value} {check.asset_key.to_user_string()} {check.check_name}: {said}"


def materialize(
    project: Project,
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    lake: Lake,
    registry: Registry,
    *,
    cutoffs: int,
) -> list[Done]:
    """Run every phase that has something to do, telling of each; stop at the first that fails and can't be done without.

    Returns what was done, and days that are still withheld; the command failed if any of it ``is_failure``.
    """
    done: list[Done] = []
    for phase in phases(project, defs, instance, lake, registry, cutoffs):
        outcome = told(defs, instance, phase)
        done.append(outcome)
        if outcome.crashed or (not outcome.success and phase.if_refused == "stop"):
            return done
    if not any(phase.is_failure for phase in done):
        done += [_held(name, messages) for name, messages in still_withheld(project, lake).items()]
    for model in project.models.values():
        if waiting := _waits_for(model, lake) or _waits_for_approval(model, lake, registry):
            progress.say(f"{model.name}: {waiting}")
    return done


def told(defs: dg.Definitions, instance: dg.DagsterInstance, phase: Phase) -> Done:
    """Execute a phase, and say so."""
    progress.begin(phase.in_words)
    outcome = run_phase(defs, instance, phase)
    for message in outcome.messages:
        progress.say(message)
    progress.end(outcome.ended)
    return outcome


def _held(source: str, messages: tuple[str, ...]) -> Done:
    """Days that an earlier run withheld are as much a failure as those that this one did."""
    progress.begin(f"{source}: withheld days")
    for message in messages:
        progress.say(message)
    progress.end("failed")
    return Done(Phase(f"{source}: withheld days", (), None), False, 0.0, messages)


def still_withheld(project: Project, lake: Lake) -> dict[str, tuple[str, ...]]:
    """The sources with days that nothing may read now, and in words which, why, and what to do about each."""
    found = {}
    for name, source in project.sources.items():
        with connect() as con:
            held = withheld(con, source.tables(lake))
        if held:
            found[name] = tuple(
                f"{day} is withheld: {why}. Land its right file, or: ml-assets data waive {name} {day} --why TEXT "
                "--until DAY"
                for day, why in held.items()
            )
    return found


def _waits_for_approval(model: DeclaredModel, lake: Lake, registry: Registry) -> str:
    """Which version a person has to approve, in words; empty if none."""
    with connect() as con:
        version = book_of(con, model, lake, registry).plan().challenger
    return (
        f"version {version} passed and waits: ml-assets models approve {model.name} --why TEXT"
        if version
        else ""
    )


def _waits_for(model: DeclaredModel, lake: Lake) -> str:
    """What a model without a single mature cutoff waits for, in words; empty if it has one."""
    with connect() as con:
        landed = landed_through(con, model.source.tables(lake).files)
    if landed is not None and model.newest_mature(landed) is not None:
        return ""
    first = model.spec.cutoffs.start
    last = first + model.spec.label.horizon - timedelta(days=1)
    return (
        f"there is no champion, because no cutoff has mature labels yet. Events have landed through {landed}; "
        f"the first cutoff, {first}, matures once {last} has landed"
    )
