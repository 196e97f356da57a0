"""What a backtest of retraining replays: a model's versions, how each did on every cutoff since, what each day showed."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from ml_assets.evaluation.arrays import Floats, labels_of
from ml_assets.evaluation.metrics import metrics_of
from ml_assets.instance import progress
from ml_assets.lake import Between, Lake, confined, seal
from ml_assets.monitoring.act.evidence import FoundLoss, estimated_loss, realised_loss
from ml_assets.monitoring.loss.estimate import estimate
from ml_assets.monitoring.loss.reference import Reference, build_reference
from ml_assets.monitoring.loss.verdict import CohortVerdict, judge_cohort
from ml_assets.monitoring.measure.drift import judge_day, measure
from ml_assets.monitoring.measure.profile import FeatureProfile
from ml_assets.monitoring.rehearse.backtest import (
    DAY,
    WEEK,
    BacktestError,
    Candidate,
    DaySignal,
    History,
    Outcome,
    Result,
    Yardstick,
    assess,
    never,
    oracle,
    triggered,
    weekly,
)
from ml_assets.pipeline.holdout import holdout_of
from ml_assets.pipeline.kept import AsTrained
from ml_assets.pipeline.scorer import Scorer
from ml_assets.pipeline.steps.drift import profiles_of
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.verdicts import newest_candidates
from ml_assets.training.frames import check_frame

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.registry.mlflow_registry import Registry
    from ml_assets.training.predictor import Scores


@dataclass(frozen=True)
class Backtest:
    """A model's history and what each strategy made of it, in the order they are shown."""

    history: History
    yardstick: Yardstick
    results: tuple[Result, ...]


def backtest(
    con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, registry: "Registry"
) -> Backtest:
    """Replay the model's history under every strategy. Nothing is written.

    Raises BacktestError where too little is on record; LakeError, RegistryError or ProfileError where what is on
    record can't be read, CannotRun where a version was trained on other features than there are now.
    """
    spec = model.spec
    with progress.phase("trying every version on the labels since its cutoff"):
        tried = _try_versions(con, model, lake, registry)
    history = History(model.name, tried.candidates, tried.outcomes, spec.label.horizon, spec.gates.margin)
    yardstick = Yardstick.of(spec.monitoring)
    progress.say(f"{len(history.days)} days, {history.days[0]} to {history.days[-1]}")
    with progress.phase("replaying the days"):
        replayed = (
            never(history),
            weekly(history),
            triggered(history, spec.monitoring, _Days(con, model, lake, tried).signal),
            oracle(history, yardstick.gain),
        )
    return Backtest(history, yardstick, tuple(assess(history, each, yardstick) for each in replayed))


@dataclass(frozen=True)
class _Tried:
    """The versions on record, by cutoff, and how each did on the labels of every cutoff since its own."""

    candidates: tuple[Candidate, ...]
    scorers: dict[int, Scorer] = field(default_factory=dict)
    references: dict[int, Reference] = field(default_factory=dict)
    verdicts: dict[tuple[int, date], CohortVerdict] = field(default_factory=dict)
    outcomes: dict[tuple[int, date], Outcome] = field(default_factory=dict)


def _try_versions(
    con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, registry: "Registry"
) -> _Tried:
    tables = model.tables(lake)
    if not tables.candidate.exists:
        raise BacktestError(
            f"{model.name} has no candidate on record; a backtest needs two. Run `ml-assets materialize --cutoffs 30`."
        )
    newest = newest_candidates(con, tables.candidate)
    tried = _Tried(tuple(_candidate(model, cutoff, version) for cutoff, version in newest.items()))
    snapshot = model.group.snapshot(lake)
    snapshots = snapshot.marks()
    for candidate in progress.counted(tried.candidates, "versions loaded"):
        scorer = Scorer.of(model, registry, registry.version(model.name, candidate.version))
        if snapshots:
            scorer.definitions(AsTrained(snapshot), (candidate.cutoff, max(snapshots)))
        tried.scorers[candidate.version] = scorer
    labelled = tables.labels.read(con, columns=["as_of"]).distinct().order("as_of").fetchall()
    cutoffs = [day for (day,) in labelled if newest and day >= min(newest)]
    for cutoff in progress.counted(cutoffs, "cutoffs"):
        _try_on(tried, model, holdout_of(con, model, lake, cutoff), cutoff)
    return tried


def _candidate(model: DeclaredModel, cutoff: date, version: int) -> Candidate:
    label = model.spec.label
    learnt = model.spec.cutoffs.before(cutoff - label.horizon, model.spec.train.history)
    return Candidate(version, cutoff, cutoff + label.horizon, frozenset([*learnt, cutoff]))


def _try_on(tried: _Tried, model: DeclaredModel, holdout: "pd.DataFrame", cutoff: date) -> None:
    """Add what every version that knew nothing of the labels of a cutoff did on them; nothing if none is defined."""
    spec, target = model.spec, model.spec.label.target
    labels = labels_of(target, holdout)
    for candidate in (c for c in tried.candidates if c.cutoff <= cutoff):
        version = candidate.version
        scores = tried.scorers[version].score(holdout)
        said = _said(scores)
        if cutoff == candidate.cutoff:
            tried.references[version] = build_reference(
                target, labels, said, cutoff=cutoff, model_version=version
            )
        reference = (
            tried.references.get(version) or f"the labels of its own cutoff {candidate.cutoff} are gone"
        )
        verdict = judge_cohort(target, labels, said, reference, None, spec.monitoring)
        if verdict.loss is None:
            continue
        columns = scores.columns("candidate")
        metrics = metrics_of(target, holdout[["label"]].assign(**columns), "candidate")
        worse = realised_loss(asdict(verdict) | {"as_of": cutoff})
        tried.verdicts[version, cutoff] = verdict
        tried.outcomes[version, cutoff] = Outcome(
            verdict.loss, float(metrics[spec.gates.metric_of(target)]), worse
        )


def _said(scores: "Scores") -> Floats:
    """What scores say, as losses are measured: expected labels, or the probabilities of several classes."""
    return scores.expected if scores.classes is None else scores.classes


class _Days:
    """What the snapshot of a day says of a version, as the assets drift and predictions would have found it."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, tried: _Tried
    ) -> None:
        self.con, self.model, self.lake, self.tried = con, model, lake, tried
        self.profiles: dict[int, Sequence[FeatureProfile]] = {}
        self.week: _Week | None = None

    def signal(self, version: int, day: date, cohort: date | None) -> DaySignal | None:
        """The day's verdict and drifts, and the estimated loss if it is too much and nothing speaks against it."""
        if version not in self.profiles:
            progress.say(f"{day}: version {version} is in use")
            self.profiles[version] = profiles_of(self.con, self.model.tables(self.lake), version)
        frame, scores = self._scored(version, day)
        if scores is None:
            return None
        policy = self.model.spec.monitoring
        rows = self.con.from_df(frame.assign(score=scores.expected))
        drifts = measure(self.con, rows, self.profiles[version], policy)
        return DaySignal(judge_day(drifts, policy), drifts, self._estimated(version, scores, cohort))

    def _scored(self, version: int, day: date) -> "tuple[pd.DataFrame, Scores | None]":
        """The population of a day and its scores, None of nobody; both are made for a week at a time."""
        if self.week is None or not self.week.first <= day < self.week.first + WEEK:
            self.week = _Week(day, self._population((day, day + WEEK - DAY)))
        week = self.week
        rows = (week.frame["as_of"].dt.date == day).to_numpy()
        if not rows.any():
            return week.frame[rows], None
        if version not in week.scores:
            week.scores[version] = self.tried.scorers[version].score(week.frame)
        return week.frame[rows], week.scores[version].of(rows)

    def _population(self, between: Between) -> "pd.DataFrame":
        model = self.model
        with confined() as apart:
            snapshot = model.group.snapshot(self.lake).read(apart, between=between)
            seal(apart)
            frame = snapshot.filter(model.spec.population).df()
        return check_frame(frame, model.group.feature_types, entity=model.entity, target=None)

    def _estimated(self, version: int, scores: "Scores", cohort: date | None) -> FoundLoss | None:
        reference = self.tried.references.get(version)
        if reference is None:
            return None
        verdict = self.tried.verdicts.get((version, cohort)) if cohort else None
        last = asdict(verdict) | {"as_of": cohort} if verdict else None
        spec = self.model.spec
        found = estimate(spec.label.target, reference, _said(scores), spec.monitoring, last)
        return estimated_loss(found, reference)


@dataclass(frozen=True)
class _Week:
    """The population of seven days, and its scores by version."""

    first: date
    frame: "pd.DataFrame"
    scores: "dict[int, Scores]" = field(default_factory=dict)


def written(found: Backtest, model: DeclaredModel, folder: Path) -> Path:
    """Write the page of a backtest and its plot to a folder, each whole or not at all; return the page's path."""
    from ml_assets.monitoring.show.backtest_plot import backtest_plot
    from ml_assets.monitoring.show.backtest_text import backtest_text

    metric = model.spec.gates.metric_of(model.spec.label.target)
    text = backtest_text(found.history, found.results, found.yardstick, metric)
    page, plot = folder / f"{model.name}.md", folder / f"{model.name}.png"
    folder.mkdir(parents=True, exist_ok=True)
    _write(plot, backtest_plot(found.history, found.results))
    _write(page, f"{text}\n![Loss by strategy]({plot.name})\n".encode())
    return page


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)
