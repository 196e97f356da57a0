"""Replay a model's history under four ways of retraining: what each would have cost, and lost.

Every version on record is tried on the labels of every cutoff since its own, so that what would have been in use
can be told from what was. A version of cutoff c is there from the day the labels of its holdout are mature, c plus
the horizon; it takes over unless, on its own holdout, it is worse than the version in use by more than the gates'
margin. Each cutoff with labels stands for its week: a day loses what the version in use on that day loses on the
newest cutoff.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from itertools import accumulate
from statistics import fmean
from typing import Literal, NamedTuple

from ml_assets.instance import progress
from ml_assets.monitoring.act.decide import Attempt, Champion, Situation, Trigger, decide
from ml_assets.monitoring.act.evidence import Evidence, FoundLoss, drift_evidence, loss_evidence
from ml_assets.monitoring.loss.diagnosis import diagnose
from ml_assets.monitoring.measure.drift import DayVerdict, FeatureDrift
from ml_assets.monitoring.spec import MonitoringPolicy

Strategy = Literal["never", "weekly", "drift", "oracle"]
WEEK = timedelta(days=7)
DAY = timedelta(days=1)
NAN = float("nan")
ROUNDING = 1e-9


class BacktestError(Exception):
    """A history too short to be replayed; the message says what is there and what to do."""


class Outcome(NamedTuple):
    """How a version does on the labels of a cutoff: its normalised loss, and the metric of the gates.

    ``worse`` is what has been lost since the version's own holdout, if that is more than the policy allows.
    """

    loss: float
    metric: float
    worse: FoundLoss | None = None


@dataclass(frozen=True)
class Candidate:
    """A version on record, the day it is there, and the cutoffs it was made of: those it learnt from, and its own."""

    version: int
    cutoff: date
    available: date
    learnt: frozenset[date] = frozenset()


class DaySignal(NamedTuple):
    """What a day's snapshot says of a version: its verdict, and the estimated loss if that is too much."""

    verdict: DayVerdict
    drifts: Sequence[FeatureDrift]
    loss: FoundLoss | None


Signals = Callable[[int, date, date | None], DaySignal | None]
"""Version, day, and the newest cohort of the version with mature labels -> what the day says; None without data."""


@dataclass(frozen=True)
class History:
    """All that is on record about a model.

    ``outcomes`` has every version on every cutoff with labels since its own, (version, cutoff) -> Outcome; a cutoff
    whose labels define no loss is left out. ``margin`` is how much of the metric a candidate may be worse by on its
    own holdout. Raises BacktestError if no second version, or no cutoff while the first is in use, is on record.
    """

    model: str
    candidates: tuple[Candidate, ...]
    outcomes: Mapping[tuple[int, date], Outcome]
    horizon: timedelta
    margin: float

    def __post_init__(self) -> None:
        if len(self.candidates) < 2 or not self.cutoff_of:
            newest = f", the newest with labels is {self.cutoffs[-1]}" if self.cutoffs else ""
            of = ", ".join(str(c.cutoff) for c in self.candidates) or "none"
            raise BacktestError(
                f"A backtest of {self.model} needs two candidates on record, and labels of a cutoff at which the "
                f"first was there, {self.horizon.days} days after its own or later; there are candidates of cutoffs "
                f"{of}{newest}. Run `ml-assets materialize --cutoffs 30`, or land more days."
            )

    @cached_property
    def cutoffs(self) -> list[date]:
        """The cutoffs with labels, oldest first."""
        return sorted({cutoff for _, cutoff in self.outcomes})

    @cached_property
    def days(self) -> list[date]:
        """From the day the first version is there to the end of the newest cutoff's week."""
        first, last = self.candidates[0].available, self.cutoffs[-1] + WEEK
        return [first + timedelta(days=n) for n in range((last - first).days)]

    @cached_property
    def cutoff_of(self) -> dict[date, date]:
        """Day -> the cutoff in whose week it lies; days in no such week lose nothing that is known."""
        found = {}
        for day in self.days if self.cutoffs and self.candidates else ():
            place = bisect_right(self.cutoffs, day) - 1
            if place >= 0 and day - self.cutoffs[place] < WEEK:
                found[day] = self.cutoffs[place]
        return found

    def outcome(self, version: int, day: date) -> Outcome:
        """What a version does on a day of ``cutoff_of``."""
        return self.outcomes[version, self.cutoff_of[day]]

    def newest(self, day: date) -> Candidate:
        """The newest version that is there on a day."""
        return self.there(day)[-1]

    def there(self, day: date) -> list[Candidate]:
        """The versions that are there on a day, oldest first."""
        return [c for c in self.candidates if c.available <= day]

    def passes(self, candidate: Candidate, version: int) -> bool:
        """Whether a candidate replaces a version: on its own holdout not worse by more than the margin."""
        own = candidate.cutoff
        mine, other = self.outcomes.get((candidate.version, own)), self.outcomes.get((version, own))
        return mine is not None and other is not None and mine.metric >= other.metric - self.margin

    def gain(self, old: int, new: int, first: date, until: date) -> float:
        """How much less the new version loses than the old one, a mean over the days from first to before until."""
        days = [day for day in self.cutoff_of if first <= day < until]
        differences = [self.outcome(old, day).loss - self.outcome(new, day).loss for day in days]
        return fmean(differences) if differences else NAN


class Training(NamedTuple):
    """A retrain: on which day, of which version in place of which, why, and whether it took over."""

    on: date
    version: int
    replaced: int
    trigger: Trigger | Literal["week", "oracle"]
    promoted: bool
    why: str


@dataclass(frozen=True)
class Replayed:
    """What a strategy did. ``recorded`` is the evidence it found, ``asked`` the days on which it asked a person."""

    strategy: Strategy
    first: int
    trainings: tuple[Training, ...] = ()
    recorded: tuple[Evidence, ...] = ()
    asked: Mapping[date, str] = field(default_factory=dict)

    def version(self, day: date) -> int:
        """The version in use at the end of a day."""
        return next((t.version for t in reversed(self.trainings) if t.promoted and t.on <= day), self.first)


def never(history: History) -> Replayed:
    """The first version stays."""
    return Replayed("never", history.candidates[0].version)


def weekly(history: History) -> Replayed:
    """A retrain on each day on which a further cutoff has mature labels."""
    first, *others = history.candidates
    in_use, trainings = first.version, []
    for candidate in others:
        if candidate.available > history.days[-1]:
            break
        promoted = history.passes(candidate, in_use)
        why = f"The labels of {candidate.cutoff} are mature."
        trainings.append(Training(candidate.available, candidate.version, in_use, "week", promoted, why))
        in_use = candidate.version if promoted else in_use
    return Replayed("weekly", first.version, tuple(trainings))


def triggered(history: History, policy: MonitoringPolicy, signals: Signals) -> Replayed:
    """Day by day, what ``decide`` says with the evidence of that day.

    ``signals`` is asked for a version only on days on which that is in use.
    """
    watch, trainings, asked = _Watch(history, policy, signals), list[Training](), {}
    for day in progress.counted(history.days, "days"):
        watch.look(day)
        replaced = watch.champion.version
        action = decide(watch.situation(day), policy)
        if action.kind == "ask":
            asked[day] = action.why
        if action.kind == "retrain" and action.trigger is not None:
            candidate, promoted = watch.retrain(day)
            trainings.append(Training(day, candidate.version, replaced, action.trigger, promoted, action.why))
    return Replayed("drift", history.candidates[0].version, tuple(trainings), tuple(watch.recorded), asked)


class _Watch:
    """What is on record on a day of the replay, as the assets would have written it."""

    def __init__(self, history: History, policy: MonitoringPolicy, signals: Signals) -> None:
        first = history.candidates[0]
        self.history, self.policy, self.signals = history, policy, signals
        self.champion = Champion(first.version, first.cutoff, first.available)
        self.scores_since = first.available
        self.attempts: list[Attempt] = []
        self.verdicts: list[tuple[date, DayVerdict]] = []
        self.found: list[Evidence] = []
        self.recorded: list[Evidence] = []
        self.watched: dict[date, DayVerdict] = {}

    def look(self, day: date) -> None:
        """Measure the day, and the cohort whose labels become mature on it."""
        cohort = self._newest_cohort(day)
        lost = self.history.outcomes[self.champion.version, cohort].worse if cohort else None
        found = [self._drift(day, cohort, lost)]
        if lost and cohort and cohort + self.history.horizon == day:
            found.append(self._loss(lost, cohort, day))
        self.found += [evidence for evidence in found if evidence]
        self.recorded += [evidence for evidence in found if evidence]

    def _drift(self, day: date, cohort: date | None, lost: FoundLoss | None) -> Evidence | None:
        signal = self.signals(self.champion.version, day, cohort)
        if signal is None:
            return None
        self.verdicts.append((day, signal.verdict))
        self.watched[day] = signal.verdict
        return drift_evidence(
            self.verdicts,
            signal.drifts,
            self.policy,
            model=self.history.model,
            champion_version=self.champion.version,
            loss=signal.loss or lost,
        )

    def _loss(self, lost: FoundLoss, cohort: date, day: date) -> Evidence:
        moved = any(verdict.breached for on, verdict in self.verdicts if on == cohort)
        return loss_evidence(
            lost,
            model=self.history.model,
            champion_version=self.champion.version,
            cohort=cohort,
            known_on=day,
            diagnosis=diagnose(moved, worse=True),
        )

    def situation(self, day: date) -> Situation:
        """All of it, as ``decide`` takes it."""
        newest, version = self.history.newest(day), self.champion.version
        later = [c.available for c in self.history.candidates if c.available > day]
        same = any((a.cutoff, a.champion) == (newest.cutoff, version) for a in self.attempts)
        return Situation(
            today=day,
            champion=self.champion,
            mature=newest.cutoff,
            next_mature=min(later, default=None),
            evidence=max(self.found, key=lambda e: (e.as_of, e.calls_for == "retrain"), default=None),
            broken=self._broken(newest),
            judged=f"The candidate of cutoff {newest.cutoff} was rejected already." if same else None,
            attempts=self.attempts,
        )

    def retrain(self, day: date) -> tuple[Candidate, bool]:
        """Judge the newest version there is and, unless it is rejected, put it into use; and whether it was."""
        candidate, version = self.history.newest(day), self.champion.version
        promoted = self.history.passes(candidate, version)
        self.attempts.append(Attempt(day, candidate.cutoff, version, "promoted" if promoted else "rejected"))
        if promoted:
            self.champion = Champion(candidate.version, candidate.cutoff, candidate.available)
            self.scores_since, self.verdicts, self.found = day, [], []
        return candidate, promoted

    def _broken(self, newest: Candidate) -> dict[date, str]:
        """The days of broken data that a retrain would learn from, or that were watched last."""
        matter = {max(self.watched, default=None), *newest.learnt}
        return {day: v.reason for day, v in self.watched.items() if v.broken and day in matter}

    def _newest_cohort(self, day: date) -> date | None:
        """The newest cutoff that the version in use has scored in its time and that has mature labels."""
        since, horizon = self.scores_since, self.history.horizon
        return max((c for c in self.history.cutoffs if since <= c and c + horizon <= day), default=None)


def oracle(history: History, tolerance: float) -> Replayed:
    """The retrains that lose least of all in which each gains at least ``tolerance`` until the next one.

    It knows the labels to come, chooses on days on which a further version becomes there, and is held to the gates.
    Never to retrain is one of its choices, so it never loses more than that. Of equal ones it takes the fewest.
    """
    plan = _Plan(history, tolerance)
    trainings, replaced = [], plan.versions[0]
    for candidate in plan.best():
        why = f"It loses at least {tolerance:g} less than version {replaced.version} until the next retrain."
        trainings.append(
            Training(candidate.available, candidate.version, replaced.version, "oracle", True, why)
        )
        replaced = candidate
    return Replayed("oracle", plan.versions[0].version, tuple(trainings))


class _Way(NamedTuple):
    """What is still to come for a version in use: days' losses in all, retrains, and the next version's place."""

    loss: float
    retrains: int
    next: int | None


class _Plan:
    """Dynamic programming over pairs of versions, the one in use and the one before it, from the last to the first."""

    def __init__(self, history: History, tolerance: float) -> None:
        self.tolerance = tolerance
        self.days = sorted(history.cutoff_of)
        self.versions = [c for c in history.candidates if c.available <= self.days[-1]]
        self.starts = [bisect_left(self.days, c.available) for c in self.versions]
        self.lost = [
            [
                0.0,
                *accumulate(
                    history.outcome(c.version, d).loss if d >= c.available else 0.0 for d in self.days
                ),
            ]
            for c in self.versions
        ]
        numbered = list(enumerate(self.versions))
        self.followers = [
            [k for k, candidate in numbered[j + 1 :] if history.passes(candidate, version.version)]
            for j, version in numbered
        ]

    def best(self) -> Iterator[Candidate]:
        """The versions to retrain, in order."""
        ways: dict[tuple[int, int], _Way] = {}
        for new in reversed(range(len(self.versions))):
            for old in range(max(new, 1)):
                ways[old, new] = self._way(old, new, ways)
        old, new = 0, 0
        while (following := ways[old, new].next) is not None:
            yield self.versions[following]
            old, new = new, following

    def _way(self, old: int, new: int, ways: Mapping[tuple[int, int], _Way]) -> _Way:
        """The best way on from the day on which ``new`` took over from ``old``."""
        start, end = self.starts[new], len(self.days)
        choices = [_Way(self._lost(new, start, end), 0, None)] if self._gains(old, new, start, end) else []
        for following in self.followers[new]:
            until, ahead = self.starts[following], ways[new, following]
            if self._gains(old, new, start, until):
                loss = self._lost(new, start, until) + ahead.loss
                choices.append(_Way(loss, ahead.retrains + 1, following))
        impossible = _Way(float("inf"), 0, None)
        return min(choices, key=lambda way: (round(way.loss, 9), way.retrains), default=impossible)

    def _lost(self, version: int, start: int, end: int) -> float:
        return self.lost[version][end] - self.lost[version][start]

    def _gains(self, old: int, new: int, start: int, end: int) -> bool:
        """Whether the new version is worth its training; the first one needs none."""
        gained = self._lost(old, start, end) - self._lost(new, start, end)
        return not new or (end > start and gained >= self.tolerance * (end - start))


class Yardstick(NamedTuple):
    """What a retrain must gain to have been worth it, and how far from the best there was is degraded: both losses."""

    gain: float
    degraded: float

    @classmethod
    def of(cls, policy: MonitoringPolicy) -> "Yardstick":
        """A tenth, and half, of what the policy lets a model lose before it counts as worse.

        A tenth of the default, 0.005, is above what two versions of cutoffs a week apart differ by on the same 1,500
        rows: 0.003, a standard deviation (online_retail, 30 cutoffs). Half is for a comparison with the best of many.
        """
        return cls(policy.worse_by * WORTH, policy.worse_by * DEGRADED)


WORTH, DEGRADED = 0.1, 0.5


@dataclass(frozen=True)
class Result:
    """What a strategy cost and lost.

    ``gains`` are of its trainings: how much less the new version loses than the one it replaced, or was to replace,
    until the next training; NaN if that is the same day. ``losses`` are those of the days of the history's
    ``cutoff_of``, ``loss`` and ``metric`` their mean.
    """

    replayed: Replayed
    gains: tuple[float, ...]
    idle: int
    false_alarms: int
    degraded: int
    losses: Mapping[date, float]
    loss: float
    metric: float

    @property
    def promotions(self) -> int:
        """How many versions took over."""
        return sum(training.promoted for training in self.replayed.trainings)


def assess(history: History, replayed: Replayed, yardstick: Yardstick) -> Result:
    """Judge what a strategy did by what came.

    A training is idle if its version doesn't gain ``yardstick.gain`` over the old one, a mean over the days until the
    next training, whether it took over or not; it is a false alarm if evidence, not age or the calendar, asked for
    it. A day is degraded on which the version in use loses ``yardstick.degraded`` more than the best one there.
    """
    trainings = replayed.trainings
    ends = [*(training.on for training in trainings[1:]), history.days[-1] + DAY]
    gains = [
        history.gain(training.replaced, training.version, training.on, end)
        for training, end in zip(trainings, ends, strict=False)
    ]
    idle = [t for t, gain in zip(trainings, gains, strict=True) if not gain >= yardstick.gain - ROUNDING]
    used = {day: history.outcome(replayed.version(day), day) for day in history.cutoff_of}
    best = {day: min(history.outcome(c.version, day).loss for c in history.there(day)) for day in used}
    return Result(
        replayed=replayed,
        gains=tuple(gains),
        idle=len(idle),
        false_alarms=sum(training.trigger in ("drift", "performance") for training in idle),
        degraded=sum(o.loss - best[day] >= yardstick.degraded - ROUNDING for day, o in used.items()),
        losses={day: outcome.loss for day, outcome in used.items()},
        loss=fmean(outcome.loss for outcome in used.values()),
        metric=fmean(outcome.metric for outcome in used.values()),
    )
