"""What keeps all models watched: labels that mature, scores and drift of new days, performance of past ones.

One sensor for each kind of work asks for it of all models, so that there are few; what a person switches on and off by
model is the model's own sensor, which decides whether to retrain.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.requests import answer, ask, request_key
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.lake import Lake, as_ranges
from ml_assets.landing.raw import landed_through
from ml_assets.pipeline.definitions import of_labels
from ml_assets.pipeline.due.adoption import adopt
from ml_assets.pipeline.due.model import (
    day_to_report,
    days_to_score,
    stale_labels,
    stale_performance,
)
from ml_assets.pipeline.run import Run
from ml_assets.project.calendar import WEEK
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.promotion_log import champion_on_record

RUNNING = dg.DefaultSensorStatus.RUNNING
TAG = "ml_assets"

Outcome = dg.RunRequest | dg.SkipReason
Asking = Callable[
    [dg.SensorEvaluationContext, DeclaredModel, Lake, duckdb.DuckDBPyConnection], Iterable[Outcome]
]
"""What is asked for of one model. Whoever asks for nothing leaves the context's instance alone: it takes time to open."""


def sensors(models: Sequence[DeclaredModel]) -> list[dg.SensorDefinition]:
    """The sensors over all models; none where there are no models."""
    return [_sensor(kind, models) for kind in KINDS] if models else []


@dataclass(frozen=True)
class Kind:
    """One kind of work that every model needs now and then."""

    name: str
    description: str
    assets: tuple[str, ...]
    """What a run of it materializes of a model."""
    asks: Asking
    nothing: str
    """What is said where no model needs it."""
    seconds: int = 60


def _sensor(kind: Kind, models: Sequence[DeclaredModel]) -> dg.SensorDefinition:
    """The sensor that goes over the models: a fault of one holds up no other, and fails a tick that asks for nothing."""

    @dg.sensor(
        name=f"models_{kind.name}",
        description=kind.description,
        asset_selection=dg.AssetSelection.assets(
            *(key_of(model, name) for model in models for name in kind.assets)
        ),
        minimum_interval_seconds=kind.seconds,
        default_status=RUNNING,
    )
    def of_all(
        context: dg.SensorEvaluationContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.SensorResult | dg.SkipReason:
        outcomes: list[Outcome] = []
        faults: dict[str, Exception] = {}
        with connection(duckdb) as con:
            for model in models:
                try:
                    outcomes += kind.asks(context, model, lake.lake, con)
                except Exception as error:
                    faults[model.name] = error
                    context.log.error(f"{model.name}: {error}")
        if faults and not any(isinstance(outcome, dg.RunRequest) for outcome in outcomes):
            said = "; ".join(f"{name}: {error}" for name, error in faults.items())
            raise RuntimeError(said) from next(iter(faults.values()))
        return answer(outcomes, kind.nothing)

    return of_all


def _scoring(
    context: dg.SensorEvaluationContext, model: DeclaredModel, lake: Lake, con: duckdb.DuckDBPyConnection
) -> Iterable[Outcome]:
    """New snapshots, or a new champion -> predictions and drift of the days not scored yet."""
    champion = champion_on_record(con, model.tables(lake).promotions, model.name)
    if champion is None:
        yield dg.SkipReason(f"{model.name} has no champion yet")
        return
    snapshot = model.group.snapshot(lake)
    for first, last in as_ranges(days_to_score(model, lake, champion.version, None)):
        key = request_key(f"{model.name}/scoring", [champion.version, first, last, snapshot.version])
        yield ask(context.instance, key, between=(first, last), assets=_assets(model, SCORING))


def _labels(
    context: dg.SensorEvaluationContext, model: DeclaredModel, lake: Lake, con: duckdb.DuckDBPyConnection
) -> Iterable[Outcome]:
    """Mature cutoffs without labels, or whose events or definitions have changed -> labels of exactly these cutoffs."""
    source, table = model.source, model.tables(lake).labels
    adopt(con, Run(""), lake, model)
    wanted = stale_labels(model, lake, landed_through(con, source.tables(lake).files))
    if not wanted:
        return
    refused = source.refused(con, lake, (min(wanted), max(wanted)), (0, model.spec.label.days - 1))
    follows = [source.tables(lake).events.version, model.group.snapshot(lake).version, of_labels(model)]
    for first, last in as_ranges(wanted - set(refused), WEEK):
        key = request_key(f"{model.name}/labels", [first, last, follows, table.version])
        yield ask(context.instance, key, between=(first, last), assets=_assets(model, LABELS))


def _performance(
    context: dg.SensorEvaluationContext, model: DeclaredModel, lake: Lake, con: duckdb.DuckDBPyConnection
) -> Iterable[Outcome]:
    """Labels that have matured, or changed, of days that were scored -> performance of those cutoffs."""
    tables = model.tables(lake)
    for first, last in as_ranges(stale_performance(model, lake), WEEK):
        facts = [first, last, tables.labels.version, tables.performance.version]
        key = request_key(f"{model.name}/performance", facts)
        yield ask(context.instance, key, between=(first, last), assets=_assets(model, PERFORMANCE))


def _report(
    context: dg.SensorEvaluationContext, model: DeclaredModel, lake: Lake, con: duckdb.DuckDBPyConnection
) -> Iterable[Outcome]:
    """A newest watched day that is breached or broken -> Evidently's report of that day."""
    due = day_to_report(con, model.tables(lake))
    if due is not None:
        day, version = due
        key = request_key(f"{model.name}/drift_report", [version, day])
        yield ask(context.instance, key, between=(day, day), assets=_assets(model, REPORT))


def _assets(model: DeclaredModel, kind: Kind) -> list[dg.AssetKey]:
    return [key_of(model, name) for name in kind.assets]


LABELS = Kind(
    "labels",
    "Asks for the labels of cutoffs that have matured, and of those that late or corrected events, or another "
    "declaration of label or population, touch.",
    ("labels",),
    _labels,
    "every mature cutoff has labels as new as its events, and as they are declared",
)
SCORING = Kind(
    "scoring",
    "Asks for predictions and drift of snapshots the champion has not scored, or that changed since; of a new champion, "
    "for the newest.",
    ("predictions", "drift"),
    _scoring,
    "every champion has scored every snapshot as it is",
    seconds=30,
)
PERFORMANCE = Kind(
    "performance",
    "Asks for the performance of cutoffs whose labels have matured, or whose labels or scores changed.",
    ("performance",),
    _performance,
    "every scored cutoff with mature labels has its performance",
)
REPORT = Kind(
    "drift_reports",
    "Asks for Evidently's report of the newest day if it is breached or broken.",
    ("drift_report",),
    _report,
    "the newest day is neither breached nor broken, or no day has been watched",
)
KINDS = (LABELS, SCORING, PERFORMANCE, REPORT)
